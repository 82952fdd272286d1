"""Statistics of samples, as most tools take them: NumPy's mean, population deviation and linear percentiles."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np

from pytest_inferbench.metrics.metric import Samples


@dataclass(frozen=True, slots=True)
class Spread:
    """
    Samples without those that are NaN, and what is asked of them; NaN where there are none.

    ``std`` divides by the number of samples (NumPy's default).
    """

    samples: Samples

    @classmethod
    def of(cls, values: Samples) -> Spread:
        """Of values, those that are NaN left out."""
        return cls(values[~np.isnan(values)])

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.samples.size)

    @property
    def mean(self) -> float:
        """Their mean."""
        return float(np.mean(self.samples)) if self.samples.size else nan

    @property
    def std(self) -> float:
        """Their standard deviation."""
        return float(np.std(self.samples)) if self.samples.size else nan

    @property
    def total(self) -> float:
        """Their sum; 0 where there are none."""
        return float(np.sum(self.samples))

    @property
    def least(self) -> float:
        """The smallest."""
        return float(np.min(self.samples)) if self.samples.size else nan

    @property
    def most(self) -> float:
        """The largest."""
        return float(np.max(self.samples)) if self.samples.size else nan

    def percentile(self, percent: float) -> float:
        """Linearly interpolated order statistic."""
        return float(np.percentile(self.samples, percent)) if self.samples.size else nan

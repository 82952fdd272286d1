"""Arrivals that know nothing of each other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.cases.case import Load
from pytest_inferbench.load.arrivals.renewal import renewals


def poisson(load: Load, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """Offsets in ns of a Poisson process: gaps are exponential with mean 1 / rate; all at 0 for an infinite rate."""
    gap_ns = 1e9 / (load.rate_per_s or 0)
    return renewals(lambda count: rng.exponential(gap_ns, size=count))

"""From samples to a `Distribution`."""

from __future__ import annotations

from math import nan

import numpy as np

from pytest_inferbench.metrics.metric import Samples
from pytest_inferbench.metrics.summary import Distribution


def distribution(samples: Samples) -> Distribution:
    """
    Count, mean, percentiles and maximum of samples, in their own unit; all but the count NaN where there are none.

    Percentiles are linearly interpolated order statistics: Hyndman and Fan's definition 7, NumPy's ``linear``.
    """
    if not samples.size:
        return Distribution(count=0, mean=nan, p50=nan, p90=nan, p95=nan, p99=nan, max=nan)
    p50, p90, p95, p99 = (float(value) for value in np.percentile(samples, (50, 90, 95, 99)))
    mean, largest = float(np.mean(samples)), float(np.max(samples))
    return Distribution(count=int(samples.size), mean=mean, p50=p50, p90=p90, p95=p95, p99=p99, max=largest)

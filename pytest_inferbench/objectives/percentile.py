"""
Statistics in which a request that never finished took for ever.

Rule: a lost request is never dropped. It is one more value, larger than all others.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, inf, log, nan

import numpy as np

from pytest_inferbench.metrics.metric import Samples
from pytest_inferbench.objectives.slo import percentile_of


def statistic_of(samples: Samples, statistic: str, *, endless: int) -> float:
    """
    Mean, maximum or percentile of ``samples`` and ``endless`` more values that are infinite, in the samples' unit.

    Percentiles interpolate linearly between order statistics, as in summaries; one that touches an endless value is infinite,
    and so are a mean and a maximum over any. NaN where there is no value at all.
    """
    percent = percentile_of(statistic)
    if not samples.size:
        return inf if endless else nan
    if percent is None:
        if endless:
            return inf
        return float(np.mean(samples) if statistic == "mean" else np.max(samples))
    return _percentile(samples, percent, endless=endless)


def _percentile(samples: Samples, percent: float, *, endless: int) -> float:
    # Where the percentile lies is computed exactly: one float too far would read the first endless value.
    rank = (samples.size + endless - 1) * Fraction(str(percent)) / 100
    if ceil(rank) >= samples.size:
        return inf
    # The largest finite value stands in for the endless ones, which are not read: infinity times a weight of 0 would be NaN.
    stand_in = np.full(endless, np.max(samples))
    return float(np.percentile(np.concatenate((samples, stand_in)), percent))


def requests_needed(statistic: str, *, confidence: float = 0.95) -> int:
    """
    The fewest requests that can establish a percentile: the smallest n with q^n <= 1 - confidence.

    With fewer, even if not one of them is over the limit, the share that is over may be larger than 1 - q. 1 for a mean or a
    maximum, which this says nothing about.
    """
    percent = percentile_of(statistic)
    return 1 if percent is None else ceil(log(1 - confidence) / log(percent / 100))

"""
How sure a mean is, and a throughput, which is the mean of what came in equal parts of the time.

The interval is Student's over the means of batches (`dependence`), with R. Willink's correction for batches that are lopsided, as
times in a queue are (*A confidence interval and test for the mean of an asymmetric distribution*, Communications in Statistics
34, 2005): with G(t) = ((1 + 6 a (t - a))^(1/3) - 1) / (2 a) and a = skewness / (6 sqrt(batches)), the mean is above
m - G(t) error with the chance that Student's t stays below t.
"""

from __future__ import annotations

from math import cbrt, sqrt

import numpy as np

from pytest_inferbench.objectives.bounds import t_quantile
from pytest_inferbench.objectives.dependence import Batches, Series

BINS_MIN, BINS_MAX = 200, 2000
_PER_BIN = 5
_STRAIGHT = 1e-4


def mean_low(batches: Batches, confidence: float) -> float:
    """The value that the true mean is above with this confidence."""
    return batches.mean - _bent(t_quantile(confidence, batches.freedom), batches) * batches.error


def mean_high(batches: Batches, confidence: float) -> float:
    """The value that the true mean is below with this confidence."""
    return batches.mean - _bent(-t_quantile(confidence, batches.freedom), batches) * batches.error


def per_second(at_s: Series, amounts: Series, *, start_s: float, end_s: float) -> Series:
    """
    What came a second, in equal parts of the time from ``start_s`` to ``end_s``: their mean is the throughput over all of it.

    ``amounts`` came at the instants ``at_s``: 1 for each request that ended, or its tokens, or each token at its own instant.
    What came outside that time is left out. About five a part, 200 to 2,000 parts.

    Raises:
        ValueError: the time has no length.
    """
    if not end_s > start_s:
        raise ValueError(f"no throughput over a time from {start_s:g} s to {end_s:g} s: it has no length")
    parts = min(max(len(at_s) // _PER_BIN, BINS_MIN), BINS_MAX)
    came, _ = np.histogram(at_s, bins=parts, range=(start_s, end_s), weights=amounts)
    return came.astype(np.float64) / ((end_s - start_s) / parts)


def _bent(t: float, batches: Batches) -> float:
    """Willink's G: t, bent for skewness."""
    a = batches.skewness / (6 * sqrt(batches.count))
    return t if abs(a) < _STRAIGHT else (cbrt(1 + 6 * a * (t - a)) - 1) / (2 * a)

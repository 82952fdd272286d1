"""Arrivals whose rate is multiplied by the same factor every second."""

from __future__ import annotations

from collections.abc import Iterator
from math import log

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.cases.case import Load
from pytest_inferbench.load.arrivals.ramp import Floats, ramp_s, ramped


def exponential(load: Load, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """
    Offsets in ns of a Poisson process of rate r(t) = a (b / a)^(t / T), from ``ramp_from`` a to ``rate`` b.

    With k = ln(b / a) / T, L(t) = a (e^(k t) - 1) / k requests are expected up to t, so t = ln(1 + k L / a) / k. The mean rate is
    (b - a) / ln(b / a).
    """
    first, last = load.ramp_from_per_s or 0.0, load.rate_per_s or 0.0
    growth = log(last / first)
    # Where the rate hardly changes, the formulas divide by almost nothing; the rate is then its mean.
    flat = abs(growth) < 1e-9
    mean = (first + last) / 2 if flat else (last - first) / growth
    length_s = ramp_s(load, mean)

    def until(count: Floats) -> Floats:
        return count / mean if flat else np.log1p(growth / length_s * count / first) * length_s / growth

    return ramped(load, rng, until=until, expected=mean * length_s)

"""Arrivals whose rate rises (or falls) by so much a second."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.cases.case import Load
from pytest_inferbench.load.arrivals.ramp import Floats, ramp_s, ramped


def linear(load: Load, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """
    Offsets in ns of a Poisson process of rate r(t) = a + (b - a) t / T, from ``ramp_from`` a (0 if not said) to ``rate`` b.

    Up to t, L(t) = a t + (b - a) t^2 / (2 T) requests are expected, so t = 2 L / (a + sqrt(a^2 + 2 (b - a) L / T)).
    """
    first, last = load.ramp_from_per_s or 0.0, load.rate_per_s or 0.0
    mean = (first + last) / 2
    length_s = ramp_s(load, mean)
    slope = (last - first) / length_s

    def until(count: Floats) -> Floats:
        root = np.sqrt(np.maximum(first**2 + 2 * slope * count, 0))
        # Nothing is expected before 0, also where the rate begins at 0.
        return np.divide(2 * count, first + root, out=np.zeros_like(count), where=count > 0)

    return ramped(load, rng, until=until, expected=mean * length_s)

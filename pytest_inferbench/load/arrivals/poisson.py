"""Arrivals that know nothing of each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def poisson(rate_per_s: float, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """
    Offsets in ns of a Poisson process: gaps are exponential with mean 1 / rate; all at 0 for an infinite rate.

    The first request comes after the first gap, as the process says, not at 0.
    """
    if np.isinf(rate_per_s):
        return np.zeros(count, dtype=np.int64)
    return np.round(np.cumsum(rng.exponential(1e9 / rate_per_s, size=count))).astype(np.int64)

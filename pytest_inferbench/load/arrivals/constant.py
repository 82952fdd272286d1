"""Arrivals at equal distances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def constant(rate_per_s: float, count: int, _rng: np.random.Generator) -> NDArray[np.int64]:
    """Offsets in ns: the k-th request (from 0) at k / rate; all at 0 for an infinite rate."""
    return np.round(np.arange(count) * (1e9 / rate_per_s)).astype(np.int64)

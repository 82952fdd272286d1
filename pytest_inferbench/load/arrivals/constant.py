"""Arrivals at equal distances."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.cases.case import Load
from pytest_inferbench.load.arrivals.renewal import BLOCK


def constant(load: Load, _rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """Offsets in ns: the k-th request (from 0) at k / rate; all at 0 for an infinite rate."""
    gap_ns = 1e9 / (load.rate_per_s or 0)
    for first in count(0, BLOCK):
        yield np.arange(first, first + BLOCK, dtype=np.float64) * np.float64(gap_ns)

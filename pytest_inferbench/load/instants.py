"""
When each request of a load is due, from its first to its last; the one place that knows where a load ends.

Rule: nothing here looks at a clock, and instants are made one block at a time, so that a million of them cost no memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, repeat, takewhile

import numpy as np

from pytest_inferbench.cases.case import Load
from pytest_inferbench.load.arrivals import ARRIVALS


def instants(load: Load, rng: np.random.Generator) -> Iterator[int]:
    """
    Offsets in ns from the start, ascending, until the load's end; zeros without end for a closed loop of no known length.

    A request that would come at the end of ``duration_s`` or later is not sent.
    """
    due_ns = _endless(load, rng) if load.open_loop else repeat(0)
    if load.duration_s is not None and load.open_loop:
        end_ns = round(load.duration_s * 1e9)
        due_ns = takewhile(lambda one: one < end_ns, due_ns)
    return due_ns if load.requests is None else islice(due_ns, load.requests)


def _endless(load: Load, rng: np.random.Generator) -> Iterator[int]:
    if np.isinf(load.rate_per_s or 0):
        return repeat(0)
    return (due for block in ARRIVALS[load.arrival](load, rng) for due in np.rint(block).astype(np.int64).tolist())

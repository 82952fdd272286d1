"""
When each request of a load is due, from its first to its last; the one place that knows where a load ends.

Rule: nothing here looks at a clock, and instants are made one block at a time, so that a million of them cost no memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, repeat, takewhile

import numpy as np

from pytest_inferbench.cases.case import Load
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.load.arrivals import ARRIVALS
from pytest_inferbench.load.trace_files import read_trace


def instants(load: Load, rng: np.random.Generator) -> Iterator[int]:
    """
    Offsets in ns from the start, ascending, until the load's end; zeros without end for a closed loop of no known length.

    A request that would come at the end of ``duration_s`` or later is not sent.

    Raises:
        ConfigError: a trace makes no sense, or has fewer requests than are asked for.
    """
    _check_length(load)
    due_ns = _all(load, rng)
    if load.duration_s is not None and load.open_loop:
        end_ns = round(load.duration_s * 1e9)
        due_ns = takewhile(lambda one: one < end_ns, due_ns)
    return due_ns if load.requests is None else islice(due_ns, load.requests)


def _check_length(load: Load) -> None:
    if load.trace is None or load.requests is None or load.duration_s is not None:
        return
    number = sum(1 for _ in islice(read_trace(load.trace), load.requests))
    if number < load.requests:
        raise ConfigError(
            f"the trace has {number} requests, fewer than the {load.requests} asked for; ask for fewer, or leave requests out",
            file=load.trace,
        )


def _all(load: Load, rng: np.random.Generator) -> Iterator[int]:
    if load.trace is not None:
        return (round(row.at_ns * load.time_scale) for row in read_trace(load.trace))
    if load.concurrency is not None or np.isinf(load.rate_per_s or 0):
        return repeat(0)
    return (due for block in ARRIVALS[load.arrival](load, rng) for due in np.rint(block).astype(np.int64).tolist())

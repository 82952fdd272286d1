"""
Whether the traces of a case can be true at all.

Rule: every request is on the books once (attempted = completed + failed + timed out + cancelled), and time runs forward. A case
that breaks this is never judged: the fault is in the harness, and no figure of it means anything.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pytest_inferbench.load.trace import MISSING, Traces
from pytest_inferbench.metrics.metric import Mask
from pytest_inferbench.metrics.totals import count

_LIFE = ("send_ns", "first_byte_ns", "first_token_ns", "last_token_ns", "end_ns")


def contradictions(traces: Traces) -> tuple[str, ...]:
    """What in the traces cannot be, in words; empty where the books are in order."""
    return (*_lost_requests(traces), *_impossible_times(traces), *_miscounted_tokens(traces))


def _lost_requests(traces: Traces) -> Iterator[str]:
    counts = count(traces)
    known = counts.completed + counts.failed + counts.timed_out + counts.cancelled
    if known != counts.attempted:
        yield f"{counts.attempted} requests were attempted, but {known} are accounted for"


def _impossible_times(traces: Traces) -> Iterator[str]:
    done = traces.completed
    unfinished = done & (np.equal(traces.send_ns, MISSING) | np.equal(traces.end_ns, MISSING))
    if unfinished.any():
        yield f"{_first(traces, unfinished)} completed without having been sent and ended"
        return
    latest_ns = traces.send_ns
    for name in _LIFE[1:]:
        at_ns = getattr(traces, name)
        backwards = done & np.not_equal(at_ns, MISSING) & np.less(at_ns, latest_ns)
        if backwards.any():
            yield f"{_first(traces, backwards)} has its {name} before what must come earlier"
        latest_ns = np.maximum(latest_ns, at_ns)


def _miscounted_tokens(traces: Traces) -> Iterator[str]:
    running = np.concatenate(([0], np.cumsum(traces.event_tokens)))
    of_events = running[traces.event_offset[1:]] - running[traces.event_offset[:-1]]
    counted = traces.completed & np.greater(np.diff(traces.event_offset), 0)
    wrong = counted & np.not_equal(of_events, traces.output_tokens)
    if wrong.any():
        yield f"{_first(traces, wrong)} has events whose tokens do not add up to its output tokens"


def _first(traces: Traces, which: Mask) -> str:
    """``request r17 (and 3 more)``."""
    more = int(np.count_nonzero(which)) - 1
    name = f"request {traces.request_id[int(np.argmax(which))]}"
    return f"{name} and {more} more" if more else name

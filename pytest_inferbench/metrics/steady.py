"""
When a load was steady: the time between its ramp-up and its drain.

Rule: only sends, ends and the instants of the plan decide; how fast answers came does not, so that a slow server is not taken
for an unsteady load, and nothing is left out because it looks bad.

Closed loop: from the first instant at which at least 90 % of the users had a request in flight to the last one; the users
are as many as were ever in flight at once, unless their number is given. In between they must have been in flight for 90 % of
the time on average, too.

Open loop: from the end of the ramp-up to the last instant at which the plan meant to send. The plan's time is cut into 100 bins;
the ramp-up ends where leaving out all bins before makes the mean number of requests in flight surest (least marginal standard
error, K. P. White, *An effective truncation heuristic for bias reduction in simulation output*, Simulation 69(6), 1997), at half
the time at the latest. The load was steady if the two halves of what is left have nearly the same mean in flight: they
differ by at most 20 %, or by no more than one request. A queue that grows from nothing all through a load makes them differ by a
third, however long the load is; one that grows little in the time measured is not told from chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.load.finding import Finding
from pytest_inferbench.load.trace import MISSING, Ints, Traces

PLATEAU_SHARE = 0.9
BINS = 100
FLAT_SHARE = 0.01
DRIFT_SHARE_MAX = 0.2
DRIFT_REQUESTS_MIN = 1.0

_EVENT_COLUMNS = frozenset({"event_offset", "event_ns", "event_tokens"})
Means = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A part of a load; instants are CLOCK_MONOTONIC nanoseconds, and the start is in it and the end is not."""

    start_ns: int
    end_ns: int

    @property
    def length_s(self) -> float:
        """How long it is, in seconds."""
        return (self.end_ns - self.start_ns) / 1e9


def steady_window(traces: Traces, *, users: int | None = None) -> Window | None:
    """
    When the load was steady, by the definition of this module; None where it never was, or where no request lies within.

    ``users`` is the concurrency of a closed loop; without it, it is the most requests that were in flight at once.
    """
    found = _steadiness(traces, users=users)
    return found if isinstance(found, Window) else None


def unsteady(traces: Traces, *, users: int | None = None) -> tuple[Finding, ...]:
    """That a load of which something was sent was never steady, and why; nothing where it was. ``users`` as above."""
    found = _steadiness(traces, users=users)
    if isinstance(found, Window) or not found:
        return ()
    return (
        Finding(
            what=f"the load was never steady, so it has no steady-state figures: {found}",
            advice="ask for more requests or a longer load, and for a rate that the server can answer",
            invalidates=False,
        ),
    )


def _steadiness(traces: Traces, *, users: int | None) -> Window | str:
    """When the load was steady, or in a few words why it never was; empty where nothing was sent."""
    sent_ns, ended_ns = _lives(traces)
    if not len(sent_ns):
        return ""
    found = _steady_open(traces, sent_ns, ended_ns) if traces.open_loop else _steady_closed(sent_ns, ended_ns, users=users)
    if isinstance(found, str):
        return found
    inside = np.greater_equal(sent_ns, found.start_ns) & np.less_equal(ended_ns, found.end_ns)
    return found if inside.any() else "no request began and ended between its ramp-up and its drain"


def within(traces: Traces, window: Window) -> Traces:
    """The requests that were sent and ended in a window, as traces of their own."""
    inside = (
        np.not_equal(traces.send_ns, MISSING)
        & np.greater_equal(traces.send_ns, window.start_ns)
        & np.not_equal(traces.end_ns, MISSING)
        & np.less_equal(traces.end_ns, window.end_ns)
    )
    return _chosen(traces, np.flatnonzero(inside).tolist())


def tokens_within(traces: Traces, window: Window) -> int | None:
    """
    Tokens that came in a window, of all requests that completed, also of those that reach beyond it.

    None where an answer has tokens (or may have) of which nobody knows when they came, as it came whole.
    """
    whole = np.equal(np.diff(traces.event_offset), 0) & np.not_equal(traces.output_tokens, 0)
    if (whole & traces.completed).any():
        return None
    of_completed = np.repeat(traces.completed, np.diff(traces.event_offset))
    came = np.greater_equal(traces.event_ns, window.start_ns) & np.less(traces.event_ns, window.end_ns)
    return int(traces.event_tokens[of_completed & came].sum())


def _lives(traces: Traces) -> tuple[Ints, Ints]:
    """Send and end of every request that was sent, sorted each by itself: who is in flight does not matter, how many are does."""
    alive = np.not_equal(traces.send_ns, MISSING) & np.not_equal(traces.end_ns, MISSING)
    return np.sort(traces.send_ns[alive]), np.sort(traces.end_ns[alive])


def _steady_closed(sent_ns: Ints, ended_ns: Ints, *, users: int | None) -> Window | str:
    at_ns, in_flight = _steps(sent_ns, ended_ns)
    enough = PLATEAU_SHARE * (users or int(in_flight.max()))
    full = np.flatnonzero(np.greater_equal(in_flight, enough))
    if not len(full) or not enough:
        return f"at most {int(in_flight.max())} of its {users} users were in flight at once"
    first, last = int(full[0]), int(full[-1])
    # The last full step lasts until the next one begins; at the very end nothing is in flight, so there is one.
    window = Window(start_ns=int(at_ns[first]), end_ns=int(at_ns[last + 1]))
    lengths_ns = np.diff(at_ns[first : last + 2])
    area = float((in_flight[first : last + 1] * lengths_ns).sum())
    if area >= enough * (window.end_ns - window.start_ns) > 0:
        return window
    return f"its users were in flight for less than {PLATEAU_SHARE:.0%} of the time"


def _steps(sent_ns: Ints, ended_ns: Ints) -> tuple[Ints, Ints]:
    """Instants at which the number in flight changes, and that number from each of them on."""
    at_ns = np.unique(np.concatenate((sent_ns, ended_ns)))
    return at_ns, np.searchsorted(sent_ns, at_ns, side="right") - np.searchsorted(ended_ns, at_ns, side="right")


def _steady_open(traces: Traces, sent_ns: Ints, ended_ns: Ints) -> Window | str:
    start_ns, end_ns = int(traces.intended_send_ns.min()), int(traces.intended_send_ns.max())
    if end_ns - start_ns < BINS:
        return "its requests were all sent at once"
    edges_ns = np.linspace(start_ns, end_ns, BINS + 1).astype(np.int64)
    means = np.diff(_area(sent_ns, edges_ns) - _area(ended_ns, edges_ns)) / np.diff(edges_ns)
    first = ramp_up_bins(means)
    kept = means[first:]
    half = len(kept) // 2
    before, after = float(kept[:half].mean()), float(kept[half:].mean())
    if abs(after - before) > max(DRIFT_SHARE_MAX * float(kept.mean()), DRIFT_REQUESTS_MIN):
        return f"{before:.3g} requests were in flight in its first half and {after:.3g} in its second, on average"
    return Window(start_ns=int(edges_ns[first]), end_ns=end_ns)


def _area(instants_ns: Ints, edges_ns: Ints) -> Means:
    """For each edge, the sum over the instants before it of the time since: their count, integrated over time."""
    before = np.searchsorted(instants_ns, edges_ns, side="right")
    # Counted from the first edge, since sums of instants since boot would leave no digits for what differs.
    since_ns = np.append(0.0, np.cumsum(instants_ns - edges_ns[0], dtype=np.float64))
    area: Means = before * (edges_ns - edges_ns[0]).astype(np.float64) - since_ns[before]
    return area


def ramp_up_bins(means: Means) -> int:
    """
    How many bins at the beginning to leave out, half of them at most: the number d of the least marginal standard error.

    (sum over i >= d of (means[i] - mean of means[d:])^2 + (n - d) f^2) / (n - d)^2; the smallest such d. f is 1 % of the mean of
    all bins: without it, bins that differ in their last digits only would be left out.
    """
    floor = FLAT_SHARE * float(means.mean())
    centred = means - means.mean()
    left = len(means) - np.arange(len(means) // 2 + 1)
    sums, squares = (np.cumsum(each[::-1])[::-1][: len(left)] for each in (centred, centred**2))
    return int(np.argmin((squares - sums**2 / left + left * floor**2) / left**2))


def _chosen(traces: Traces, rows: Sequence[int]) -> Traces:
    """Some requests of traces, in their order; every column that has a value a request is cut by its shape."""
    offsets = traces.event_offset
    events = np.zeros(len(traces.event_ns), dtype=np.bool_)
    for row in rows:
        events[offsets[row] : offsets[row + 1]] = True
    changed: dict[str, Any] = {
        each.name: getattr(traces, each.name)[rows]
        for each in fields(traces)
        if each.name not in _EVENT_COLUMNS and isinstance(getattr(traces, each.name), np.ndarray)
    }
    return replace(
        traces,
        **changed,
        request_id=tuple(traces.request_id[row] for row in rows),
        errors={i: traces.errors[row] for i, row in enumerate(rows) if row in traces.errors},
        event_offset=np.append(0, np.cumsum(np.diff(offsets)[rows])).astype(np.int64),
        event_ns=traces.event_ns[events],
        event_tokens=traces.event_tokens[events],
    )

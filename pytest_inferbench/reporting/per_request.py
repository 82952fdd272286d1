"""
What charts need of each request: its latencies, when it was sent, and how tokens came in over time.

Rule: nothing is judged or summarised here; figures of a case come from its `Summary` alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.load.trace import MISSING, Traces

Floats = NDArray[np.float64]

_BINS_MAX = 60
_BINS_MIN = 4
_EVENTS_PER_BIN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """
    The requests of one case as charts show them; n requests.

    Attributes:
        sent_s: n; when each was sent (to be sent, in an open loop), in seconds since the first one; NaN where it never was.
        ttft_ms: n; NaN where the request did not complete.
        e2e_ms: n; NaN where the request did not complete.
        gave_up_ms: n; time until a request that did not complete ended, NaN for the others.
    """

    sent_s: Floats
    ttft_ms: Floats
    e2e_ms: Floats
    gave_up_ms: Floats


def requests_of(traces: Traces) -> Requests:
    """Latencies of each request, counted from where the case's figures count from (`Traces.start_ns`)."""
    start_ns = traces.start_ns
    completed = traces.completed
    # As the metric e2e has it: an answer without a token ends when its stream does.
    finish_ns = np.where(traces.last_token_ns == MISSING, traces.end_ns, traces.last_token_ns)
    return Requests(
        sent_s=np.where(start_ns == MISSING, np.nan, (start_ns - _origin_ns(traces)) / 1e9),
        ttft_ms=_between_ms(start_ns, traces.first_token_ns, where=completed),
        e2e_ms=_between_ms(start_ns, finish_ns, where=completed),
        gave_up_ms=_between_ms(start_ns, traces.end_ns, where=~completed),
    )


def _origin_ns(traces: Traces) -> int:
    """When the first request was to be sent; a request that was given up before its turn has no such time."""
    started_ns = traces.start_ns[traces.start_ns != MISSING]
    return int(started_ns.min()) if len(started_ns) else 0


def _between_ms(start_ns: NDArray[np.int64], end_ns: NDArray[np.int64], *, where: NDArray[np.bool_]) -> Floats:
    known = where & (end_ns != MISSING) & (start_ns != MISSING)
    return np.where(known, (end_ns - start_ns) / 1e6, np.nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """Output tokens per second in bins of ``bin_s`` seconds; ``middle_s`` counts from the first send."""

    middle_s: Floats
    tokens_per_s: Floats
    bin_s: float


def throughput_of(traces: Traces) -> Throughput:
    """Output tokens of completed and broken requests alike, in equal bins from the first send to the last token."""
    nothing = Throughput(middle_s=np.empty(0), tokens_per_s=np.empty(0), bin_s=0.0)
    if not len(traces.event_ns):
        return nothing
    at_s = (traces.event_ns - _origin_ns(traces)) / 1e9
    end_s = float(at_s.max())
    if end_s <= 0:
        return nothing
    bins = int(np.clip(len(at_s) // _EVENTS_PER_BIN, _BINS_MIN, _BINS_MAX))
    tokens, edges = np.histogram(at_s, bins=bins, range=(0.0, end_s), weights=traces.event_tokens.astype(np.float64))
    bin_s = end_s / bins
    return Throughput(middle_s=(edges[:-1] + edges[1:]) / 2, tokens_per_s=tokens / bin_s, bin_s=bin_s)


def thinned(values: Floats, limit: int) -> NDArray[np.intp]:
    """
    Which of the values to draw where they are more than ``limit``: every so many, and all of the largest.

    Values that are NaN are never drawn.
    """
    known = np.flatnonzero(~np.isnan(values))
    if len(known) <= limit:
        return known
    largest = known[np.argsort(values[known])[-(limit // 10) :]]
    even = known[np.linspace(0, len(known) - 1, limit - len(largest)).astype(np.intp)]
    return np.union1d(even, largest)


def cumulative(values: Floats, attempted: int, points: int) -> tuple[Floats, Floats]:
    """
    The empirical distribution: sorted values and the percentage of all attempted requests at or below each.

    A request without a value never gets there, so with failures the curve ends below 100. The curve starts at 0 and has at most
    ``points`` steps, the smallest and the largest value among them.
    """
    ordered = np.sort(values[~np.isnan(values)])
    if not len(ordered):
        return ordered, np.empty(0)
    share = np.arange(1, len(ordered) + 1) / max(attempted, 1) * 100
    chosen = np.unique(np.linspace(0, len(ordered) - 1, min(points, len(ordered))).astype(np.intp))
    # From 0 upwards at the smallest value: a curve of steps.
    return np.concatenate((ordered[:1], ordered[chosen])), np.concatenate(([0.0], share[chosen]))

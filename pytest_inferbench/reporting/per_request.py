"""
What charts need of each request: its latencies, when it was sent, and how tokens came in over time.

Rule: nothing is judged or summarised here; figures of a case come from its `Summary` alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.load.trace import MISSING, Traces
from pytest_inferbench.metrics.output_token import TPOT

Floats = NDArray[np.float64]

_BINS_MAX = 60
_BINS_MIN = 4
_EVENTS_PER_BIN = 8
_SLOWEST = 20
_PERCENTILES = np.concatenate((np.arange(1, 100), np.arange(991, 1000) / 10))


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """
    The requests of one case as charts show them; n requests.

    Attributes:
        sent_s: n; when each was sent (to be sent, in an open loop), in seconds since the first one; NaN where it never was.
        ttft_ms: n; NaN where the request did not complete.
        tpot_ms: n; NaN where the request did not complete, or has no second token.
        e2e_ms: n; NaN where the request did not complete.
        gave_up_ms: n; time until a request that did not complete ended, NaN for the others.
    """

    sent_s: Floats
    ttft_ms: Floats
    tpot_ms: Floats
    e2e_ms: Floats
    gave_up_ms: Floats


def requests_of(traces: Traces) -> Requests:
    """Latencies of each request, counted from where the case's figures count from (`Traces.start_ns`)."""
    start_ns = traces.start_ns
    completed = traces.completed
    # As the metric e2e has it: an answer without a token ends when its stream does.
    finish_ns = np.where(traces.last_token_ns == MISSING, traces.end_ns, traces.last_token_ns)
    return Requests(
        sent_s=np.where(start_ns == MISSING, np.nan, (start_ns - origin_ns(traces)) / 1e9),
        ttft_ms=_between_ms(start_ns, traces.first_token_ns, where=completed),
        tpot_ms=_tpot_ms(traces),
        e2e_ms=_between_ms(start_ns, finish_ns, where=completed),
        gave_up_ms=_between_ms(start_ns, traces.end_ns, where=~completed),
    )


def _tpot_ms(traces: Traces) -> Floats:
    values = np.full(len(traces), np.nan)
    values[TPOT.has(traces)] = TPOT.compute(traces)
    return values


def origin_ns(traces: Traces) -> int:
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
    at_s = (traces.event_ns - origin_ns(traces)) / 1e9
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
    ``points`` steps. Where there are more values, it is exact at each of its steps: at every whole percentile, at every tenth
    of one above the 99th, at the slowest values, and at even ranks as far as there is room.
    """
    ordered = np.sort(values[~np.isnan(values)])
    if not len(ordered):
        return ordered, np.empty(0)
    share = np.arange(1, len(ordered) + 1) / max(attempted, 1) * 100
    chosen = _chosen_ranks(len(ordered), points)
    # From 0 upwards at the smallest value: a curve of steps.
    return np.concatenate((ordered[:1], ordered[chosen])), np.concatenate(([0.0], share[chosen]))


def _chosen_ranks(known: int, points: int) -> NDArray[np.intp]:
    """Which of so many sorted values a curve of at most ``points`` steps stops at: all of them where there is room."""
    if known <= points:
        return np.arange(known)
    ranks = np.ceil(_PERCENTILES / 100 * known).astype(np.intp) - 1
    fixed = np.unique(np.concatenate(([0], np.clip(ranks, 0, known - 1), np.arange(known - _SLOWEST, known))))
    room = points - len(fixed)
    if room <= 0:
        return np.unique(np.linspace(0, known - 1, points).astype(np.intp))
    return np.union1d(fixed, np.linspace(0, known - 1, room).astype(np.intp))


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How many values lie in each bin: ``counts[i]`` from ``edges[i]`` to ``edges[i + 1]``; every value is in one."""

    edges: Floats
    counts: NDArray[np.intp]


def histogram_of(values: Floats, *, log: bool, bins: int) -> Histogram:
    """All values that are known, in bins of equal width, or of equal ratio where ``log``."""
    known = values[~np.isnan(values)]
    if not len(known):
        return Histogram(edges=np.empty(0), counts=np.empty(0, dtype=np.intp))
    low, high = float(known.min()), float(known.max())
    if high <= low:
        low, high = low * 0.95, high * 1.05 or 1.0
    edges = np.geomspace(low, high, bins + 1) if log else np.linspace(low, high, bins + 1)
    # Rounding must not push the smallest or the largest value out.
    edges[0], edges[-1] = low, high
    counts, _ = np.histogram(known, bins=edges)
    return Histogram(edges=edges, counts=counts)


def in_flight(traces: Traces) -> tuple[Floats, NDArray[np.int64]]:
    """
    Requests sent and not ended yet: instants in seconds after the first send, and how many there are from each instant on.

    A request that was never sent is in none of them.
    """
    sent = traces.send_ns != MISSING
    began_ns = origin_ns(traces)
    begun, ended = traces.send_ns[sent] - began_ns, np.maximum(traces.end_ns, traces.send_ns)[sent] - began_ns
    at_ns = np.concatenate((begun, ended))
    steps = np.concatenate((np.ones(len(begun), dtype=np.int64), -np.ones(len(ended), dtype=np.int64)))
    # Who ends makes room for who begins at the same instant.
    order = np.lexsort((steps, at_ns))
    return at_ns[order] / 1e9, np.cumsum(steps[order])


def peaks(at: Floats, values: Floats, limit: int) -> NDArray[np.intp]:
    """Which of the readings to draw where they are more than ``limit``: the largest of each of as many even lengths of time."""
    if len(at) <= limit:
        return np.arange(len(at))
    span = float(at[-1] - at[0]) or 1.0
    bins = np.minimum(((at - at[0]) / span * limit).astype(np.intp), limit - 1)
    order = np.lexsort((values, bins))
    last = np.flatnonzero(np.diff(bins[order], append=limit))
    return np.sort(order[last])

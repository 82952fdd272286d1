"""
What of a case an objective is held against: a claim, and the values that it is about.

Rule: values stand in order of arrival, and a request that did not complete is an infinite latency, or carried nothing. What is
returned here has the same mean, percentile or share as the figure of that name; nothing is left out because it looks bad.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf

import numpy as np

from pytest_inferbench.load.trace import MISSING, Ints, Traces
from pytest_inferbench.metrics.error_rate import ERROR_RATE
from pytest_inferbench.metrics.first_token import TTFT, TTFT_FROM_SEND
from pytest_inferbench.metrics.goodput import GOODPUT, good_mask
from pytest_inferbench.metrics.metric import Kind as MetricKind
from pytest_inferbench.metrics.metric import Latency, Mask
from pytest_inferbench.metrics.registry import METRICS
from pytest_inferbench.metrics.steady import steady_window
from pytest_inferbench.metrics.steady_output import STEADY_OUTPUT_THROUGHPUT
from pytest_inferbench.metrics.throughput import (
    INPUT_THROUGHPUT,
    OUTPUT_THROUGHPUT,
    REQUEST_THROUGHPUT,
    TOTAL_THROUGHPUT,
)
from pytest_inferbench.metrics.totals import window_ns
from pytest_inferbench.objectives.decide import Claim, Kind
from pytest_inferbench.objectives.dependence import Series
from pytest_inferbench.objectives.means import per_second
from pytest_inferbench.objectives.slo import percentile_of
from pytest_inferbench.objectives.verdict import Objective


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A claim and the values that it is about, in order of arrival; in the metric's unit."""

    claim: Claim
    values: Series


@dataclass(frozen=True, slots=True, kw_only=True)
class _Carried:
    """Amounts and the instants at which they came, in nanoseconds; same shape."""

    at_ns: Series
    amounts: Series


def evidence_of(objective: Objective, traces: Traces, *, limits: Mapping[str, float] | None = None) -> Evidence | None:
    """
    What an objective is held against; None for a figure that is a fact of this very load, such as its length.

    ``limits`` are those of single requests, for goodput (`limits.goodput_limits`).
    """
    metric = METRICS[objective.metric]
    if isinstance(metric, Latency):
        return Evidence(claim=_latency_claim(objective), values=latency_values(metric, traces))
    if metric is ERROR_RATE:
        lost = ~traces.completed[_arrival(traces)]
        return Evidence(claim=_claim(objective, Kind.RATE), values=lost.astype(np.float64))
    carried = _carried(objective.metric, traces, limits or {})
    window = _window_ns(objective.metric, traces)
    if carried is None or window is None or window[1] <= window[0]:
        return None
    values = per_second((carried.at_ns - window[0]) / 1e9, carried.amounts, start_s=0.0, end_s=(window[1] - window[0]) / 1e9)
    return Evidence(claim=_claim(objective, Kind.THROUGHPUT), values=values)


def latency_values(latency: Latency, traces: Traces) -> Series:
    """
    The values of a latency in order of arrival, infinite where the request did not complete.

    One value a request that has any; of a latency per token or event all of them, and as many infinite ones for a request that
    did not complete as tokens were still to come.
    """
    if latency.kind is not MetricKind.PER_REQUEST:
        return _pooled(latency, traces)
    values = np.full(len(traces), np.nan)
    values[latency.has(traces)] = latency.compute(traces)
    values[~traces.completed] = inf
    values[silent(latency, traces)] = inf
    ordered = values[_arrival(traces)]
    kept: Series = ordered[~np.isnan(ordered)]
    return kept


def silent(latency: Latency, traces: Traces) -> Mask:
    """
    Completed requests that never showed what the latency waits for, which is for ever; shape n.

    None where no completed request has a token: then there are none to wait for.
    """
    none = np.equal(traces.first_token_ns, MISSING) & traces.completed
    counts = latency in (TTFT, TTFT_FROM_SEND) and not np.array_equal(none, traces.completed)
    return none if counts else np.zeros(len(traces), dtype=np.bool_)


def tokens_lost(traces: Traces) -> Ints:
    """How many tokens a request that did not complete still owed after its first, at least one; 0 for others; shape n."""
    return np.where(traces.completed, 0, np.maximum(traces.output_tokens_asked - 1, 1))


def _pooled(latency: Latency, traces: Traces) -> Series:
    found = latency.compute(traces)
    owed = tokens_lost(traces)
    if not owed.any():
        return found
    # Where among the tokens of all requests those of a lost one would have stood, by its place among the requests.
    places = np.repeat(np.arange(len(traces)) * len(found) // max(len(traces), 1), owed)
    return np.insert(found, places, inf)


def _arrival(traces: Traces) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    return np.argsort(traces.start_ns, kind="stable")


def _latency_claim(objective: Objective) -> Claim:
    percent = percentile_of(objective.statistic or "max")
    if percent is not None:
        return Claim(kind=Kind.PERCENTILE, operator=objective.operator, limit=objective.limit, percent=percent)
    return _claim(objective, Kind.MEAN if objective.statistic == "mean" else Kind.LARGEST)


def _claim(objective: Objective, kind: Kind) -> Claim:
    return Claim(kind=kind, operator=objective.operator, limit=objective.limit)


def _window_ns(name: str, traces: Traces) -> tuple[int, int] | None:
    if name != STEADY_OUTPUT_THROUGHPUT.name:
        return window_ns(traces)
    steady = steady_window(traces)
    return None if steady is None else (steady.start_ns, steady.end_ns)


def _carried(name: str, traces: Traces, limits: Mapping[str, float]) -> _Carried | None:
    """What a throughput counts, and when it came; None for a metric that is none."""
    ways: dict[str, Callable[[], _Carried]] = {
        REQUEST_THROUGHPUT.name: lambda: _at_the_end(traces, traces.completed, np.ones(len(traces))),
        GOODPUT.name: lambda: _at_the_end(traces, good_mask(traces, limits), np.ones(len(traces))),
        INPUT_THROUGHPUT.name: lambda: _at_the_end(traces, traces.completed, traces.prompt_tokens),
        OUTPUT_THROUGHPUT.name: lambda: _output(traces),
        STEADY_OUTPUT_THROUGHPUT.name: lambda: _output(traces),
        TOTAL_THROUGHPUT.name: lambda: _both(_at_the_end(traces, traces.completed, traces.prompt_tokens), _output(traces)),
    }
    return ways[name]() if name in ways else None


def _at_the_end(traces: Traces, chosen: Mask, amounts: Series | Ints) -> _Carried:
    return _Carried(at_ns=traces.end_ns[chosen].astype(np.float64), amounts=amounts[chosen].astype(np.float64))


def _output(traces: Traces) -> _Carried:
    """Tokens of completed requests, each with its event; those of an answer that came whole, at its end."""
    events = np.diff(traces.event_offset)
    streamed = np.repeat(traces.completed, events)
    whole = traces.completed & np.equal(events, 0) & np.greater(traces.output_tokens, 0)
    came = _Carried(at_ns=traces.event_ns[streamed].astype(np.float64), amounts=traces.event_tokens[streamed].astype(np.float64))
    return _both(came, _at_the_end(traces, whole, traces.output_tokens))


def _both(one: _Carried, other: _Carried) -> _Carried:
    return _Carried(at_ns=np.concatenate((one.at_ns, other.at_ns)), amounts=np.concatenate((one.amounts, other.amounts)))

"""The charts of one case: how latencies are distributed, how each request fared, and how tokens came in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.load.trace import Traces
from pytest_inferbench.objectives.verdict import Objective
from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting.chart import (
    FAILURE_COLOUR,
    PALETTE,
    Axis,
    Chart,
    LimitLine,
    Series,
    Style,
    spans_decades,
    with_limits,
)
from pytest_inferbench.reporting.figures import count, limit, quantity
from pytest_inferbench.reporting.per_request import Floats, Requests, cumulative, requests_of, thinned, throughput_of

TTFT_COLOUR, E2E_COLOUR, THROUGHPUT_COLOUR = PALETTE[0], PALETTE[1], PALETTE[2]
_POINTS_MAX = 500
_CURVE_POINTS_MAX = 200


def case_charts(record: Record, traces: Traces) -> tuple[Chart, ...]:
    """All charts of a case; those without a point to draw are left out."""
    requests = requests_of(traces)
    charts = (distribution_chart(record, requests), timeline_chart(record, requests), throughput_chart(record, traces))
    return tuple(chart for chart in charts if not chart.empty)


def distribution_chart(record: Record, requests: Requests) -> Chart:
    """Share of requests answered within a time, for the first token and for the whole answer."""
    attempted = len(requests.sent_s)
    series, every_ms = [], []
    for name, values, colour in _latencies(requests):
        x, y = cumulative(values, attempted, _CURVE_POINTS_MAX)
        every_ms += x.tolist()
        series.append(Series(name=name, x=floats(x), y=floats(y), style="steps", colour=colour))
    missing = attempted - int(np.sum(~np.isnan(requests.e2e_ms)))
    chart = Chart(
        title="Latency distribution",
        x=Axis(title="latency", unit="ms", log=spans_decades(tuple(every_ms))),
        y=Axis(title="requests within it", unit="%"),
        series=tuple(series),
        note=f"{count(missing)} of {count(attempted)} requests did not complete and never reach a curve." if missing else "",
        simulated=record.simulated,
    )
    return with_limits(chart, limits(record, metrics=("ttft", "e2e"), axis="x"))


def timeline_chart(record: Record, requests: Requests) -> Chart:
    """Each request by the time it was sent."""
    series, drawn = [], 0
    for name, values, colour in _latencies(requests):
        chosen = thinned(values, _POINTS_MAX)
        drawn = max(drawn, len(chosen))
        series.append(_points(name, requests.sent_s, values, chosen, colour))
    lost = thinned(requests.gave_up_ms, _POINTS_MAX)
    failures = _points("did not complete", requests.sent_s, requests.gave_up_ms, lost, FAILURE_COLOUR)
    every_ms = tuple(value for each in (*series, failures) for value in each.y)
    completed = int(np.sum(~np.isnan(requests.e2e_ms)))
    note = (
        f"{count(drawn)} of {count(completed)} completed requests are drawn, the slowest among them." if drawn < completed else ""
    )
    chart = Chart(
        title="Requests over time",
        x=Axis(title="sent after the first", unit="s", start_at_zero=False),
        y=Axis(title="latency", unit="ms", log=spans_decades(every_ms)),
        series=(*series, failures),
        note=note,
        simulated=record.simulated,
    )
    return with_limits(chart, limits(record, metrics=("ttft", "e2e"), axis="y"))


def throughput_chart(record: Record, traces: Traces) -> Chart:
    """Output tokens a second over the life of the case."""
    throughput = throughput_of(traces)
    note = f"In bins of {quantity(throughput.bin_s, 's')}." if len(throughput.middle_s) else ""
    if note and not traces.completed.all():
        note += " Tokens of requests that did not complete are in this chart, and not in the throughput of the case."
    x, y = floats(throughput.middle_s), floats(throughput.tokens_per_s)
    chart = Chart(
        title="Output throughput over time",
        x=Axis(title="time since the first request", unit="s"),
        y=Axis(title="output tokens", unit="tok/s"),
        series=(Series(name="output", x=x, y=y, style="line", colour=THROUGHPUT_COLOUR),),
        note=note,
        simulated=record.simulated,
    )
    return with_limits(chart, limits(record, metrics=("output_throughput",), axis="y"))


def limits(
    record: Record, *, metrics: Iterable[str], axis: Literal["x", "y"], statistic: str | None = None
) -> tuple[LimitLine, ...]:
    """The objectives of a case on these metrics (and this statistic, where one is named), as lines across an axis."""
    wanted = set(metrics)
    found = (each.objective for each in record.verdict.judgements)
    return tuple(
        LimitLine(axis=axis, value=objective.limit, text=_limit_text(objective))
        for objective in found
        if objective.metric in wanted and statistic in {None, objective.statistic}
    )


def _limit_text(objective: Objective) -> str:
    name = objective.metric.upper() if objective.metric in {"ttft", "tpot", "itl", "e2e"} else "throughput"
    return " ".join(part for part in (name, objective.statistic, limit(objective.operator, objective.limit)) if part)


def floats(values: Floats) -> tuple[float, ...]:
    """Values with five significant digits: more than a chart can show, and half the size of the report."""
    return tuple(float(f"{value:.5g}") for value in values.tolist())


def _latencies(requests: Requests) -> tuple[tuple[str, Floats, str], ...]:
    return ("TTFT", requests.ttft_ms, TTFT_COLOUR), ("E2E", requests.e2e_ms, E2E_COLOUR)


def _points(name: str, sent_s: Floats, values: Floats, chosen: NDArray[np.intp], colour: str) -> Series:
    style: Style = "crosses" if colour == FAILURE_COLOUR else "points"
    return Series(name=name, x=floats(sent_s[chosen]), y=floats(values[chosen]), style=style, colour=colour)

"""The charts of one case: how latencies are distributed, and how each request fared by the time it was sent."""

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
from pytest_inferbench.reporting.per_request import Floats, Requests, cumulative, histogram_of, thinned, throughput_of

TTFT_COLOUR, E2E_COLOUR, THROUGHPUT_COLOUR, TPOT_COLOUR = PALETTE[0], PALETTE[1], PALETTE[2], PALETTE[3]
_POINTS_MAX = 300
_CURVE_POINTS_MAX = 200
_BARS = 36
_SHOWN = (("ttft", "TTFT", TTFT_COLOUR), ("tpot", "TPOT", TPOT_COLOUR), ("e2e", "E2E", E2E_COLOUR))


def distribution_charts(record: Record, requests: Requests) -> tuple[Chart, ...]:
    """Share of requests answered within a time, and a histogram for each latency; those without a point are left out."""
    histograms = (_histogram(record, requests, *each) for each in _SHOWN)
    return tuple(chart for chart in (distribution_chart(record, requests), *histograms) if not chart.empty)


def distribution_chart(record: Record, requests: Requests) -> Chart:
    """Share of requests answered within a time, for the first token, for each further one, and for the whole answer."""
    attempted = len(requests.sent_s)
    series, every_ms = [], []
    for metric, name, colour in _SHOWN:
        x, y = cumulative(_values(requests, metric), attempted, _CURVE_POINTS_MAX)
        every_ms += x.tolist()
        series.append(Series(name=name, x=floats(x), y=floats(y), style="steps", colour=colour))
    missing = attempted - int(np.sum(~np.isnan(requests.e2e_ms)))
    notes = [f"{count(missing)} of {count(attempted)} requests did not complete and never reach a curve."] if missing else []
    if attempted > _CURVE_POINTS_MAX:
        notes.append(f"At most {_CURVE_POINTS_MAX} of {count(attempted)} steps are drawn; the curve is exact at each of them.")
    chart = Chart(
        title="Share of requests within a time (ECDF)",
        x=Axis(title="latency", unit="ms", log=spans_decades(tuple(every_ms))),
        y=Axis(title="requests within it", unit="%"),
        series=tuple(series),
        note=" ".join(notes),
        simulated=record.simulated,
    )
    return with_limits(chart, limits(record, metrics=("ttft", "tpot", "e2e"), axis="x"))


def _histogram(record: Record, requests: Requests, metric: str, name: str, colour: str) -> Chart:
    values = _values(requests, metric)
    log = spans_decades(tuple(values[~np.isnan(values)].tolist()))
    found = histogram_of(values, log=log, bins=_BARS)
    bars = Series(
        name=name,
        x=floats(found.edges[:-1]),
        to=floats(found.edges[1:]),
        y=tuple(map(float, found.counts.tolist())),
        style="bars",
        colour=colour,
    )
    chart = Chart(
        title=f"Histogram of {name}",
        x=Axis(title=name, unit="ms", log=log, start_at_zero=False),
        y=Axis(title="requests"),
        series=(bars,),
        simulated=record.simulated,
    )
    return with_limits(chart, limits(record, metrics=(metric,), axis="x"))


def timeline_chart(record: Record, requests: Requests) -> Chart:
    """Each request by the time it was sent."""
    series, drawn = [], 0
    for metric, name, colour in _SHOWN:
        if metric == "tpot":
            continue
        values = _values(requests, metric)
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
        title="Latency of each request",
        x=Axis(title="sent after the first", unit="s", start_at_zero=False),
        y=Axis(title="latency", unit="ms", log=spans_decades(every_ms)),
        series=(*series, failures),
        note=note,
        simulated=record.simulated,
    )
    return with_limits(chart, limits(record, metrics=("ttft", "e2e"), axis="y"))


def throughput_chart(record: Record, traces: Traces, *, link: str = "") -> Chart:
    """Output tokens a second over the life of the case."""
    throughput = throughput_of(traces)
    note = f"In bins of {quantity(throughput.bin_s, 's')}." if len(throughput.middle_s) else ""
    if note and not traces.completed.all():
        note += " Tokens of requests that did not complete are in this chart, and not in the throughput of the case."
    x, y = floats(throughput.middle_s), floats(throughput.tokens_per_s)
    chart = Chart(
        title="Output tokens",
        x=Axis(title="time since the first request", unit="s"),
        y=Axis(title="output tokens", unit="tok/s"),
        series=(Series(name="output", x=x, y=y, style="line", colour=THROUGHPUT_COLOUR),),
        note=note,
        simulated=record.simulated,
        link=link,
        flat=bool(link),
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


def _values(requests: Requests, metric: str) -> Floats:
    return {"ttft": requests.ttft_ms, "tpot": requests.tpot_ms, "e2e": requests.e2e_ms}[metric]


def _points(name: str, sent_s: Floats, values: Floats, chosen: NDArray[np.intp], colour: str) -> Series:
    style: Style = "crosses" if colour == FAILURE_COLOUR else "points"
    return Series(name=name, x=floats(sent_s[chosen]), y=floats(values[chosen]), style=style, colour=colour)

"""
The charts on top of the report: cases against each other.

A group is cases that differ in nothing but their load level: a sweep, which is drawn as a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Literal

from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting.case_charts import limits
from pytest_inferbench.reporting.chart import FRONT_COLOUR, PALETTE, Axis, Chart, LimitLine, Series, spans_decades, with_limits
from pytest_inferbench.reporting.figures import printable
from pytest_inferbench.reporting.pareto import front, per_gpu, user_speed

_LEVELS = {"concurrency": "users at once", "rate": "requests asked for", "speed": "times as fast as the trace"}
# p50, p90, p99 of one metric are shades of one idea: one colour each, the outer ones dashed.
_PERCENTILES = (("p50", PALETTE[0], False), ("p90", PALETTE[2], True), ("p99", PALETTE[1], False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Measured cases that differ only in load, lowest load first; ``axis`` is what the load counts."""

    name: str
    axis: Literal["concurrency", "rate", "speed"]
    records: tuple[Record, ...]


def groups(records: Sequence[Record]) -> tuple[Group, ...]:
    """Measured cases by everything but their load level, in the order they came."""
    found: dict[tuple[object, ...], list[Record]] = {}
    for record in records:
        if record.summary is not None and record.summary.counts.completed:
            found.setdefault(_key(record), []).append(record)
    shared = _shared_axes(list(found))
    return tuple(
        Group(
            name=" · ".join(str(part) for position, part in enumerate(key) if position not in shared) or str(key[2]),
            axis=_axis(members[0]),
            records=tuple(sorted(members, key=load_level)),
        )
        for key, members in found.items()
    )


def _key(record: Record) -> tuple[object, ...]:
    case = record.case
    engine = case.engine.name if case.engine.image is None else f"{case.engine.name} {case.engine.image}"
    model = (case.model, f"tp{case.tensor_parallel}")
    parts = (case.suite, case.hardware, engine, *model, case.traffic.text, case.api, case.load.shape)
    args = " ".join(f"{name}={value}" for name, value in case.engine.args)
    return *(printable(part) for part in parts), printable(args) or "no arguments"


def _axis(record: Record) -> Literal["concurrency", "rate", "speed"]:
    load = record.case.load
    if load.concurrency is not None:
        return "concurrency"
    return "speed" if load.trace is not None else "rate"


def _shared_axes(keys: list[tuple[object, ...]]) -> set[int]:
    """Positions that are the same for every group (or empty) and so say nothing in a group's name."""
    return {position for position, values in enumerate(zip(*keys, strict=True)) if len(set(values)) == 1}


def load_level(record: Record) -> float:
    """Users at once, or requests a second; of a replayed trace how many times as fast it was."""
    load = record.case.load
    if load.concurrency is not None:
        return float(load.concurrency)
    return 1 / load.time_scale if load.trace is not None else load.rate_per_s or nan


def comparison_charts(found: Sequence[Group]) -> tuple[Chart, ...]:
    """All groups in one picture: what throughput costs in latency."""
    return tuple(
        chart
        for metric, statistic, title in (("ttft", "p99", "Throughput against TTFT"), ("tpot", "p50", "Throughput against TPOT"))
        if not (chart := _comparison(found, metric=metric, statistic=statistic, title=title)).empty
    )


def load_charts(found: Sequence[Group]) -> tuple[Chart, ...]:
    """TTFT p99 and TPOT p50 of every sweep against its load, a chart for each kind of load; empty ones are left out."""
    charts = []
    for kind, what in _LEVELS.items():
        swept = [(place, group) for place, group in enumerate(found) if group.axis == kind and len(group.records) > 1]
        for metric, statistic in (("ttft", "p99"), ("tpot", "p50")) if swept else ():
            series = [
                _series(
                    group.records,
                    _Place(
                        metric=metric,
                        statistic=statistic,
                        name=group.name,
                        colour=PALETTE[place % len(PALETTE)],
                        against_load=True,
                    ),
                )
                for place, group in swept
            ]
            records = tuple(record for _, group in swept for record in group.records)
            chart = Chart(
                title=f"{metric.upper()} against load ({what})",
                x=_level_axis(kind, records),
                y=_latency_axis(f"{metric.upper()} {statistic}", series),
                series=tuple(series),
                simulated=any(record.simulated for record in records),
            )
            charts.append(with_limits(chart, _common_limits(records, metric, statistic)))
    return tuple(chart for chart in charts if not chart.empty)


def _level_axis(kind: str, records: Sequence[Record]) -> Axis:
    levels = tuple(load_level(record) for record in records if isfinite(load_level(record)))
    return Axis(
        title=_LEVELS[kind],
        unit="req/s" if kind == "rate" else "",
        log=spans_decades(levels, ratio=7),
        ticks=tuple(sorted(set(levels))),
    )


def pareto_chart(found: Sequence[Group]) -> Chart:
    """All cases by the speed each user sees and the output of each GPU; those that no other one beats in both are joined."""
    records = [record for group in found for record in group.records]
    points = [(user_speed(record), per_gpu(record)) for record in records]
    best = front(points)
    on_gpus = any(record.case.gpus for record in records)
    line = Series(
        name="front",
        x=tuple(_rounded(points[place][0]) for place in best),
        y=tuple(_rounded(points[place][1]) for place in best),
        style="line",
        colour=FRONT_COLOUR,
        dash=True,
    )
    return Chart(
        title=f"Output per {'GPU' if on_gpus else 'server'} against speed per user",
        x=Axis(title="speed each user sees (1 / TPOT p50)", unit="tok/s"),
        y=Axis(title=f"output throughput per {'GPU' if on_gpus else 'server'}", unit="tok/s"),
        series=(line, *(_trade(group, PALETTE[index % len(PALETTE)]) for index, group in enumerate(found))),
        note="Upper right is better. A CPU server counts as one GPU." if on_gpus and not _all_on_gpus(records) else "",
        simulated=any(record.simulated for record in records),
    )


def _all_on_gpus(records: Sequence[Record]) -> bool:
    return all(record.case.gpus for record in records)


def _trade(group: Group, colour: str) -> Series:
    points = [(user_speed(record), per_gpu(record), printable(record.case.id)) for record in group.records]
    known = [(x, y, case_id) for x, y, case_id in points if isfinite(x) and isfinite(y)]
    return Series(
        name=group.name,
        x=tuple(_rounded(x) for x, _, _ in known),
        y=tuple(_rounded(y) for _, y, _ in known),
        style="points",
        colour=colour,
        hover=tuple(case_id for _, _, case_id in known),
    )


def _comparison(found: Sequence[Group], *, metric: str, statistic: str, title: str) -> Chart:
    series = [
        _series(group.records, _Place(metric=metric, statistic=statistic, name=group.name, colour=PALETTE[index % len(PALETTE)]))
        for index, group in enumerate(found)
    ]
    records = [record for group in found for record in group.records]
    chart = Chart(
        title=title,
        x=Axis(title="output throughput", unit="tok/s"),
        y=_latency_axis(f"{metric.upper()} {statistic}", series),
        series=tuple(series),
        simulated=any(record.simulated for record in records),
    )
    return with_limits(chart, _common_limits(records, metric, statistic))


def sweep_charts(group: Group) -> tuple[Chart, ...]:
    """The charts of one sweep: latency percentiles against throughput and against load, and throughput against load."""
    level = _level_axis(group.axis, group.records)
    finite = tuple(record for record in group.records if isfinite(load_level(record)))
    note = "A load without a limit has no place on this axis and is left out." if len(finite) < len(group.records) else ""
    charts = (
        _percentiles(group.records, "ttft", x=Axis(title="output throughput", unit="tok/s"), title="TTFT against throughput"),
        _percentiles(finite, "ttft", x=level, title="TTFT against load", note=note),
        _percentiles(finite, "tpot", x=level, title="TPOT against load", note=note),
        _throughput(finite, level, note),
    )
    return tuple(chart for chart in charts if not chart.empty)


def _percentiles(records: Sequence[Record], metric: str, *, x: Axis, title: str, note: str = "") -> Chart:
    against_load = x.title != "output throughput"
    series = [
        _series(
            records,
            _Place(metric=metric, statistic=name, name=name, colour=colour, dash=dash, against_load=against_load),
        )
        for name, colour, dash in _PERCENTILES
    ]
    chart = Chart(
        title=title,
        x=x,
        y=_latency_axis(metric.upper(), series),
        series=tuple(series),
        note=note,
        simulated=any(record.simulated for record in records),
    )
    return with_limits(chart, _common_limits(records, metric, None))


def _throughput(records: Sequence[Record], level: Axis, note: str) -> Chart:
    points = [
        (load_level(record), value, record)
        for record in records
        if record.summary and isfinite(value := record.summary.scalars.get("output_throughput", float("nan")))
    ]
    series = Series(
        name="output throughput",
        x=tuple(level for level, _, _ in points),
        y=tuple(_rounded(value) for _, value, _ in points),
        style="line+points",
        colour=PALETTE[2],
        hover=tuple(printable(record.case.id) for _, _, record in points),
    )
    chart = Chart(
        title="Throughput against load",
        x=level,
        y=Axis(title="output throughput", unit="tok/s"),
        series=(series,),
        note=note,
        simulated=any(record.simulated for record in records),
    )
    return with_limits(chart, _common_limits(records, "output_throughput", None))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Which figure of each record a series shows, and how."""

    metric: str
    statistic: str
    name: str
    colour: str
    dash: bool = False
    against_load: bool = False


def _series(records: Sequence[Record], place: _Place) -> Series:
    points: list[tuple[float, float, str]] = []
    for record in records:
        summary = record.summary
        if summary is None or place.metric not in summary.distributions:
            continue
        x = load_level(record) if place.against_load else summary.scalars.get("output_throughput", float("nan"))
        y = float(getattr(summary.distributions[place.metric], place.statistic))
        if isfinite(x) and isfinite(y):
            points.append((_rounded(x), _rounded(y), printable(record.case.id)))
    return Series(
        name=place.name,
        x=tuple(x for x, _, _ in points),
        y=tuple(y for _, y, _ in points),
        style="line+points",
        colour=place.colour,
        dash=place.dash,
        hover=tuple(case_id for _, _, case_id in points),
    )


def _latency_axis(title: str, series: Sequence[Series]) -> Axis:
    return Axis(title=title, unit="ms", log=spans_decades(tuple(value for each in series for value in each.y), ratio=20))


def _common_limits(records: Sequence[Record], metric: str, statistic: str | None) -> tuple[LimitLine, ...]:
    """Limits that hold for every one of the records, so that a line never seems to judge a case it does not belong to."""
    each = [set(limits(record, metrics=(metric,), axis="y", statistic=statistic)) for record in records]
    common = set.intersection(*each) if each else set()
    return tuple(sorted(common, key=lambda limit: limit.value))


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")

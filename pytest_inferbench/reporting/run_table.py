"""
The cases of a run as a table for the report's script: their places in the matrix, their figures, and their limits.

Rule: what is drawn across cases is drawn from this one table, so no figure of a case is in the page twice.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import isfinite, nan
from typing import Any

from pytest_inferbench.metrics.registry import metric
from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting.figures import printable
from pytest_inferbench.reporting.overview_charts import groups, load_level
from pytest_inferbench.reporting.pareto import per_gpu, user_speed
from pytest_inferbench.reporting.terminal import reasons

LATENCIES = ("ttft", "tpot", "itl", "e2e")
STATISTICS = ("p50", "p90", "p99")
SCALARS = ("output_throughput", "total_throughput", "request_throughput", "goodput", "error_rate")


def figures_of(record: Record) -> dict[str, float]:
    """The figures of a case that charts across cases may show, by name; only those that it has."""
    summary = record.summary
    if summary is None:
        return {}
    found = {
        f"{name}_{statistic}": float(getattr(distribution, statistic))
        for name in LATENCIES
        if (distribution := summary.distributions.get(name)) is not None and distribution.count
        for statistic in STATISTICS
    }
    found |= {name: summary.scalars.get(name, nan) for name in SCALARS}
    found |= {"per_gpu": per_gpu(record), "user_speed": user_speed(record)}
    return {name: float(f"{value:.5g}") for name, value in found.items() if isfinite(value)}


def axes_of(record: Record) -> dict[str, str]:
    """The case's place in the matrix as words, by axis."""
    case = record.case
    arguments = " ".join(f"{name}={value}" for name, value in case.engine.args)
    axes: dict[str, object] = {
        "verdict": record.verdict.outlook.value,
        **case.axes,
        "image": case.engine.image or "",
        "arguments": arguments,
        "load": _load_words(record),
        "origin": "simulated" if record.simulated else "measured",
    }
    for name in ("concurrency", "rate", "time_scale", "sweep"):
        axes.pop(name, None)
    return {name: printable(str(value)) for name, value in axes.items() if value != ""}


def _load_words(record: Record) -> str:
    level, load = load_level(record), record.case.load
    if load.concurrency is not None:
        return f"{level:g} user{'' if level == 1 else 's'}"
    if load.trace is not None:
        return f"trace x {level:g}"
    return f"{level:g} req/s" if isfinite(level) else "all at once"


def run_table(records: Sequence[Record], expected: Collection[str] = ()) -> dict[str, Any]:
    """
    All cases and groups as plain JSON.

    A case has its ``id``, ``axes``, ``figures``, ``limits``, ``level`` of load, and the index of its group; an index of -1
    stands for none.
    """
    places = {id(record): place for place, record in enumerate(records)}
    found = groups(records)
    group_of = {places[id(record)]: number for number, group in enumerate(found) for record in group.records}
    return {
        "cases": [_case(record, group_of.get(place, -1), expected) for place, record in enumerate(records)],
        "groups": [
            {"name": group.name, "axis": group.axis, "cases": [places[id(record)] for record in group.records]} for group in found
        ],
        "gpus": any(record.case.gpus for record in records),
        "units": {name: metric(name).unit for name in (*LATENCIES, *SCALARS)} | {"per_gpu": "tok/s", "user_speed": "tok/s"},
    }


def _case(record: Record, group: int, expected: Collection[str]) -> dict[str, Any]:
    level = load_level(record)
    return {
        "id": printable(record.case.id),
        "node": record.node_id,
        "axes": axes_of(record),
        "figures": figures_of(record),
        "limits": [
            [each.objective.metric, each.objective.statistic or "", each.objective.operator, each.objective.limit]
            for each in record.verdict.judgements
            if isfinite(each.objective.limit)
        ],
        "level": level if isfinite(level) else None,
        "group": group,
        "expected": record.node_id in expected,
        "simulated": record.simulated,
        "why": "; ".join(printable(reason) for reason in reasons(record))[:400],
    }

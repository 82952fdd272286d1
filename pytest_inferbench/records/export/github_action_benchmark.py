"""
github-action-benchmark's custom JSON: one file for figures of which bigger is better, one for the others.

Rule: this plugin's own figures and definitions, for the tool has none; the unit is a part of every entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from pytest_inferbench.metrics.metric import Better, Latency
from pytest_inferbench.metrics.registry import METRICS
from pytest_inferbench.records.export.exportable import Export, Exportable, ExportFile

BIGGER, SMALLER = "bigger_is_better.json", "smaller_is_better.json"
_STATISTICS = ("mean", "p50", "p90", "p99")
_LATENCIES = ("ttft", "tpot", "itl", "e2e")
# A figure to watch from run to run; how long a window was is none.
_SCALARS = ("request_throughput", "output_throughput", "total_throughput", "goodput", "error_rate")


def files(cases: Sequence[Exportable]) -> Export:
    """Two files; one that would be empty is not written."""
    found: dict[str, list[dict[str, Any]]] = {BIGGER: [], SMALLER: []}
    for case in cases:
        extra = _extra(case)
        for name, value in _figures(case):
            metric = METRICS[name.partition("/")[0]]
            entry = {"name": f"{case.name}: {name.replace('/', ' ')}", "unit": metric.unit, "value": value, "extra": extra}
            found[BIGGER if metric.better is Better.BIGGER else SMALLER].append(entry)
    return Export(files=tuple(ExportFile(path=name, content=entries) for name, entries in found.items() if entries))


def _figures(case: Exportable) -> list[tuple[str, float]]:
    latencies = [
        (f"{name}/{statistic}", getattr(case.summary.distributions[name], statistic))
        for name in _LATENCIES
        if isinstance(METRICS[name], Latency) and name in case.summary.distributions
        for statistic in _STATISTICS
    ]
    scalars = [(name, case.summary.scalars[name]) for name in _SCALARS if name in case.summary.scalars]
    return [(name, value) for name, value in (*latencies, *scalars) if isfinite(value)]


def _extra(case: Exportable) -> str:
    facts = {
        "model": case.model,
        "engine": f"{case.engine} {case.engine_version or ''}".strip(),
        "hardware": case.gpu,
        "requests": str(case.summary.counts.attempted),
        "verdict": case.record.verdict.outlook.value,
        "simulated": str(case.record.simulated).lower(),
    }
    return "\n".join(f"{name}: {value}" for name, value in facts.items())

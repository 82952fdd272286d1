"""A case as JUnit properties, which any CI server keeps and draws over time."""

from __future__ import annotations

from math import isfinite

from pytest_inferbench.metrics.registry import metric
from pytest_inferbench.metrics.summary import Distribution, Summary
from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting.figures import printable

_STATISTICS = ("mean", "p50", "p90", "p95", "p99", "max")


def properties(record: Record) -> list[tuple[str, str]]:
    """
    What goes into the case's ``<properties>``, for ``item.user_properties``.

    Metrics carry their unit in the name (``ttft_ms_p99``, ``output_throughput_tokens_per_s``) and have six significant digits.
    A figure that was not measured has no property, so that no chart of a CI server shows it as zero.
    """
    found = [
        ("verdict", record.verdict.outlook.value),
        ("simulated", "true" if record.simulated else "false"),
        *((name, printable(str(value))) for name, value in record.case.axes.items()),
    ]
    found += [("missed", each.objective.text) for each in record.verdict.judgements if each.outlook is Outlook.FAIL]
    return found + (_figures(record.summary) if record.summary else [])


def _figures(summary: Summary) -> list[tuple[str, str]]:
    counts = summary.counts
    found = [
        ("requests_attempted", str(counts.attempted)),
        ("requests_completed", str(counts.completed)),
        ("requests_failed", str(counts.failed)),
        ("requests_timed_out", str(counts.timed_out)),
        ("requests_cancelled", str(counts.cancelled)),
        ("window_s", f"{summary.window_s:.6g}"),
    ]
    for name, distribution in summary.distributions.items():
        found += _distribution(metric(name).column, distribution)
    found += [(metric(name).column, f"{value:.6g}") for name, value in summary.scalars.items() if isfinite(value)]
    return found


def _distribution(column: str, distribution: Distribution) -> list[tuple[str, str]]:
    values = ((f"{column}_{each}", getattr(distribution, each)) for each in _STATISTICS)
    return [(name, f"{value:.6g}") for name, value in values if isfinite(value)]

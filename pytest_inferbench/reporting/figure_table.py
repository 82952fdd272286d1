"""Every figure of one case as a table on the terminal."""

from __future__ import annotations

from pytest_inferbench.metrics.registry import METRICS
from pytest_inferbench.metrics.summary import Distribution
from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting.figures import number
from pytest_inferbench.reporting.terminal import TerminalWriter

_STATISTICS = ("mean", "p50", "p90", "p95", "p99", "max")
_NAME_WIDTH = 26
_WIDTH = 10


def write_figures(terminal: TerminalWriter, record: Record) -> None:
    """Write the distributions that have a value and the scalars of a case; nothing where it has no figures."""
    summary = record.summary
    if summary is None:
        return
    heads = "".join(f"{head:>{_WIDTH}}" for head in (*_STATISTICS, "count"))
    terminal.line(f"{'latency':<{_NAME_WIDTH}}{heads}", bold=True)
    for name, distribution in summary.distributions.items():
        if not distribution.count:
            continue
        terminal.line(f"{_label(name):<{_NAME_WIDTH}}{_row(distribution)}")
    terminal.line(f"{'throughput':<{_NAME_WIDTH}}{'value':>{_WIDTH}}", bold=True)
    for name, value in summary.scalars.items():
        terminal.line(f"{_label(name):<{_NAME_WIDTH}}{number(value):>{_WIDTH}}")


def _row(distribution: Distribution) -> str:
    figures = "".join(f"{number(getattr(distribution, name)):>{_WIDTH}}" for name in _STATISTICS)
    return f"{figures}{distribution.count:>{_WIDTH},}"


def _label(name: str) -> str:
    unit = METRICS[name].unit
    return f"{name} ({unit})" if unit != "1" else name

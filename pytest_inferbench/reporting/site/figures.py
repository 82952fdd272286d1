"""Which figures of a case the site shows, searches for changes, and compares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pytest_inferbench.metrics.end_to_end import E2E
from pytest_inferbench.metrics.error_rate import ERROR_RATE
from pytest_inferbench.metrics.first_token import TTFT
from pytest_inferbench.metrics.goodput import GOODPUT
from pytest_inferbench.metrics.inter_token import ITL
from pytest_inferbench.metrics.metric import Latency, Scalar
from pytest_inferbench.metrics.output_token import TPOT
from pytest_inferbench.metrics.registry import LATENCIES, SCALARS
from pytest_inferbench.metrics.throughput import OUTPUT_THROUGHPUT, REQUEST_THROUGHPUT

_STATISTICS = ("mean", "p50", "p90", "p95", "p99", "max")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """
    A column of figures in the history.

    ``statistic`` is empty where a metric is one number for a case; ``short`` names both in a table's head.
    """

    metric: Latency | Scalar
    statistic: str

    @property
    def column(self) -> str:
        """As in ``results.csv``: ``ttft_ms_p99``."""
        return f"{self.metric.column}_{self.statistic}" if self.statistic else self.metric.column

    @property
    def short(self) -> str:
        """As people say it: ``TTFT p99``, ``output throughput``."""
        name = self.metric.name
        words = name.upper() if name in _INITIALS else name.replace("_", " ")
        return f"{words} {self.statistic}".strip()


_INITIALS = frozenset(each.name for each in (TTFT, TPOT, ITL, E2E))


def _every() -> Iterator[Figure]:
    for latency in LATENCIES:
        yield from (Figure(metric=latency, statistic=each) for each in _STATISTICS)
    yield from (Figure(metric=scalar, statistic="") for scalar in SCALARS)


FIGURES: tuple[Figure, ...] = tuple(_every())
"""Every figure there is, in the order of the registry."""
HEADLINES: tuple[Figure, ...] = (
    Figure(metric=TTFT, statistic="p99"),
    Figure(metric=TPOT, statistic="p50"),
    Figure(metric=OUTPUT_THROUGHPUT, statistic=""),
)
"""What the overview has room for."""
COMPARED: tuple[Figure, ...] = (
    Figure(metric=TTFT, statistic="p50"),
    Figure(metric=TTFT, statistic="p99"),
    Figure(metric=TPOT, statistic="p50"),
    Figure(metric=TPOT, statistic="p99"),
    Figure(metric=ITL, statistic="p99"),
    Figure(metric=E2E, statistic="p50"),
    Figure(metric=E2E, statistic="p99"),
    Figure(metric=REQUEST_THROUGHPUT, statistic=""),
    Figure(metric=OUTPUT_THROUGHPUT, statistic=""),
    Figure(metric=GOODPUT, statistic=""),
    Figure(metric=ERROR_RATE, statistic=""),
)
"""What is searched for changes and compared between runs; more would be the same change under another name."""

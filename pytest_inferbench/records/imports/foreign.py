"""
A result that another tool measured, in our words as far as they mean the same.

Rule: a figure stands under a name of `metrics.registry` only where that tool's definition is ours; every other one stands under
the tool's own name, such as ``lpg_tpot_ms_mean``, so that nobody compares two things of one name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isnan, nan
from typing import Any

from pytest_inferbench.metrics.summary import Counts, Distribution

STATISTICS = ("mean", "p50", "p90", "p95", "p99", "max")
Statistics = Mapping[str, float]
"""Values by `STATISTICS`, as far as the tool has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignResult:
    """
    One load that another tool drove.

    Attributes:
        tool: who measured, such as ``genai-bench``; version: its own word for it.
        file: where it was read from.
        name: of the result, as the tool tells it.
        engine, hardware, traffic: ``unknown`` where the file does not say; traffic in the grammar of suites.
        concurrency: users of a closed loop; None: it was none, or is not known.
        rate_per_s: requests a second of an open loop; None likewise.
        started_at: ISO 8601 with a zone; None where the file does not say.
        distributions: under our names, of the same definition and in our units.
        scalars: likewise.
        figures: all others, under the tool's own names.
        columns: a value a request, by name with its unit; None where a request has none.
        simulated: the file says that nothing real was measured.
    """

    tool: str
    version: str | None
    file: str
    name: str
    model: str
    counts: Counts
    duration_s: float
    prompt_tokens: int = 0
    output_tokens: int = 0
    engine: str = "unknown"
    engine_version: str | None = None
    hardware: str = "unknown"
    tensor_parallel: int = 1
    traffic: str = "unknown"
    concurrency: int | None = None
    rate_per_s: float | None = None
    started_at: str | None = None
    distributions: Mapping[str, Distribution] = field(default_factory=dict)
    scalars: Mapping[str, float] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    columns: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    simulated: bool = False


def distribution(statistics: Statistics, *, count: int) -> Distribution:
    """Of what a tool tells of a distribution; NaN for what it does not."""
    return Distribution(count=count, **{name: statistics.get(name, nan) for name in STATISTICS})


def own(tool: str, metric: str, statistics: Statistics) -> dict[str, float]:
    """Figures of the tool's own definition: ``{tool}_{metric}_{statistic}``, where ``metric`` ends in its unit."""
    prefix = tool.replace("-", "_")
    return {f"{prefix}_{metric}_{name}": value for name, value in statistics.items() if not isnan(value)}


def counts_of(*, attempted: int, completed: int, cancelled: int = 0) -> Counts:
    """Requests that did not complete failed, as far as a tool tells; those cancelled are known to some."""
    return Counts(
        attempted=attempted, completed=completed, failed=attempted - completed - cancelled, timed_out=0, cancelled=cancelled
    )


def error_rate(counts: Counts) -> float:
    """The share of requests that did not complete, as everywhere here."""
    return (counts.attempted - counts.completed) / counts.attempted if counts.attempted else nan


def says_simulated(value: Any) -> bool:
    """Whether a mark of ours, a boolean or a text, says so."""
    return value is True or str(value).lower() == "true"

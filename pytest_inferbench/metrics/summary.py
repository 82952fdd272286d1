"""The figures of one case, and their shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """
    One latency metric over the requests (or, for ``itl``, over the tokens) that have it; unit by the metric's definition.

    With ``count`` 0 every other field is NaN. Percentiles are linearly interpolated order statistics (NumPy's ``linear``).
    """

    count: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Where every request went: attempted = completed + failed + timed_out + cancelled."""

    attempted: int
    completed: int
    failed: int
    timed_out: int
    cancelled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """
    The figures of one case.

    ``distributions`` maps a latency metric's name (``ttft``, ``tpot``, ``itl``, ``e2e`` ...) to its distribution in that
    metric's unit; ``scalars`` maps a throughput or ratio metric's name (``output_throughput``, ``error_rate`` ...) to its
    value. Names, units and formulas stand in `metrics.registry`. ``window_s`` is what throughput is divided by.
    """

    counts: Counts
    window_s: float
    prompt_tokens: int
    output_tokens: int
    distributions: Mapping[str, Distribution]
    scalars: Mapping[str, float]

"""What is decided of a case."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import nan


class Outlook(StrEnum):
    """The four values of a verdict."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """
    One service level objective, such as ``ttft_p99 <= 500ms``.

    ``metric`` is a name of `metrics.registry`, ``statistic`` one of mean, p50, p90, p95, p99, max, or None for a metric that
    is one number. ``limit`` is in the metric's own unit. ``text`` is the canonical expression.
    """

    metric: str
    statistic: str | None
    operator: str
    limit: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """
    One objective held against one case.

    Attributes:
        actual: the figure in the metric's unit, NaN where it could not be measured.
        low: with ``high``, what the true figure lies between with ``confidence``; NaN where nobody can tell, or nobody asked.
        high: see ``low``.
        confidence: how sure the outlook is; 0 where the figure as seen was held against the limit.
        counting: as how many independent values those seen count; NaN where nobody asked.
        reason: what a reader must know of the figure or the outlook; empty where they speak for themselves.
    """

    objective: Objective
    outlook: Outlook
    actual: float
    unit: str
    reason: str
    low: float = nan
    high: float = nan
    confidence: float = 0.0
    counting: float = nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """All objectives of a case together; ``outlook`` is the worst of its judgements, ``reasons`` says why it is invalid."""

    outlook: Outlook
    judgements: tuple[Judgement, ...]
    reasons: tuple[str, ...] = ()

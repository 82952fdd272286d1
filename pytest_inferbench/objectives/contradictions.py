"""
Objectives that contradict each other, or of which one can never be missed beside another one.

Rule: pure; asked before anything starts. Whoever writes two limits on one figure means one of them, and nobody knows which.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.metrics.goodput import GOODPUT
from pytest_inferbench.metrics.throughput import REQUEST_THROUGHPUT
from pytest_inferbench.objectives.slo import percentile_of
from pytest_inferbench.objectives.verdict import Objective
from pytest_inferbench.units import format_quantity


def refuse_contradictions(objectives: Sequence[Objective], *, rate_per_s: float | None = None, file: str | None = None) -> None:
    """
    Nothing, where the objectives of a case can be met, and missed, side by side.

    ``rate_per_s`` is what an open loop offers: nothing can complete more requests than are sent.

    Raises:
        ConfigError: two are on one figure, a larger percentile has the smaller limit, or no server could meet one; says which.
    """
    problem = _twice(objectives) or _upside_down(objectives) or _beyond(objectives, rate_per_s)
    if problem:
        raise ConfigError(problem, file=file, field="slo")


def _twice(objectives: Sequence[Objective]) -> str:
    seen: dict[tuple[str, str | None], Objective] = {}
    for each in objectives:
        other = seen.setdefault((each.metric, each.statistic), each)
        if (other.operator, other.limit) != (each.operator, each.limit):
            return f"{other.text!r} and {each.text!r} are two limits on one figure; keep one"
    return ""


def _upside_down(objectives: Sequence[Objective]) -> str:
    """A p50 is never larger than a p99: with the larger limit it could never be missed alone."""
    ranked = sorted((each for each in objectives if _rank(each) is not None), key=lambda each: _rank(each) or 0.0)
    for place, lower in enumerate(ranked):
        for upper in ranked[place + 1 :]:
            if lower.metric == upper.metric and _rank(lower) != _rank(upper) and lower.limit > upper.limit:
                return (
                    f"{lower.text!r} can never be missed unless {upper.text!r} is: a {lower.statistic} is at most the "
                    f"{upper.statistic}; is one of the limits a slip?"
                )
    return ""


def _rank(objective: Objective) -> float | None:
    """The place of a statistic among percentiles, 100 for the largest value; None for a mean or a scalar."""
    if objective.statistic is None:
        return None
    return 100.0 if objective.statistic == "max" else percentile_of(objective.statistic)


def _beyond(objectives: Sequence[Objective], rate_per_s: float | None) -> str:
    offered = inf if rate_per_s is None else rate_per_s
    for each in objectives:
        if each.metric in (GOODPUT.name, REQUEST_THROUGHPUT.name) and each.limit > offered:
            return (
                f"{each.text!r} cannot be met: the load sends {format_quantity(offered, 'req/s')}, and no server completes more "
                f"than is sent; raise the rate, or lower the limit"
            )
    return ""

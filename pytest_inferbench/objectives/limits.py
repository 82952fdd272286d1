"""What a case's objectives say about single requests, for goodput and for the client's audit of itself."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nextafter

from pytest_inferbench.metrics.goodput import LIMITABLE
from pytest_inferbench.metrics.metric import Latency
from pytest_inferbench.metrics.registry import METRICS
from pytest_inferbench.objectives.verdict import Objective


def goodput_limits(objectives: Sequence[Objective]) -> dict[str, float]:
    """
    The largest good value of each per-request latency that has an objective, in the metric's unit: the tightest limit counts.

    A limit with ``<`` is the largest number below it, so that every limit reads "at most".
    """
    limits: dict[str, float] = {}
    for objective in objectives:
        if objective.metric in LIMITABLE:
            limit = objective.limit if objective.operator == "<=" else nextafter(objective.limit, -inf)
            limits[objective.metric] = min(limit, limits.get(objective.metric, inf))
    return limits


def tightest_latency_limit_ms(objectives: Sequence[Objective]) -> float | None:
    """The smallest limit on any latency, in milliseconds; None where no objective is on one."""
    latencies = [objective.limit for objective in objectives if isinstance(METRICS[objective.metric], Latency)]
    return min(latencies, default=None)

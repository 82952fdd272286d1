"""
The highest load that meets the other objectives: figures of a search, which no single load has.

They are computed where levels are judged, and stand in the summary of a case that searched for them.
"""

from __future__ import annotations

from math import nan

from pytest_inferbench.metrics.metric import Better, Kind, Scalar
from pytest_inferbench.metrics.totals import Totals


def unsearched(totals: Totals) -> float:
    """NaN: the requests of one load say nothing of other loads."""
    del totals
    return nan


MAX_RATE = Scalar(
    name="max_rate",
    title="highest rate that meets the objectives",
    unit="req/s",
    formula="the highest rate tried at which every other objective is met for sure, and below every rate at which one is missed",
    better=Better.BIGGER,
    kind=Kind.THROUGHPUT,
    compute=unsearched,
)
MAX_CONCURRENCY = Scalar(
    name="max_concurrency",
    title="most users at once with whom the objectives are met",
    unit="users",
    formula="the most users tried with whom every other objective is met for sure, and fewer than any with whom one is missed",
    better=Better.BIGGER,
    kind=Kind.THROUGHPUT,
    compute=unsearched,
)
SEARCHED = {each.name: each for each in (MAX_RATE, MAX_CONCURRENCY)}

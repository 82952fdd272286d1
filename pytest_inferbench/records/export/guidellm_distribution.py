"""
guidellm's distributions: weighted, with percentiles that are always one of the values.

Rule: a percentile is the smallest value whose cumulated share of weight reaches it (the inverted distribution function), never
something between two values. Source: guidellm ``schemas/base/statistics.py``.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.metrics.metric import Samples

PERCENTILES = {
    "p001": 0.001,
    "p01": 0.01,
    "p05": 0.05,
    "p10": 0.1,
    "p25": 0.25,
    "p50": 0.5,
    "p75": 0.75,
    "p90": 0.9,
    "p95": 0.95,
    "p99": 0.99,
    "p999": 0.999,
}
MERGED_S = 1e-4
"""Instants nearer than this are one in guidellm's rates."""
_SHORTEST_S = 1e-6


def summary(values: Samples, weights: Samples | None = None, *, count: int | None = None) -> dict[str, Any]:
    """
    A distribution as guidellm writes it; all 0 where there is no value.

    ``weights`` are 1 each without it; ``count`` is their sum without it.
    """
    weights = np.ones(len(values)) if weights is None else weights
    total = round(float(weights.sum())) if count is None else count
    if not len(values):
        return {
            **_figures(0.0, 0.0, 0.0, 0.0, 0.0),
            "count": total,
            "total_sum": 0.0,
            "percentiles": dict.fromkeys(PERCENTILES, 0.0),
        }
    unique, groups = np.unique(values, return_inverse=True)
    summed: Samples = np.bincount(groups, weights=weights).astype(np.float64)
    if summed.sum() <= _SHORTEST_S:
        summed = np.ones(len(unique))
    unique, summed = unique[summed > 0], summed[summed > 0]
    shares = summed / summed.sum()
    mean = float((unique * shares).sum())
    variance = float(((unique - mean) ** 2 * shares).sum())
    # The last sum may be a little less than 1; the largest value is then what was meant.
    picked = np.minimum(np.searchsorted(np.cumsum(shares), list(PERCENTILES.values())), len(unique) - 1)
    return {
        **_figures(mean, float(unique[np.argmax(shares)]), variance, float(unique[0]), float(unique[-1])),
        "median": float(unique[picked[list(PERCENTILES).index("p50")]]),
        "count": total,
        "total_sum": mean * total,
        "percentiles": {name: float(unique[place]) for name, place in zip(PERCENTILES, picked, strict=True)},
    }


def _figures(mean: float, mode: float, variance: float, least: float, most: float) -> dict[str, Any]:
    return {
        "mean": mean,
        "median": 0.0,
        "mode": mode,
        "variance": variance,
        "std_dev": sqrt(variance),
        "min": least,
        "max": most,
        "pdf": None,
    }


def rate_summary(times_s: Samples, amounts: Samples, *, window_s: tuple[float, float]) -> dict[str, Any]:
    """
    How much a second: the rate around each instant, weighted with the time that it stands for.

    An instant stands for the time half-way to its neighbours; the window's ends are instants of no amount.
    """
    times = np.concatenate(([window_s[0]], times_s, [window_s[1]]))
    amounts = np.concatenate(([0.0], amounts, [0.0]))
    order = np.argsort(times, kind="stable")
    times, amounts = _merged(times[order], amounts[order])
    if len(times) < 2:
        return summary(np.empty(0), count=len(times))
    middles = (times[1:] + times[:-1]) / 2
    lengths = np.diff(np.concatenate(([times[0]], middles, [max(times[-1], middles[-1] + _SHORTEST_S)])))
    return summary(amounts / lengths, lengths, count=round(float(amounts.sum())))


def concurrency_summary(starts_s: Samples, ends_s: Samples, *, window_s: tuple[float, float]) -> dict[str, Any]:
    """How many at once, weighted with how long it was so."""
    times = np.concatenate((starts_s, ends_s))
    changes = np.concatenate((np.ones(len(starts_s)), -np.ones(len(ends_s))))
    order = np.argsort(times, kind="stable")
    times, changes = _merged(times[order], changes[order])
    times = np.concatenate(([window_s[0]], times, [window_s[1]]))
    levels = np.maximum(np.cumsum(np.concatenate(([0.0], changes, [0.0]))), 0)
    lengths = np.maximum(np.diff(times), 0)
    if not (lengths > 0).any():
        return summary(np.empty(0), count=len(starts_s))
    return summary(levels[:-1], lengths, count=len(starts_s))


def _merged(times: NDArray[np.float64], amounts: NDArray[np.float64]) -> tuple[Samples, Samples]:
    """Instants within `MERGED_S` of the first of their group become that one, their amounts added; times are sorted."""
    starts, place = [], 0
    while place < len(times):
        starts.append(place)
        place = int(np.searchsorted(times, times[place] + MERGED_S, side="right"))
    if not starts:
        return times, amounts
    return times[starts], np.add.reduceat(amounts, starts)

"""
Student's t distribution with a whole number of degrees of freedom.

Rule: exact finite sums, so that nothing is needed that takes long to import. M. Abramowitz, I. Stegun, *Handbook of Mathematical
Functions*, 26.7.3 and 26.7.4.
"""

from __future__ import annotations

from math import atan2, cos, inf, pi, sin, sqrt
from statistics import NormalDist

_NORMAL = NormalDist()
_NORMAL_FROM = 400
"""Degrees of freedom from which the normal distribution stands in: quantiles then differ by less than 0.3 %."""
_HALVINGS = 100
_LARGEST = 1e9


def upper_tail(t: float, freedom: float) -> float:
    """P(T > t); ``freedom`` is a whole number of at least 1, or infinite for the normal distribution."""
    if freedom >= _NORMAL_FROM:
        return _NORMAL.cdf(-t)
    inside = _within(abs(t), int(freedom))
    return max((1 - inside) / 2, 0.0) if t >= 0 else (1 + inside) / 2


def quantile(confidence: float, freedom: float) -> float:
    """The t with P(T <= t) = ``confidence``, which is at least 0.5 and below 1."""
    if freedom >= _NORMAL_FROM:
        return _NORMAL.inv_cdf(confidence)
    low, high = 0.0, _LARGEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if upper_tail(middle, freedom) > 1 - confidence else (low, middle)
    return high


def holm(p_values: list[float]) -> list[float]:
    """
    Each p-value adjusted for all of them, in their order: rejecting those up to alpha errs in any with chance alpha at most.

    Whatever depends on whatever. S. Holm, *A simple sequentially rejective multiple test procedure*, Scand. J. Statist. 6, 1979.
    """
    adjusted, largest = [inf] * len(p_values), 0.0
    for place, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[i] * (len(p_values) - place)))
        adjusted[i] = largest
    return adjusted


def _within(t: float, freedom: int) -> float:
    """P(|T| <= t)."""
    theta = atan2(t, sqrt(freedom))
    odd = freedom % 2
    total, term = 0.0, cos(theta) if odd else 1.0
    for k in range(odd, freedom - 1, 2):
        total += term
        term *= cos(theta) ** 2 * (k + 1) / (k + 2)
    return (theta + sin(theta) * total) * 2 / pi if odd else sin(theta) * total

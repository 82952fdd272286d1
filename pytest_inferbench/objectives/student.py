"""P-values of several tests at once."""

from __future__ import annotations

from math import inf


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

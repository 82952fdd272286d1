"""Energy from readings of power."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

GAP_NS_MAX = 1_000_000_000
"""Over a longer time without a reading nobody knows what was drawn: ten readings in a row are missing."""


def energy_j(power: Sequence[tuple[int, float]], *, window_ns: tuple[int, int]) -> float | None:
    """
    Energy drawn within a window, in joules, by the trapezoidal rule.

    sum of (power_w[i] + power_w[i+1]) / 2 * (t[i+1] - t[i]), cut at the window's ends where power is taken to run straight from
    one reading to the next; before the first and after the last reading it is taken to be what that reading says.

    Args:
        power: (time in ns, power in W), in order of time.
        window_ns: begin and end, on the same clock.

    Returns:
        None without readings, where the window has no length, and where it meets more than `GAP_NS_MAX` without a reading.
    """
    start_ns, end_ns = window_ns
    if end_ns <= start_ns or not power:
        return None
    first, last = power[0], power[-1]
    points = [(min(start_ns, first[0]), first[1]), *power, (max(end_ns, last[0]), last[1])]
    total = 0.0
    for (from_ns, from_w), (to_ns, to_w) in pairwise(points):
        low_ns, high_ns = max(from_ns, start_ns), min(to_ns, end_ns)
        if high_ns <= low_ns:
            continue
        if to_ns - from_ns > GAP_NS_MAX:
            return None
        slope = (to_w - from_w) / (to_ns - from_ns)
        middle_w = from_w + slope * ((low_ns + high_ns) / 2 - from_ns)
        total += middle_w * (high_ns - low_ns) / 1e9
    return total

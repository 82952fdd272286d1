"""
The trade of an inference server: output of each GPU against the speed that each user sees.

Rule: a point is on the front where no other one is at least as good in both and better in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, nan

from pytest_inferbench.records.record import Record


def per_gpu(record: Record) -> float:
    """
    Output tokens a second for each GPU of the server; on a CPU of the whole server.

    output_throughput / max(GPUs, 1), in tok/s; NaN where it has none.
    """
    throughput = record.summary.scalars.get("output_throughput", nan) if record.summary else nan
    return throughput / max(record.case.gpus, 1)


def user_speed(record: Record) -> float:
    """
    Tokens a second as the median user sees them come.

    1000 / TPOT p50 (ms), in tok/s; NaN where no request has a TPOT.
    """
    distribution = record.summary.distributions.get("tpot") if record.summary else None
    if distribution is None or not distribution.count or not distribution.p50 > 0:
        return nan
    return 1000 / distribution.p50


def front(points: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Which of the points are on the front, both coordinates the bigger the better, from left to right; NaN is never."""
    known = [place for place, (x, y) in enumerate(points) if isfinite(x) and isfinite(y)]
    found: list[int] = []
    highest = -1.0
    for place in sorted(known, key=lambda each: (-points[each][0], -points[each][1])):
        if points[place][1] > highest:
            highest = points[place][1]
            found.append(place)
    return tuple(reversed(found))

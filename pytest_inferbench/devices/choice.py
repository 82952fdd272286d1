"""Which of the GPUs that are free a server gets: those with most links between them, next to the same part of the host."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb

from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.devices.survey import Links

# 8 of 16 are 12,870. Hosts with more than that are cut into slices, which have no links.
_COMPARED_MAX = 20_000


def choose(free: Sequence[Gpu], count: int, *, links: Links) -> tuple[Gpu, ...] | None:
    """
    The best ``count`` of the free GPUs, in their order; None where there are not so many.

    Best is: most links among them; then on fewest NUMA nodes; then fewest links to free ones that stay behind, so that a
    single GPU does not break a pair; then the first ones.
    """
    if len(free) < count:
        return None
    ordered = sorted(free, key=lambda gpu: (gpu.index, gpu.uuid))
    if comb(len(ordered), count) > _COMPARED_MAX:
        return tuple(sorted(ordered, key=lambda gpu: (-1 if gpu.numa is None else gpu.numa, gpu.index, gpu.uuid))[:count])
    # The first of the best is taken, and combinations come in the order of what they are made from.
    return max(combinations(ordered, count), key=lambda some: _worth(some, ordered, links))


def _worth(some: tuple[Gpu, ...], free: Sequence[Gpu], links: Links) -> tuple[int, int, int]:
    chosen = {gpu.uuid for gpu in some}
    there = {gpu.uuid for gpu in free}
    inside = sum(1 for pair in links if pair <= chosen)
    cut = sum(1 for pair in links if pair <= there and len(pair & chosen) == 1)
    return inside, -len({gpu.numa for gpu in some}), -cut

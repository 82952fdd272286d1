"""
Where a sequence of figures changes its level, and how sure that is.

Circular binary segmentation (Olshen, Venkatraman, Lucito and Wigler, *Circular binary segmentation for the analysis of
array-based DNA copy number data*, Biostatistics 5, 2004) with permutation tests, used as E-divisive is for performance in
continuous integration (Matteson and James, JASA 109, 2014; Daly et al., *The use of change point detection to identify software
performance regressions in a continuous integration system*, ICPE 2020).
A stretch of L runs is held against the n - L others::

    B(stretch) = n / (L (n - L)) * (sum of the stretch, figures counted from their mean)**2

The largest B is taken over the stretches from the start, whose end is a single change, and, where there is none, over those in
the middle of about every length, which are a change that was taken back. Under "nothing changed" every order of the runs is
equally likely, so the share of random orders whose largest B is at least as large is an exact p-value, whatever the figures'
distribution. Both tests share ALPHA equally. The parts are searched again; each change that was found must then stand for itself,
with p <= ALPHA_OF_AN_END between its neighbours. A whole sequence without a change is therefore said to have one with a chance of
at most ALPHA, **if runs are independent**: a machine that is slow for a week is a change for a week.

Before that, gaps between neighbours of the sorted figures are limited, so that a single wild run weighs little while levels keep
their order. This depends on the set of figures only, not on their order, and leaves the test exact.

Rule: pure NumPy and no clock; the same figures always have the same changes.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

ALPHA = 0.001
"""The chance of a change being found in a sequence that has none."""
ALPHA_OF_AN_END = 0.01
"""Each change that was found must differ from its neighbours with this p."""
MIN_RUNS = 3
"""Fewer runs than this are no level."""
MIN_SIZE = 0.02
"""A smaller relative change of the median is not named: it is rarely worth a look, and long histories find any."""

# Most sequences have no change and show it at once: the orders come in growing lots.
_FIRST_ORDERS = 16
_LOT_GROWTH = 4
_NUMBERS_AT_ONCE = 1_000_000
# The median gap between n sorted normal figures is about 2.2 standard deviations / n.
_GAPS_PER_DEVIATION = 2.2
_GAP_DEVIATIONS_MAX = 3.0
_LENGTH_RATIO = 1.2
_DEVIATIONS_PER_MAD = 1.4826


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePoint:
    """
    The level differs before and from ``position`` on.

    ``before`` and ``after`` are the medians of the ``runs_before`` and ``runs_after`` runs up to the next change on either side,
    in the figures' unit; ``size`` is relative to ``before`` (NaN where that is 0).
    """

    position: int
    before: float
    after: float
    runs_before: int
    runs_after: int
    size: float


def change_points(values: Values, *, size_min: float = MIN_SIZE) -> tuple[ChangePoint, ...]:
    """
    The changes of level in a sequence, in order.

    ``size_min`` is relative to the median before; a level of 0 that is left is always large enough. Fewer than twice MIN_RUNS
    figures have no change.

    Raises:
        ValueError: a figure is not finite.
    """
    if not np.isfinite(values).all():
        raise ValueError("change points are searched in finite figures; leave out what is missing before")
    values = np.asarray(values, dtype=np.float64)
    positions = _large_enough(values, _standing(values, _moved(values, sorted(_split(values, 0)))), size_min)
    return tuple(_described(values, *_around(values, positions, index)) for index in range(len(positions)))


def scatter(values: Values, positions: tuple[int, ...]) -> float:
    """
    The usual relative difference of a run from the median of its level: a robust standard deviation.

    1.4826 * median(|x / median of its level - 1|) (Rousseeuw and Croux, JASA 88, 1993); NaN with fewer than 5 runs, or where a
    level is 0.
    """
    if len(values) < 5:
        return float("nan")
    levels = np.concatenate(
        [np.full(end - start, np.median(values[start:end])) for start, end in pairwise((0, *positions, len(values)))]
    )
    if (levels == 0).any():
        return float("nan")
    return float(_DEVIATIONS_PER_MAD * np.median(np.abs(values / levels - 1)))


def _split(values: Values, offset: int) -> Iterator[int]:
    """Where ``values``, which begin at ``offset``, change."""
    if len(values) < 2 * MIN_RUNS:
        return
    ends = _first_change(_limited(values))
    for start, end in pairwise([0, *ends, len(values)] if ends else []):
        if start:
            yield offset + start
        yield from _split(values[start:end], offset + start)


def _first_change(limited: Values) -> tuple[int, ...]:
    """Where the figures change first of all: at one place, at two, or at none."""
    if _rare(limited, lambda rows: _single(_sums(rows)).max(axis=1), ALPHA / 2):
        return (_best_single(limited),)
    if _lengths(len(limited)) and _rare(limited, _largest_inside, ALPHA / 2):
        return _best_inside(limited)
    return ()


def _limited(values: Values) -> Values:
    """The values with long gaps between neighbours in rank shortened, about 0."""
    order = np.argsort(values, kind="stable")
    gaps = np.diff(values[order])
    longest = _GAP_DEVIATIONS_MAX * len(values) * float(np.median(gaps)) / _GAPS_PER_DEVIATION
    if longest > 0:
        gaps = np.minimum(gaps, longest)
    limited = np.empty_like(values)
    limited[order] = np.concatenate([[0.0], np.cumsum(gaps)])
    return limited - float(limited.mean())


def _sums(rows: Values) -> Values:
    return np.concatenate([np.zeros((len(rows), 1)), np.cumsum(rows, axis=1)], axis=1)


def _single(sums: Values) -> Values:
    """B of the stretches from the start, of k = MIN_RUNS .. n - MIN_RUNS runs: a row a row of ``sums``."""
    n = sums.shape[1] - 1
    k = np.arange(MIN_RUNS, n - MIN_RUNS + 1)
    squares: Values = sums[:, MIN_RUNS : n - MIN_RUNS + 1] ** 2 * (n / (k * (n - k)))
    return squares


def _inside(sums: Values, length: int) -> Values:
    """B of the stretches of a length with MIN_RUNS before and after: a row a row of ``sums``."""
    n = sums.shape[1] - 1
    stretches = sums[:, MIN_RUNS + length : n - MIN_RUNS + 1] - sums[:, MIN_RUNS : n - MIN_RUNS - length + 1]
    squares: Values = stretches**2 * (n / (length * (n - length)))
    return squares


@lru_cache(maxsize=1024)
def _lengths(n: int) -> tuple[int, ...]:
    """Every small length of a stretch inside n runs, and of the longer ones each a fifth longer."""
    lengths = [MIN_RUNS]
    while (longer := max(lengths[-1] + 1, int(lengths[-1] * _LENGTH_RATIO))) <= n - 2 * MIN_RUNS:
        lengths.append(longer)
    return tuple(each for each in lengths if each <= n - 2 * MIN_RUNS)


def _largest_inside(rows: Values) -> Values:
    sums = _sums(rows)
    largest = np.zeros(len(rows))
    for length in _lengths(rows.shape[1]):
        np.maximum(largest, _inside(sums, length).max(axis=1), out=largest)
    return largest


def _best_single(values: Values) -> int:
    return int(_single(_sums(values[np.newaxis, :]))[0].argmax()) + MIN_RUNS


def _best_inside(values: Values) -> tuple[int, int]:
    """Where the stretch with the largest B begins and ends."""
    sums = _sums(values[np.newaxis, :])
    rows = {length: _inside(sums, length)[0] for length in _lengths(len(values))}
    length = max(rows, key=lambda each: float(rows[each].max()))
    start = int(rows[length].argmax()) + MIN_RUNS
    return start, start + length


def _rare(values: Values, statistic: Callable[[Values], Values], alpha: float) -> bool:
    """Whether a statistic is as large in random orders with p <= ``alpha``."""
    # The order of two sums must not decide whether equal ones count as at least as large.
    observed = float(statistic(values[np.newaxis, :])[0]) * (1 - 1e-9)
    if observed <= 0:
        return False
    random = np.random.default_rng(zlib.crc32(values.tobytes()))
    # With so many orders p = (1 + as large) / (1 + orders) is alpha when none is as large, and the first one that is decides.
    orders = math.ceil(1 / alpha) - 1
    at_once = max(1, _NUMBERS_AT_ONCE // len(values))
    done, lot = 0, _FIRST_ORDERS
    while done < orders:
        lot = min(lot, at_once, orders - done)
        rows = random.permuted(np.tile(values, (lot, 1)), axis=1)
        if (statistic(rows) >= observed).any():
            return False
        done, lot = done + lot, lot * _LOT_GROWTH
    return True


def _moved(values: Values, positions: list[int]) -> list[int]:
    """Each change where it fits best between its neighbours, which were not all known when it was found."""
    for _ in range(2):
        for index in range(len(positions)):
            start, _middle, end = _around(values, positions, index)
            positions[index] = start + _best_single(_limited(values[start:end]))
    return positions


def _standing(values: Values, positions: list[int]) -> list[int]:
    """Without the changes that do not stand for themselves between their neighbours."""
    while True:
        alone = [index for index in range(len(positions)) if not _stands(values, *_around(values, positions, index))]
        if not alone:
            return positions
        positions = _moved(values, [*positions[: alone[0]], *positions[alone[0] + 1 :]])


def _stands(values: Values, start: int, middle: int, end: int) -> bool:
    """Whether the runs before and from ``middle`` on differ."""
    limited = _limited(values[start:end])
    return _rare(limited, lambda rows: np.abs(rows[:, : middle - start].sum(axis=1)), ALPHA_OF_AN_END)


def _around(values: Values, positions: list[int], index: int) -> tuple[int, int, int]:
    """A change between its neighbours: where the levels before and after it begin and end."""
    bounds = [0, *positions, len(values)]
    return bounds[index], bounds[index + 1], bounds[index + 2]


def _large_enough(values: Values, positions: list[int], size_min: float) -> list[int]:
    """Without the changes that are too small to be named, the smallest first, since their neighbours' levels then join."""
    while positions:
        sizes = [abs(_size(values, *_around(values, positions, index))) for index in range(len(positions))]
        sizes = [float("inf") if np.isnan(size) else size for size in sizes]
        smallest = min(range(len(sizes)), key=sizes.__getitem__)
        if sizes[smallest] >= size_min:
            break
        positions = [*positions[:smallest], *positions[smallest + 1 :]]
    return positions


def _size(values: Values, start: int, middle: int, end: int) -> float:
    before, after = float(np.median(values[start:middle])), float(np.median(values[middle:end]))
    if before == 0:
        return float("nan") if after != 0 else 0.0
    return (after - before) / abs(before)


def _described(values: Values, start: int, middle: int, end: int) -> ChangePoint:
    return ChangePoint(
        position=middle,
        before=float(np.median(values[start:middle])),
        after=float(np.median(values[middle:end])),
        runs_before=middle - start,
        runs_after=end - middle,
        size=_size(values, start, middle, end),
    )

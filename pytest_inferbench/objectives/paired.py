"""
Whether B is worse than A where both were measured in turns, in blocks such as A B B A.

Rule: plain figures in, one value of `Change` a figure out, as in `gates`. What drifts while all of it is measured (a machine that
warms up, a neighbour that comes and goes) moves neighbours alike, and a block's own difference has none of it to first order.

**What is tested.** Of each block the mean logarithm (of a share: the mean) of its runs of B less that of its runs of A; over the
blocks Student's t with one degree of freedom fewer than blocks. Blocks are the unit, not the pairs within them: the first pair of
A B B A has the drift with one sign and the second one with the other, so pairs depend on each other and blocks do not.

Beside it stands the pooled test of `gates.compare`, which takes all runs of a side as repeats of each other. It has more degrees
of freedom, and counts drift as noise. The blocks decide, from `BLOCKS_MIN` blocks on; with fewer the pooled test does, since t
with one degree of freedom can tell almost nothing. The choice follows from the number of blocks alone, never from what was
measured: taking whichever test says more would be wrong more often than either says.

Which error is controlled, and Holm's adjustment over all figures, are those of `gates`. It is assumed that the differences of
blocks are independent and nearly normal. How often it is wrong and right on simulated queues with drift: docs/ab.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, inf, isfinite, log, sqrt
from statistics import fmean, variance

from pytest_inferbench.objectives.bounds import t_quantile as quantile
from pytest_inferbench.objectives.bounds import t_upper_tail as upper_tail
from pytest_inferbench.objectives.gates import ALPHA, Change, Comparison, Figure, Pair, compare, runs_needed, signed
from pytest_inferbench.objectives.student import holm

PER_BLOCK = 2
"""Runs of each side in a block."""
BLOCKS_MIN = 3
"""The fewest blocks whose own differences decide."""
ERROR_MIN = 5e-4
"""Of a block's difference: a clock and a rounding are never better than that, and blocks that agree by chance are not sure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """
    What is said of one figure: ``decided`` counts, ``pooled`` is the other test's word on the same runs.

    ``blocks`` is how many there were, ``by_blocks`` whether they decided. ``p_within`` is of the test of "worse by its tolerance
    or more", which "no change" rejects; 1 where blocks did not decide.
    """

    decided: Comparison
    pooled: Comparison
    blocks: int
    by_blocks: bool
    p_within: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Differences:
    """Worsening by blocks: its mean, the standard error of it, degrees of freedom, and the variance of one block."""

    worse: float
    error: float
    freedom: float
    variance: float

    @property
    def t(self) -> float:
        return self.worse / self.error


def compare_blocks(pairs: Sequence[Pair], *, noise: float) -> tuple[Paired, ...]:
    """
    Decide every pair, in their order; runs of both sides stand block by block, `PER_BLOCK` of each side in each.

    ``noise`` is assumed where there is one run on a side, which no whole block has.
    """
    pooled = compare(pairs, noise=noise)
    found = [_differences(pair, each) for pair, each in zip(pairs, pooled, strict=True)]
    # What cannot be tested counts among the tests all the same: how many there are must not depend on what came out.
    worse = holm([1.0 if each is None else upper_tail(each.t, each.freedom) for each in found])
    better = holm([1.0 if each is None else upper_tail(-each.t, each.freedom) for each in found])
    return tuple(
        Paired(
            decided=one if each is None else _decided(one, each, p_worse=p_worse, p_better=p_better),
            pooled=one,
            blocks=min(len(pair.old.runs), len(pair.new.runs)) // PER_BLOCK,
            by_blocks=each is not None,
            p_within=1.0 if each is None else upper_tail((one.limit - each.worse) / each.error, each.freedom),
        )
        for pair, one, each, p_worse, p_better in zip(pairs, pooled, found, worse, better, strict=True)
    )


def _differences(pair: Pair, pooled: Comparison) -> _Differences | None:
    """What the blocks say; None where there are too few, or the sides must not be compared."""
    blocks = min(len(pair.old.runs), len(pair.new.runs)) // PER_BLOCK
    if blocks < BLOCKS_MIN or not isfinite(pooled.effect):
        return None
    of_share = pair.tolerance.of_share
    old, new = (_block_means(figure, blocks, of_share=of_share) for figure in (pair.old, pair.new))
    sign = 1 if pair.tolerance.smaller_is_better else -1
    differences = [sign * (after - before) for before, after in zip(old, new, strict=True)]
    seen = variance(differences)
    least = max(ERROR_MIN**2, _within(pair) if of_share else 0.0)
    # Shares that vary no more than their requests make them: these are many, and their variance is known.
    freedom = inf if of_share and seen <= least else blocks - 1
    spread = max(seen, least)
    return _Differences(worse=fmean(differences), error=sqrt(spread / blocks), freedom=freedom, variance=spread)


def _block_means(figure: Figure, blocks: int, *, of_share: bool) -> list[float]:
    values = figure.runs if of_share else [log(value) for value in figure.runs]
    return [fmean(values[i * PER_BLOCK : (i + 1) * PER_BLOCK]) for i in range(blocks)]


def _within(pair: Pair) -> float:
    """The variance that requests alone give to the difference of a block."""
    known = [each**2 for each in (*pair.old.within, *pair.new.within) if each is not None and isfinite(each)]
    return 2 * fmean(known) / PER_BLOCK if known else 0.0


def _decided(pooled: Comparison, each: _Differences, *, p_worse: float, p_better: float) -> Comparison:
    reach = quantile(1 - ALPHA, each.freedom) * each.error
    low, high = each.worse - reach, each.worse + reach
    ends = sorted(_effect(pooled, end) for end in (low, high))
    change = Change.NO_CHANGE if high < pooled.limit else Change.CANNOT_TELL
    if p_worse <= ALPHA and each.worse > pooled.limit:
        change = Change.REGRESSION
    elif p_better <= ALPHA and -each.worse > pooled.limit:
        change = Change.IMPROVEMENT
    found = replace(
        pooled,
        change=change,
        effect=_effect(pooled, each.worse),
        low=ends[0],
        high=ends[1],
        worse=each.worse,
        worse_low=low,
        worse_high=high,
        p=p_worse,
    )
    return replace(found, reason=_words(found, each))


def _effect(found: Comparison, worse: float) -> float:
    signed_worse = worse if found.tolerance.smaller_is_better else -worse
    return signed_worse if found.tolerance.of_share else exp(signed_worse)


def _words(found: Comparison, each: _Differences) -> str:
    text = f"{signed(found, found.effect)} ({signed(found, found.low)} to {signed(found, found.high)})"
    text += f", tolerated {found.tolerance.amount_text}"
    if found.change is Change.REGRESSION and found.surely_beyond:
        text += "; surely more than that"
    if found.change is Change.CANNOT_TELL:
        # Of two sides the formula is for, of which each has this variance: a difference has both in it already.
        needed = runs_needed(each.variance / 2, found.limit)
        have = min(found.runs) // PER_BLOCK
        if needed is None:
            text += f"; these blocks vary too much for a tolerance of {found.tolerance.amount_text}"
        else:
            text += f"; about {needed} blocks would tell" if needed > have else "; more blocks would tell"
    return text

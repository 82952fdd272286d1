"""
Whether a figure got worse: regression, improvement, no change, or cannot tell.

Rule: plain figures in, one value of `Change` a figure out; nothing here reads a file or knows a record.

**What is compared.** The mean logarithm of a figure over the runs of each side, so the effect is a ratio; a share such as
``error_rate`` by plain difference. Worsening counts as positive, whichever way the metric runs.

**Its error.** With two or more runs on both sides, the variance between runs (pooled over both, m + n - 2 degrees of freedom),
and never less than what the blocks of requests within the runs say, or than rounding. With a single run on a side nobody can see
how runs differ: the noise between runs is then *assumed* (`NOISE`, unless told), and the variation within the run is added to
it; runs of the other side that vary more than that replace it, with their degrees of freedom. Where the variation within the run
is not known either (too few requests for the percentile, no blocks), it takes three runs on the other side to compare at all.

**Regression**: the test of "not worse at all" is rejected, and the estimate is beyond the tolerance. P-values are adjusted by
Holm over every figure that is compared, so *the chance of one or more false regressions among all of them, where nothing has
changed (A/A), is at most 5 %* (`ALPHA`), however the figures depend on each other. **Improvement**: the same in the other
direction. **No change**: the worse end of the interval is within the tolerance; *the chance of saying so of a figure that really
got worse by the tolerance or more is at most 5 %, for each figure*. **Cannot tell**: none of these, or the figures must not be
compared; it is never green.

What is *not* controlled: a true worsening just below the tolerance may be called a regression, every other time right at it.
Demanding that the interval's near end lies beyond the tolerance would avoid that and find fewer slow-downs (docs/gates.md has
both rates); `Comparison.surely_beyond` says where that holds too.

Both guarantees assume that runs are independent, nearly normal in the logarithm, and equally noisy on both sides; with a single
run on a side, also that the assumed noise is no less than the true one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import ceil, exp, inf, isfinite, isinf, log, nan, sqrt
from statistics import fmean, variance

from pytest_inferbench.objectives.bounds import t_quantile as quantile
from pytest_inferbench.objectives.bounds import t_upper_tail as upper_tail
from pytest_inferbench.objectives.student import holm
from pytest_inferbench.objectives.tolerance import Tolerance

ALPHA = 0.05
NOISE = 0.03
"""Between runs, as a share, where it has to be assumed and nobody says otherwise."""
_ROUNDING = 5e-4
"""Figures of baselines have four significant digits: half of the last one, of a number that begins with 1."""
_RUNS_THAT_TELL = 3
"""On one side: the fewest that say how runs differ, where there is nothing else to go by."""
_POWER = 0.9
_RUNS_MAX = 1000


class Change(StrEnum):
    """The four values of a comparison."""

    REGRESSION = "regression"
    IMPROVEMENT = "improvement"
    NO_CHANGE = "no change"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """
    One figure of one case: a value for each of its runs, in the metric's unit.

    ``within`` is the standard error of each value by the blocks of requests within its run, as a share of the value (for a
    share, in its own unit); None where nobody knows.
    """

    runs: tuple[float, ...]
    within: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A figure before and after; ``doubt`` says why they must not be compared, in words; empty where they may be."""

    case_id: str
    tolerance: Tolerance
    old: Figure
    new: Figure
    doubt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """
    What is said of one figure of one case.

    Attributes:
        old, new: geometric means over the runs, in the metric's unit (of a share: means); NaN where there is none.
        effect: new / old (of a share: new - old), with ``low`` and ``high`` the ends of its interval: each is wrong with a
            chance of 5 %, so both together hold 90 %. NaN where nothing was compared.
        worse, worse_low, worse_high: worsening on the scale that is tested, and its interval.
        limit: the tolerance on that scale.
        p: of the test of "not worse at all", adjusted for all figures compared.
        runs: how many there are before and after.
        reason: the change in words.
        waived: why a regression does not count; empty where it does.
    """

    case_id: str
    tolerance: Tolerance
    change: Change
    reason: str
    old: float = nan
    new: float = nan
    effect: float = nan
    low: float = nan
    high: float = nan
    worse: float = nan
    worse_low: float = nan
    worse_high: float = nan
    limit: float = nan
    p: float = nan
    runs: tuple[int, int] = (0, 0)
    waived: str = ""

    @property
    def counts(self) -> bool:
        """Whether it is a regression that nobody has waived."""
        return self.change is Change.REGRESSION and not self.waived

    @property
    def surely_beyond(self) -> bool:
        """Whether even the interval's near end is beyond the tolerance."""
        return self.worse_low > self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """The worsening of one figure and what is known of its error."""

    pair: Pair
    old: float
    new: float
    worse: float
    error: float
    variance: float
    freedom: float
    limit: float
    assumed: bool

    @property
    def t(self) -> float:
        return self.worse / self.error


def compare(pairs: Sequence[Pair], *, noise: float = NOISE) -> tuple[Comparison, ...]:
    """
    Decide every pair, in their order; the error is controlled over all of them together (see the module).

    ``noise`` is the standard deviation between runs, as a share of the figure, where it has to be assumed.
    """
    doubts = [_doubt(pair) for pair in pairs]
    measured = [None if doubt else _measured(pair, noise) for pair, doubt in zip(pairs, doubts, strict=True)]
    tested = [each for each in measured if each is not None]
    worse = iter(holm([upper_tail(each.t, each.freedom) for each in tested]))
    better = iter(holm([upper_tail(-each.t, each.freedom) for each in tested]))
    return tuple(
        _undecided(pair, doubt) if each is None else _decided(each, p_worse=next(worse), p_better=next(better))
        for pair, doubt, each in zip(pairs, doubts, measured, strict=True)
    )


def runs_needed(variance_between: float, limit: float) -> int | None:
    """
    How many runs on each side show, nine times in ten, that a figure without any change is within its tolerance.

    ceil(2 variance ((z(0.95) + z(0.9)) / limit)^2); None where more than 1000 would be.
    """
    reach = (quantile(1 - ALPHA, inf) + quantile(_POWER, inf)) / limit
    needed = 2 * variance_between * reach**2
    return max(2, ceil(needed)) if needed <= _RUNS_MAX else None


def _doubt(pair: Pair) -> str:
    """Why a pair cannot be compared; empty where it can."""
    if pair.doubt:
        return pair.doubt
    sides = ((pair.old, "the baseline"), (pair.new, "the new run"))
    doubt = next(filter(None, (_doubt_of(figure, pair.tolerance, side=side) for figure, side in sides)), "")
    if not doubt and isinf(pair.tolerance.limit(_middle(pair.old, pair.tolerance))):
        return f"the tolerated {pair.tolerance.amount_text} is no less than the whole of the old {pair.tolerance.name}"
    if not doubt and not pair.tolerance.of_share and _all_chance(pair):
        return f"one run on a side, and its requests do not tell how much {pair.tolerance.name} varies by chance; repeat it"
    return doubt


def _all_chance(pair: Pair) -> bool:
    """Whether nothing is known of the variation of a single run: neither from its blocks, nor from repeats on the other side."""
    figures = (pair.old, pair.new)
    if max(len(each.runs) for each in figures) >= _RUNS_THAT_TELL:
        return False
    return any(len(each.runs) == 1 and each.within in ((), (None,)) for each in figures)


def _doubt_of(figure: Figure, tolerance: Tolerance, *, side: str) -> str:
    if not figure.runs:
        return f"{side} has no {tolerance.name}"
    if not all(isfinite(value) for value in figure.runs):
        return f"{tolerance.name} was not measured in {_some(figure.runs)} of {side}"
    if tolerance.of_share:
        known = figure.within and all(each is not None for each in figure.within)
        return "" if known else f"{side} does not say of how many requests its {tolerance.name} is"
    if min(figure.runs) <= 0:
        return f"{tolerance.name} is {min(figure.runs):g} in {side}, which has no ratio to anything"
    return ""


def _some(runs: Sequence[float]) -> str:
    wrong = sum(not isfinite(value) for value in runs)
    return "the run" if len(runs) == 1 else f"{wrong} of {len(runs)} runs"


def _scaled(figure: Figure, tolerance: Tolerance) -> list[float]:
    return list(figure.runs) if tolerance.of_share else [log(value) for value in figure.runs]


def _middle(figure: Figure, tolerance: Tolerance) -> float:
    middle = fmean(_scaled(figure, tolerance))
    return middle if tolerance.of_share else exp(middle)


def _measured(pair: Pair, noise: float) -> _Measured:
    tolerance = pair.tolerance
    old, new = _scaled(pair.old, tolerance), _scaled(pair.new, tolerance)
    difference = fmean(new) - fmean(old)
    # A share has no noise of its own beyond that of its requests.
    assumed = 0.0 if tolerance.of_share else noise
    spread, freedom = _spread(old, new, within=_within(pair), noise=assumed)
    if tolerance.of_share and spread <= _within(pair):
        # Runs that vary no more than their requests make them: these are many, and their variance is known.
        freedom = inf
    return _Measured(
        pair=pair,
        old=_middle(pair.old, tolerance),
        new=_middle(pair.new, tolerance),
        worse=difference if tolerance.smaller_is_better else -difference,
        error=sqrt(spread * (1 / len(old) + 1 / len(new))),
        variance=spread,
        freedom=freedom,
        limit=tolerance.limit(_middle(pair.old, tolerance)),
        assumed=isinf(freedom) and not tolerance.of_share,
    )


def _within(pair: Pair) -> float:
    """The mean variance of a run's value by the blocks within it; 0 where nobody knows."""
    known = [each**2 for each in (*pair.old.within, *pair.new.within) if each is not None and isfinite(each)]
    return fmean(known) if known else 0.0


def _spread(old: list[float], new: list[float], *, within: float, noise: float) -> tuple[float, float]:
    """The variance of one run's value and its degrees of freedom; infinite where it is assumed."""
    least = max(within, _ROUNDING**2)
    if len(old) > 1 and len(new) > 1:
        freedom = len(old) + len(new) - 2
        pooled = ((len(old) - 1) * variance(old) + (len(new) - 1) * variance(new)) / freedom
        return max(pooled, least), freedom
    assumed = max(noise**2 + within, least)
    seen = [(variance(side), float(len(side) - 1)) for side in (old, new) if len(side) > 1]
    return max([(assumed, inf), *seen])


def _decided(each: _Measured, *, p_worse: float, p_better: float) -> Comparison:
    reach = quantile(1 - ALPHA, each.freedom) * each.error
    low, high = each.worse - reach, each.worse + reach
    change = _change(each, high, p_worse=p_worse, p_better=p_better)
    tolerance = each.pair.tolerance
    ends = sorted(_effect(tolerance, end) for end in (low, high))
    found = Comparison(
        case_id=each.pair.case_id,
        tolerance=tolerance,
        change=change,
        reason="",
        old=each.old,
        new=each.new,
        effect=_effect(tolerance, each.worse),
        low=ends[0],
        high=ends[1],
        worse=each.worse,
        worse_low=low,
        worse_high=high,
        limit=each.limit,
        p=p_worse,
        runs=(len(each.pair.old.runs), len(each.pair.new.runs)),
    )
    return replace(found, reason=_words(found, each))


def _change(each: _Measured, worse_high: float, *, p_worse: float, p_better: float) -> Change:
    if p_worse <= ALPHA and each.worse > each.limit:
        return Change.REGRESSION
    if p_better <= ALPHA and -each.worse > each.limit:
        return Change.IMPROVEMENT
    return Change.NO_CHANGE if worse_high < each.limit else Change.CANNOT_TELL


def _effect(tolerance: Tolerance, worse: float) -> float:
    """What a worsening is as new / old (of a share: new - old)."""
    signed = worse if tolerance.smaller_is_better else -worse
    return signed if tolerance.of_share else exp(signed)


def _undecided(pair: Pair, doubt: str) -> Comparison:
    runs = (len(pair.old.runs), len(pair.new.runs))
    return Comparison(case_id=pair.case_id, tolerance=pair.tolerance, change=Change.CANNOT_TELL, reason=doubt, runs=runs)


def _words(found: Comparison, each: _Measured) -> str:
    tolerance = found.tolerance
    text = f"{_sized(found)}, tolerated {tolerance.amount_text}"
    if found.change is Change.REGRESSION and found.surely_beyond:
        text += "; surely more than that"
    if found.change is Change.CANNOT_TELL:
        text += f"; {_advice(each)}"
    if each.assumed:
        text += "; one run on a side: noise between runs is assumed"
    return text


def _sized(found: Comparison) -> str:
    """``+9.8 % (+6.1 % to +13.6 %)``: how much more or less the figure is."""
    return f"{signed(found, found.effect)} ({signed(found, found.low)} to {signed(found, found.high)})"


def signed(found: Comparison, effect: float) -> str:
    """An effect as people read it: ``+9.8 %`` of the old figure, or ``+1.2 points`` of a share."""
    if found.tolerance.of_share:
        return f"{effect * 100:+.3g} points"
    return f"{(effect - 1) * 100:+.1f} %"


def _advice(each: _Measured) -> str:
    needed = runs_needed(each.variance, each.limit)
    have = min(len(each.pair.old.runs), len(each.pair.new.runs))
    if needed is None:
        return f"these runs vary too much for a tolerance of {each.pair.tolerance.amount_text}"
    if needed <= have:
        return "more runs on each side would tell"
    return f"about {needed} runs on each side would tell"

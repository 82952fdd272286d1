"""
One claim about a server held against what was seen of it: pass, fail, inconclusive or invalid, at a stated confidence.

Rule: a pass is wrong with at most the chance 1 - confidence, and so is a fail, each by itself. Values stand in order of arrival,
and a request that did not complete is an infinite value. Fewer than `ENOUGH` requests that count (`dependence.Seen.telling`)
decide nothing: a few requests that came one after the other all saw the same queue, and cannot say how alike they are. A pass
takes more, since a burst that has not come yet can only make things worse: `ENOUGH_TO_PASS`, and more in proportion to the normal
quantile of the confidence, the surer it has to be. Both numbers were chosen on simulated queues (docs/verdicts.md).

How alike requests are matters for what may still come. Where a limit is `FAR` times as large as every finite value, or as small,
nothing that came is of a kind that could reach it but lost requests, and how alike these are is all that counts. So a server that
is a hundred times as fast as it must be, and a little slower for some minutes, is not asked for hours. That was looked at on
simulated queues, too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from math import ceil, inf, isfinite, isinf, nan

import numpy as np

from pytest_inferbench.objectives.bounds import (
    REQUESTS_MAX,
    chance_at_least,
    chance_at_most,
    first,
    normal_quantile,
    share_high,
    share_low,
    t_quantile,
)
from pytest_inferbench.objectives.dependence import Batches, Seen, Series, burstiness, in_batches, inflation, seen
from pytest_inferbench.objectives.means import mean_high, mean_low
from pytest_inferbench.objectives.shares import (
    Likeness,
    likeness_at,
    likeness_of,
    percentile_between,
)
from pytest_inferbench.objectives.verdict import Outlook

ENOUGH = 150
ENOUGH_TO_PASS = 200
"""At a confidence of 95 % or less."""
LONGER_MAX = 300.0
FAR = 10.0


class Kind(StrEnum):
    """What a claim is about, and what its values are."""

    PERCENTILE = "percentile"
    """Of one value a request."""
    MEAN = "mean"
    """Of one value a request."""
    RATE = "rate"
    """The share of requests that are marked; a value is 1 for one that is and 0 for another one."""
    THROUGHPUT = "throughput"
    """The mean of what came a second, in equal parts of the time (`means.per_second`)."""
    LARGEST = "max"
    """Of the requests that were sent, not of all that could be: nothing is sure of the largest of those."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What ought to be: ``operator`` is <=, <, >= or >, ``limit`` in the values' unit, ``percent`` 99 for a p99."""

    kind: Kind
    operator: str
    limit: float
    percent: float | None = None

    def __post_init__(self) -> None:
        """
        Refuse what cannot be held against anything.

        Raises:
            ValueError: a percentile without its percent, or a percentile or a rate that had to be large.
        """
        if (self.kind is Kind.PERCENTILE) != (self.percent is not None and 0 < self.percent < 100):
            raise ValueError(f"a percentile, and nothing else, has a percent between 0 and 100; not {self.kind} {self.percent}")
        if self.kind in {Kind.PERCENTILE, Kind.RATE} and not self.smaller:
            raise ValueError(f"a {self.kind} is held against a largest value: write <= or <, not {self.operator}")

    @property
    def share(self) -> float:
        """The share of requests that may be over: 0.01 for a p99, the limit itself for a rate."""
        return self.limit if self.percent is None else float((100 - Decimal(str(self.percent))) / 100)

    @property
    def counted(self) -> bool:
        """Whether it is about just the requests that were sent; a rate of 0 can be seen, and not be sure of all to come."""
        return self.kind is Kind.LARGEST or (self.kind is Kind.RATE and not self.limit)

    @property
    def smaller(self) -> bool:
        """Whether smaller values are good."""
        return self.operator.startswith("<")

    def met_by(self, value: float) -> bool:
        """Whether a value is within the limit."""
        limit = self.limit
        return {"<=": value <= limit, "<": value < limit, ">=": value >= limit, ">": value > limit}[self.operator]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """
    What is decided of a claim.

    Attributes:
        outlook: the decision.
        actual: the figure that was seen, NaN where there is none.
        low: with ``high``, what the true figure lies between with the confidence; NaN where too little was seen to tell, which
            may be enough for a limit that is far away.
        high: see ``low``.
        counting: as how many independent values those seen count, at most.
        longer: how many times as many values would be about enough to decide; 1 where it is decided, infinity where none are.
        reason: why it is not a pass or a fail, and what would make it one, or why it is one without an interval; else empty.
    """

    outlook: Outlook
    actual: float = nan
    low: float = nan
    high: float = nan
    counting: float = nan
    longer: float = 1.0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Findings:
    """Which sides are sure, and what else a decision says."""

    passes: bool
    fails: bool
    decision: Decision


def decide(claim: Claim, values: Series, *, confidence: float = 0.95) -> Decision:
    """
    Hold values, in order of arrival, against a claim.

    Invalid where there is no value, or one that is not a number.

    Raises:
        ValueError: the confidence is not between a half and 1.
    """
    fault = _fault(values)
    return Decision(outlook=Outlook.INVALID, reason=fault) if fault else decide_of(claim, seen(values), confidence=confidence)


def decide_of(claim: Claim, what: Seen, *, confidence: float = 0.95) -> Decision:
    """The same of numbers that were looked at before, for several claims on one series."""
    if not 0.5 < confidence < 1:
        raise ValueError(f"a confidence is between 0.5 and 1, such as 0.95; not {confidence:g}")
    actual = _actual(claim, what)
    if claim.counted or (claim.kind is Kind.MEAN and isinf(actual)):
        outlook = Outlook.PASS if claim.met_by(actual) else Outlook.FAIL
        return Decision(outlook=outlook, actual=actual, low=actual, high=actual)
    telling = _telling(claim, what)
    if telling < ENOUGH:
        return _too_short(claim, what, actual=actual, telling=telling)
    found = (_by_share if claim.kind in {Kind.PERCENTILE, Kind.RATE} else _by_mean)(claim, what, confidence)
    decision = replace(found.decision, actual=actual)
    if what.telling < ENOUGH:
        decision = replace(decision, low=nan, high=nan)
    return _outlook(claim, replace(found, decision=decision), what, telling=telling, confidence=confidence)


def requests_more(decision: Decision, requests: int) -> int | None:
    """About how many more requests would decide, where so many did not; None where no number would, 0 where it is decided."""
    return None if isinf(decision.longer) else ceil((decision.longer - 1) * requests)


def seconds_more(decision: Decision, seconds: float) -> float | None:
    """About how much longer a load of so many seconds would have to be; None where no length would do."""
    return None if isinf(decision.longer) else (decision.longer - 1) * seconds


def _telling(claim: Claim, what: Seen) -> float:
    """As how many independent values those seen count where it is asked whether they are enough to decide."""
    if not _on_far_latency(claim, what):
        return what.telling
    over = _over(claim, what)
    return len(over) / (inflation(over) * burstiness(over))


def _on_far_latency(claim: Claim, what: Seen) -> bool:
    return claim.kind in {Kind.PERCENTILE, Kind.MEAN} and is_far(claim.limit, what.values)


def is_far(limit: float, values: Series) -> bool:
    """Whether a limit is `FAR` times as large as every finite value, or as small; not where there is none."""
    finite = values[np.isfinite(values)]
    return len(finite) > 0 and bool(finite.max() * FAR <= limit or finite.min() >= limit * FAR)


def _fault(values: Series) -> str:
    if not len(values):
        return "nothing was measured: no request has a value; look into the errors, or give the load more requests"
    missing = int(np.count_nonzero(np.isnan(values)))
    return f"{missing} of {len(values)} values are not numbers, so nothing can be said of the rest" if missing else ""


def _actual(claim: Claim, what: Seen) -> float:
    if claim.kind is Kind.LARGEST:
        return float(what.ordered[-1])
    if claim.kind is Kind.PERCENTILE:
        # A value that was seen: between a finite and an infinite one lies no figure.
        return float(what.ordered[-1 - int(claim.share * len(what.ordered))])
    return float(what.values.mean())


def _too_short(claim: Claim, what: Seen, *, actual: float, telling: float) -> Decision:
    count, longer = len(what.values), ENOUGH / telling
    why = f"{_counted(claim, what, telling)}, and fewer than {ENOUGH} decide nothing"
    reason = f"{why}; {_advice(claim, longer, count)}"
    return Decision(outlook=Outlook.INCONCLUSIVE, actual=actual, counting=telling, longer=longer, reason=reason)


def _outlook(claim: Claim, found: _Findings, what: Seen, *, telling: float, confidence: float) -> Decision:
    decision, count = found.decision, len(what.values)
    enough = enough_to_pass(confidence)
    early = found.passes and telling < enough
    if found.fails or (found.passes and not early):
        bounded = what.telling >= ENOUGH
        reason = "" if bounded else f"no interval can be given, but no answer came within a factor of {FAR:g} of the limit"
        return replace(decision, outlook=Outlook.PASS if found.passes else Outlook.FAIL, longer=1.0, reason=reason)
    where = "it lies too near the limit" if isfinite(decision.high) else "too few were seen to bound it from above"
    longer = max(enough / telling if early else decision.longer, 1 + 1 / count)
    counted = _counted(claim, what, telling)
    short = f"{counted}; they would pass it, but fewer than {enough:.0f} do not tell what bursts are still to come"
    reason = short if early else f"{where}: {counted}"
    return replace(decision, longer=longer, reason=f"{reason}; {_advice(claim, longer, count)}")


def enough_to_pass(confidence: float) -> float:
    """How many requests must count at least for a pass; see the module."""
    return ENOUGH_TO_PASS * max(1.0, normal_quantile(confidence) / normal_quantile(0.95))


def _counted(claim: Claim, what: Seen, telling: float) -> str:
    return f"{len(what.values)} {_things(claim)} count as {telling:.3g} independent ones"


def _things(claim: Claim) -> str:
    return "parts of the time" if claim.kind is Kind.THROUGHPUT else "requests"


def _advice(claim: Claim, longer: float, count: int) -> str:
    if longer > LONGER_MAX:
        return "no number of requests that anybody waits for would tell: move the limit, or take the figure as it is"
    if claim.kind is Kind.THROUGHPUT:
        return f"a load about {longer:.2g} times as long would tell"
    return f"about {ceil((longer - 1) * count)} more would tell"


# -- percentiles and rates -------------------------------------------------------------------------------------------------


def _by_share(claim: Claim, what: Seen, confidence: float) -> _Findings:
    over = _over(claim, what)
    at_limit, own = likeness_of(over, batches=what.batches), _own_likeness(claim, what)
    alike = at_limit if _on_far_latency(claim, what) else max(at_limit, own, key=lambda each: each.tau)
    counting = alike.counting(len(over), confidence)
    share = float(over.mean())
    few = chance_at_most(share * counting, counting, claim.share) <= 1 - confidence
    many = chance_at_least(share * counting, counting, claim.share) <= 1 - confidence
    low, high = _between(claim, what, own, confidence)
    longer = 1.0 if few or many else _longer_for_share(share, claim.share, counting, confidence)
    decision = Decision(outlook=Outlook.INCONCLUSIVE, low=low, high=high, counting=counting, longer=longer)
    return _Findings(passes=few, fails=many, decision=decision)


def _over(claim: Claim, what: Seen) -> Series:
    """1 for each request that is over the limit, or is marked, and 0 for each other one."""
    if claim.kind is Kind.RATE:
        return what.values
    over = what.values > claim.limit if claim.operator == "<=" else what.values >= claim.limit
    return over.astype(np.float64)


def _own_likeness(claim: Claim, what: Seen) -> Likeness:
    """How alike requests are in what the figure itself is about, wherever the limit is."""
    if claim.kind is Kind.RATE:
        return likeness_of(what.values, batches=what.batches)
    return likeness_at(what, claim.share)


def _between(claim: Claim, what: Seen, likeness: Likeness, confidence: float) -> tuple[float, float]:
    if claim.kind is Kind.PERCENTILE:
        return percentile_between(what.ordered, claim.share, likeness=likeness, confidence=confidence)
    counting, error = likeness.counting(len(what.values), (1 + confidence) / 2), (1 - confidence) / 2
    over = float(what.values.mean()) * counting
    return share_low(over, counting, error), share_high(over, counting, error)


def _longer_for_share(seen: float, share: float, counting: float, confidence: float) -> float:
    """How many times as many requests decide, if as large a share of them is over as of those seen."""
    chance = chance_at_most if seen < share else chance_at_least
    # In steps of a hundredth of what was seen.
    step = counting / 100
    steps = first(range(100, REQUESTS_MAX), lambda n: chance(seen * n * step, n * step, share) <= 1 - confidence)
    return inf if steps >= REQUESTS_MAX else steps / 100


# -- means and throughputs -------------------------------------------------------------------------------------------------


def _by_mean(claim: Claim, what: Seen, confidence: float) -> _Findings:
    each = in_batches(what.values, what.batches)
    below = mean_high(each, confidence) <= claim.limit
    above = mean_low(each, confidence) >= claim.limit
    both = (1 + confidence) / 2
    count = float(len(what.values))
    counting = min(float(what.values.var()) / each.error**2, count) if each.error else count
    longer = 1.0 if below or above else _longer_for_mean(claim, each, confidence)
    decision = Decision(
        outlook=Outlook.INCONCLUSIVE,
        low=mean_low(each, both),
        high=mean_high(each, both),
        counting=counting,
        longer=longer,
    )
    # Where every value is the same and just the limit, both are true; it is met unless the limit itself is not good enough.
    if below and above:
        return _Findings(passes=claim.met_by(each.mean), fails=not claim.met_by(each.mean), decision=decision)
    return _Findings(passes=below if claim.smaller else above, fails=above if claim.smaller else below, decision=decision)


def _longer_for_mean(claim: Claim, batches: Batches, confidence: float) -> float:
    """(t error / gap)^2: as many times as long halves the error by its root."""
    gap = abs(batches.mean - claim.limit)
    return max((t_quantile(confidence, batches.freedom) * batches.error / gap) ** 2, 1.0) if gap else inf

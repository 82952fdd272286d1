"""
How sure a percentile is, and any share of the requests: by the exact binomial bound, for the number of requests that count.

"p99 <= limit" says that at most 1 % of all requests are over the limit. Of n requests only n / tau count, as they are alike; and
as tau is an estimate with few degrees of freedom, they count as n / tau (z / t)^2 where z and t are the normal and Student's
quantile of the confidence (Korn and Graubard, *Confidence intervals for proportions with small expected number of positive counts
estimated from survey data*, Survey Methodology 24, 1998).

tau is here the ratio of the variance seen between batches to that of independent requests. Few are over a p99, and whole bursts
of them may be missing in what was seen; so tau is also estimated at a level that more are over, and the larger one counts: so
many that those over it count as 100 independent requests, but ten times as many at most, and half of all.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from pytest_inferbench.objectives.bounds import chance_at_least, chance_at_most, first, normal_quantile, t_quantile
from pytest_inferbench.objectives.dependence import Seen, Series, in_batches

WIDER_MAX = 10
SHARE_MAX = 0.5
ENOUGH_OVER = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How alike requests are: ``tau`` of them count as one, which is known with so many degrees of freedom."""

    tau: float
    freedom: float

    def counting(self, requests: float, confidence: float) -> float:
        """How many independent requests so many stand for at a confidence of more than a half; never more than they are."""
        penalty = normal_quantile(confidence) / t_quantile(confidence, self.freedom)
        return requests / self.tau * penalty**2


def likeness_at(what: Seen, share: float) -> Likeness:
    """How alike requests are in being among the ``share`` of largest values, or among a larger share; see above."""
    values, ordered = what.values, what.ordered
    shares = {share, max(share, min(WIDER_MAX * share, SHARE_MAX, ENOUGH_OVER * what.tau / len(values)))}
    levels = {float(ordered[min(int((1 - each) * len(ordered)), len(ordered) - 1)]) for each in shares}
    # Where many values are equal, none is over the level; then being at it counts.
    marks = [values > level if (values > level).any() else values >= level for level in levels]
    return max((likeness_of(mark.astype(np.float64), batches=what.batches) for mark in marks), key=lambda each: each.tau)


def likeness_of(marks: Series, *, batches: int) -> Likeness:
    """How alike requests are in having a mark: 1 where one has it, else 0."""
    share, found = float(marks.mean()), in_batches(marks, batches)
    independent = share * (1 - share) / len(marks)
    return Likeness(tau=max(1.0, found.error**2 / independent) if independent else 1.0, freedom=found.freedom)


def percentile_between(ordered: Series, share: float, *, likeness: Likeness, confidence: float) -> tuple[float, float]:
    """
    Two values, between which the one lies that ``share`` of all requests are over, with this confidence.

    ``ordered`` are the values in order of size. Each side errs with half of 1 - confidence. 0 and infinity where so few requests
    cannot tell; a lost request is infinite.
    """
    n, error = len(ordered), (1 - confidence) / 2
    counts, counting = range(n + 1), likeness.counting(n, 1 - error)
    few = first(counts, lambda over: chance_at_most(over * counting / n, counting, share) > error)
    many = first(counts, lambda over: chance_at_least(over * counting / n, counting, share) <= error)
    return float(ordered[n - many]) if many <= n else 0.0, float(ordered[n - few]) if few else inf

"""
Exact bounds from the binomial distribution, and Student's t distribution.

Rule: the one module that asks SciPy. Numbers of requests may be fractions, since an effective number of requests is one; then the
binomial distribution is continued by the incomplete beta function, as Clopper and Pearson's interval is (*The use of confidence
or fiducial limits illustrated in the case of the binomial*, Biometrika 26, 1934).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from scipy.special import betainc, betaincinv, ndtri, stdtr, stdtrit

REQUESTS_MAX = 10**9


def chance_at_most(over: float, requests: float, share: float) -> float:
    """The chance that at most ``over`` of ``requests`` are over, where each is with chance ``share``, on its own."""
    return 1.0 if over >= requests else float(betainc(requests - over, over + 1, 1 - share))


def chance_at_least(over: float, requests: float, share: float) -> float:
    """The chance that ``over`` of ``requests`` or more are over, where each is with chance ``share``, on its own."""
    return 1.0 if over <= 0 else float(betainc(over, max(requests - over, 0.0) + 1, share))


def share_low(over: float, requests: float, error: float) -> float:
    """The share of all that is over at least, but for this chance to be wrong."""
    return float(betaincinv(over, max(requests - over, 0.0) + 1, error)) if over > 0 else 0.0


def share_high(over: float, requests: float, error: float) -> float:
    """The share of all that is over at most, but for this chance to be wrong."""
    return float(betaincinv(over + 1, requests - over, 1 - error)) if over < requests else 1.0


def t_quantile(chance: float, freedom: float) -> float:
    """
    The value that Student's t with so many degrees of freedom stays below with this chance.

    Those may be a fraction, as those of an estimated error are, or infinite, which is the normal distribution.
    """
    return float(stdtrit(freedom, chance))


def t_upper_tail(t: float, freedom: float) -> float:
    """The chance that Student's t with so many degrees of freedom is above ``t``."""
    return float(stdtr(freedom, -t))


def normal_quantile(chance: float) -> float:
    """The value that a standard normal number stays below with this chance."""
    return float(ndtri(chance))


def requests_to_pass(share: float, over: int, *, confidence: float = 0.95) -> int:
    """
    The fewest independent requests of which ``over`` may be over while it is sure that less than ``share`` of all are.

    The smallest n with P(Binomial(n, share) <= over) <= 1 - confidence. For a p99 the share is 0.01.
    """
    return first(range(over + 1, REQUESTS_MAX), lambda n: chance_at_most(over, n, share) <= 1 - confidence)


def over_to_pass(requests: int, share: float, *, confidence: float = 0.95) -> int | None:
    """The most of so many independent requests that may be over for a pass; None where not even 0 is enough."""
    too_many = first(range(requests + 1), lambda over: chance_at_most(over, requests, share) > 1 - confidence)
    return too_many - 1 if too_many else None


def over_to_fail(requests: int, share: float, *, confidence: float = 0.95) -> int | None:
    """The fewest of so many independent requests that must be over for a fail; None where not even all are enough."""
    enough = first(range(requests + 1), lambda over: chance_at_least(over, requests, share) <= 1 - confidence)
    return enough if enough <= requests else None


def first(numbers: range, holds: Callable[[int], bool]) -> int:
    """The first of consecutive numbers for which something holds, which then holds for all after it; the range's stop if none."""
    return numbers.start + bisect_left(numbers, 1, key=lambda number: int(holds(number)))

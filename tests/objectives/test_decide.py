"""Decisions on claims: what is sure, what is not and what it would take, and what cannot be judged at all."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.objectives.decide import (
    ENOUGH,
    Claim,
    Decision,
    Kind,
    decide,
    decide_of,
    enough_to_pass,
    requests_more,
    seconds_more,
)
from pytest_inferbench.objectives.dependence import Series, seen
from pytest_inferbench.objectives.verdict import Outlook

PASS, FAIL, UNSURE, INVALID = Outlook.PASS, Outlook.FAIL, Outlook.INCONCLUSIVE, Outlook.INVALID


def latencies(count: int, *, seed: int = 0) -> Series:
    return np.random.default_rng(seed).exponential(100.0, count)


def at_most(limit: float, percent: float = 99.0, *, operator: str = "<=") -> Claim:
    return Claim(kind=Kind.PERCENTILE, operator=operator, limit=limit, percent=percent)


def mean_at_most(limit: float) -> Claim:
    return Claim(kind=Kind.MEAN, operator="<=", limit=limit)


@pytest.mark.parametrize(("percent", "truth"), [(50.0, 69.3), (90.0, 230.3), (99.0, 460.5)])
def test_a_percentile_far_from_its_limit_is_sure_and_one_at_its_limit_is_not(percent: float, truth: float) -> None:
    values = latencies(5000)
    assert decide(at_most(truth * 1.5, percent), values).outlook is PASS
    assert decide(at_most(truth / 1.5, percent), values).outlook is FAIL
    near = decide(at_most(float(np.quantile(values, percent / 100)), percent), values)
    assert near.outlook is UNSURE
    assert near.low < truth < near.high


def test_a_mean_and_a_throughput_are_judged_from_their_own_side() -> None:
    values = latencies(4000)
    assert [decide(mean_at_most(limit), values).outlook for limit in (130, 70)] == [PASS, FAIL]
    at_least = [Claim(kind=Kind.THROUGHPUT, operator=">=", limit=limit) for limit in (70, 130)]
    assert [decide(claim, values).outlook for claim in at_least] == [PASS, FAIL]
    found = decide(mean_at_most(100), values)
    assert found.outlook is UNSURE
    assert found.low < 100 < found.high


def test_a_p99_with_50_requests_is_inconclusive_and_says_how_many_more_it_takes() -> None:
    found = decide(at_most(1e9), latencies(50))
    assert found.outlook is UNSURE
    assert "50 requests count as" in found.reason
    assert "fewer than 150 decide nothing; about " in found.reason
    assert (requests_more(found, 50) or 0) >= 50


def test_a_p99_without_one_request_over_needs_hundreds_of_requests() -> None:
    found = decide(at_most(1e9), latencies(280, seed=1))
    assert (found.outlook, found.high) == (UNSURE, inf)
    assert "too few were seen to bound it from above: 280 requests count as" in found.reason
    more = requests_more(found, 280)
    assert more is not None
    assert 19 <= more < 400
    assert decide(at_most(1e9), latencies(800)).outlook is PASS


def test_a_pass_takes_more_requests_than_a_fail_since_bursts_may_still_come() -> None:
    values = latencies(190, seed=1)
    assert decide(at_most(1.0, 50.0), values).outlook is FAIL
    found = decide(at_most(1e9, 50.0), values)
    assert found.outlook is UNSURE
    assert "they would pass it, but fewer than 200 do not tell what bursts are still to come; about " in found.reason


def test_who_wants_to_be_surer_needs_more_requests_for_a_pass() -> None:
    assert [round(enough_to_pass(confidence)) for confidence in (0.8, 0.95, 0.995)] == [200, 200, 313]
    found = decide(at_most(1e9, 50.0), latencies(290, seed=1), confidence=0.995)
    assert "fewer than 313 do not tell what bursts are still to come" in found.reason


@pytest.mark.parametrize("claim", [mean_at_most(108.0), at_most(75.0, 50.0), at_most(560.0)])
def test_as_many_requests_as_it_says_decide_in_most_runs(claim: Claim) -> None:
    decided = 0
    for seed in range(20):
        found = decide(claim, latencies(600, seed=seed))
        count = 600 + min(requests_more(found, 600) or 0, 50_000)
        decided += decide(claim, latencies(2 * count, seed=seed)).outlook is not UNSURE
    assert decided >= 12


def test_a_figure_just_at_its_limit_is_met_or_never_told_from_it() -> None:
    # Every batch has the same mean here, and that is the limit: it is met.
    assert decide(mean_at_most(1.0), np.ones(800)).outlook is PASS
    undecided = Decision(outlook=UNSURE, longer=inf)
    assert requests_more(undecided, 100) is seconds_more(undecided, 60.0) is None
    assert seconds_more(Decision(outlook=UNSURE, longer=1.5), 60.0) == pytest.approx(30.0)
    assert requests_more(Decision(outlook=PASS), 100) == 0


def test_more_than_anybody_waits_for_is_said_in_words() -> None:
    values = latencies(1000)
    found = decide(mean_at_most(float(values.mean()) + 1e-2), values)
    assert "no number of requests that anybody waits for would tell: move the limit" in found.reason


def test_a_throughput_that_is_not_sure_asks_for_a_longer_load() -> None:
    found = decide(Claim(kind=Kind.THROUGHPUT, operator=">=", limit=110.0), latencies(400))
    assert found.outlook is UNSURE
    assert "400 parts of the time" in found.reason
    assert "times as long would tell" in found.reason


@given(st.integers(0, 40))
def test_one_more_lost_request_never_makes_a_percentile_pass(lost: int) -> None:
    values = latencies(600)
    before, after = values.copy(), values.copy()
    before[:lost] = inf
    after[: lost + 1] = inf
    outlooks = [decide(at_most(800.0), values).outlook for values in (before, after)]
    assert outlooks[1] is not PASS or outlooks[0] is PASS


def test_a_mean_over_a_lost_request_is_endless_and_fails() -> None:
    values = latencies(500)
    values[7] = inf
    found = decide(mean_at_most(1e12), values)
    assert (found.outlook, found.actual) == (FAIL, inf)


def test_a_percentile_leaves_room_for_a_few_lost_requests_and_not_for_many() -> None:
    values = np.full(2000, 10.0)
    values[500:1500:500] = inf
    assert decide(at_most(20.0), values).outlook is PASS
    values[::20] = inf
    assert (decide(at_most(20.0), values).outlook, decide(at_most(20.0), values).actual) == (FAIL, inf)


def test_a_strict_limit_is_missed_by_values_just_at_it() -> None:
    values = np.full(1000, 20.0)
    assert decide(at_most(20.0), values).outlook is PASS
    assert decide(at_most(20.0, operator="<"), values).outlook is FAIL
    assert decide(Claim(kind=Kind.MEAN, operator="<", limit=20.0), values).outlook is FAIL
    assert decide(mean_at_most(20.0), values).outlook is PASS


def test_a_rate_is_bounded_as_a_share_of_requests() -> None:
    marks = np.zeros(3000)
    marks[::1000] = 1
    rate = [Claim(kind=Kind.RATE, operator="<=", limit=limit) for limit in (0.01, 0.001, 0.0001)]
    assert [decide(claim, marks).outlook for claim in rate] == [PASS, UNSURE, FAIL]
    found = decide(rate[1], marks)
    assert found.low < 0.001 < found.high < 0.005


def test_no_error_at_all_and_the_largest_value_are_counted_and_not_estimated() -> None:
    none = Claim(kind=Kind.RATE, operator="<=", limit=0.0)
    assert [decide(none, np.array(marks)).outlook for marks in ([0.0, 0.0], [0.0, 1.0])] == [PASS, FAIL]
    largest = Claim(kind=Kind.LARGEST, operator="<=", limit=5.0)
    assert [decide(largest, np.array([1.0, last])).outlook for last in (5.0, inf)] == [PASS, FAIL]


def test_nothing_measured_and_what_is_not_a_number_are_invalid_in_clear_words() -> None:
    empty, spoiled = decide(at_most(1.0), np.array([])), decide(mean_at_most(1e9), np.array([1.0, nan, 2.0]))
    assert (empty.outlook, spoiled.outlook) == (INVALID, INVALID)
    assert empty.reason.startswith("nothing was measured: no request has a value")
    assert spoiled.reason == "1 of 3 values are not numbers, so nothing can be said of the rest"
    assert isnan(empty.actual)


def test_values_in_one_long_burst_decide_nothing() -> None:
    slow = np.random.default_rng(0).uniform(0, 1, 1000)
    slow[500:] += 100
    assert decide(at_most(50.0, 90.0), slow).outlook is UNSURE


def drifting(count: int = 400, *, around: float = 400.0) -> Series:
    """A server that is a few percent slower for a while, again and again: neighbours are alike, and all values close."""
    slow = np.sin(np.arange(count) / 60)
    return around * (1 + 0.05 * slow) + np.random.default_rng(0).normal(0, 1, count)


@pytest.mark.parametrize("claim", [at_most, mean_at_most])
def test_where_nothing_comes_near_the_limit_it_does_not_matter_how_alike_requests_are(claim: Callable[[float], Claim]) -> None:
    values = drifting()
    assert seen(values).telling < ENOUGH
    limits = {"far above": 5000.0, "above": 500.0, "below": 300.0, "far below": 30.0}
    decided = {where: decide(claim(limit), values) for where, limit in limits.items()}
    assert {where: each.outlook for where, each in decided.items()} == {
        "far above": PASS,
        "above": UNSURE,
        "below": UNSURE,
        "far below": FAIL,
    }
    assert isnan(decided["far above"].low), "how much it varies is not known any better for that"
    assert decided["far above"].reason == "no interval can be given, but no answer came within a factor of 10 of the limit"
    assert decided["above"].reason.startswith("400 requests count as ")


def test_one_value_near_the_limit_makes_likeness_matter_again() -> None:
    values = drifting()
    assert decide(at_most(5000.0, 90.0), values).outlook is PASS
    values[200] = 501.0
    assert decide(at_most(5000.0, 90.0), values).outlook is UNSURE


def test_of_lost_requests_it_matters_how_alike_they_are_however_far_the_limit_is() -> None:
    scattered, in_a_row = drifting(), drifting()
    scattered[::80] = inf
    in_a_row[100:105] = inf
    assert decide(at_most(5000.0, 90.0), scattered).outlook is PASS
    assert decide(at_most(5000.0, 90.0), in_a_row).outlook is UNSURE
    assert decide(at_most(5000.0), scattered).outlook is UNSURE


def test_far_from_the_limit_it_takes_as_many_requests_as_independent_ones() -> None:
    found = {count: decide(at_most(5000.0, 50.0), drifting()[:count]) for count in (149, 199, 200)}
    assert [each.outlook for each in found.values()] == [UNSURE, UNSURE, PASS]
    assert found[149].reason.startswith("149 requests count as 149 independent ones, and fewer than 150 decide nothing")
    assert requests_more(found[199], 199) == 1
    p99 = {count: decide(at_most(5000.0), drifting()[:count]).outlook for count in (298, 400)}
    assert p99 == {298: UNSURE, 400: PASS}, "a p99 takes 299 at least, whatever the limit"


def test_more_confidence_never_decides_what_less_left_open() -> None:
    values = latencies(800)
    for claim in (mean_at_most(110.0), at_most(80.0, 50.0), at_most(270.0, 90.0), at_most(600.0)):
        what = seen(values)
        outlooks = [decide_of(claim, what, confidence=confidence).outlook for confidence in (0.8, 0.95, 0.999)]
        firm = [outlook for outlook in outlooks if outlook is not UNSURE]
        assert outlooks[: len(firm)] == firm


@pytest.mark.parametrize("confidence", [0.5, 1.0, 95.0])
def test_a_confidence_that_is_none_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match=r"a confidence is between 0.5 and 1, such as 0.95; not"):
        decide(at_most(1.0), latencies(200), confidence=confidence)


def test_claims_that_cannot_be_held_against_anything_are_refused() -> None:
    with pytest.raises(ValueError, match=r"has a percent between 0 and 100; not percentile None"):
        Claim(kind=Kind.PERCENTILE, operator="<=", limit=1.0)
    with pytest.raises(ValueError, match=r"a rate is held against a largest value: write <= or <, not >="):
        Claim(kind=Kind.RATE, operator=">=", limit=0.1)

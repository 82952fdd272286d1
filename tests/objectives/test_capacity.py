"""The search for the highest level that holds: where it looks, what it says, and what it costs."""

from __future__ import annotations

from itertools import pairwise
from math import inf, isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_inferbench.objectives.capacity import (
    Capacity,
    Look,
    Search,
    judged,
    levels_between,
    sizes_between,
)
from pytest_inferbench.objectives.slo import parse_objective
from pytest_inferbench.objectives.verdict import Outlook

PASS, FAIL, UNSURE, INVALID = Outlook.PASS, Outlook.FAIL, Outlook.INCONCLUSIVE, Outlook.INVALID
LEVELS = levels_between(1, 200, within=0.05, whole=False)


def searching(
    levels: tuple[float, ...] = LEVELS,
    *,
    start: float | None = None,
    budget: int = 10**6,
    most: int = 3600,
    metric: str = "max_rate",
) -> Search:
    return Search(metric=metric, levels=levels, sizes=sizes_between(400, most), start=start, budget=budget)


def answer(level: float, capacity: float, requests: int) -> Look:
    """A server that is always sure."""
    return Look(
        level=level, requests=requests, outlook=PASS if level <= capacity else FAIL, leaning=PASS if level <= capacity else FAIL
    )


def run(
    search: Search, capacity: float, *, unsure: tuple[float, float] = (inf, inf), broken: tuple[float, float] = (inf, inf)
) -> Capacity:
    """Answer until nothing is asked any more; levels between two are unsure, or cannot be believed."""
    for _ in range(1000):
        ask = search.next()
        if ask is None:
            return search.found
        look = answer(ask.level, capacity, ask.requests)
        if unsure[0] <= ask.level <= unsure[1]:
            look = Look(level=ask.level, requests=ask.requests, outlook=UNSURE, leaning=look.leaning)
        if broken[0] <= ask.level <= broken[1]:
            look = Look(level=ask.level, requests=ask.requests, outlook=INVALID, leaning=None)
        search.told(look)
    pytest.fail("the search does not end")


# -- levels ----------------------------------------------------------------------------------------------------------------


@given(st.floats(0.01, 100), st.floats(1.1, 1000), st.floats(0.01, 0.5))
def test_neighbouring_levels_are_as_close_as_asked_for(low: float, ratio: float, within: float) -> None:
    levels = levels_between(low, low * ratio, within=within, whole=False)
    assert (levels[0], levels[-1]) == (low, low * ratio)
    # Three digits of a level are shown and used.
    assert all(above / below <= (1 + within) * 1.011 for below, above in pairwise(levels))


def test_numbers_of_users_are_whole() -> None:
    levels = levels_between(1, 64, within=0.05, whole=True, also=(7.5, 33, 500))
    assert all(level.is_integer() for level in levels)
    assert levels[:4] == (1, 2, 3, 4)
    assert {33.0, 64.0} <= set(levels)
    assert 7.5 not in levels


def test_a_level_that_somebody_asks_about_is_one_of_them() -> None:
    assert 40.0 not in LEVELS
    assert 40.0 in levels_between(1, 200, within=0.05, whole=False, also=(40, 300))


@pytest.mark.parametrize(("low", "high", "within"), [(2, 1, 0.05), (1, 1, 0.05), (0, 1, 0.05), (1, inf, 0.05), (1, 2, 0)])
def test_a_range_that_is_none_is_refused(low: float, high: float, within: float) -> None:
    with pytest.raises(ValueError, match="levels go from a lower to a higher one"):
        levels_between(low, high, within=within, whole=False)


def test_more_levels_than_anybody_waits_for_are_refused() -> None:
    with pytest.raises(ValueError, match="ask for less precision"):
        levels_between(1, 1e6, within=0.0001, whole=False)


def test_each_look_at_a_level_is_three_times_as_long_up_to_the_most() -> None:
    assert sizes_between(400, 4000) == (400, 1200, 3600, 4000)
    assert sizes_between(400, 400) == (400,)
    assert sizes_between(400, 100) == (100,)


# -- a server that is always sure ------------------------------------------------------------------------------------------


@given(st.floats(1, 199), st.none() | st.sampled_from(LEVELS))
def test_the_capacity_lies_between_two_neighbouring_levels(capacity: float, start: float | None) -> None:
    search = searching(start=start)
    found = run(search, capacity)
    assert found.low <= capacity < found.high
    assert LEVELS.index(found.high) - LEVELS.index(found.low) == 1
    assert found.monotone
    assert found.reason == ""
    assert found.value == found.low


@given(st.floats(1, 199))
def test_it_takes_less_than_a_third_of_the_requests_of_the_whole_grid(capacity: float) -> None:
    found = run(searching(), capacity)
    assert found.requests_of_grid == 400 * len(LEVELS)
    assert found.requests_used <= found.requests_of_grid / 8


def test_it_begins_where_somebody_wants_it_to_hold_and_is_then_sure_of_that() -> None:
    levels = levels_between(1, 200, within=0.05, whole=False, also=(40.0,))
    search = searching(levels, start=40.0)
    asked = search.next()
    assert asked is not None
    assert (asked.level, asked.requests) == (40.0, 400)
    assert judged(parse_objective("max_rate >= 40 req/s"), run(search, 40.0)).outlook is PASS


def test_both_sides_of_what_is_found_are_confirmed_further_out() -> None:
    levels = levels_between(1, 2, within=0.05, whole=False)
    found = run(searching(levels), 1.5)
    assert any(look.level < found.low and look.outlook is PASS for look in found.looks)
    assert any(look.level > found.high and look.outlook is FAIL for look in found.looks)


def test_where_nothing_bounds_it_steps_are_no_longer_than_fourfold() -> None:
    levels = levels_between(1, 10_000, within=0.05, whole=False)
    found = run(searching(levels), 9000)
    rising = [look.level for look in found.looks]
    assert all(after <= 4.01 * before for before, after in pairwise(rising) if after > before)


@pytest.mark.parametrize(
    ("capacity", "reason"),
    [(0.5, "no level passes for sure, down to 1 req/s"), (500, "no level fails for sure, up to 200 req/s")],
)
def test_a_capacity_outside_the_range_is_said(capacity: float, reason: str) -> None:
    found = run(searching(), capacity)
    assert isnan(found.low) == (capacity < 1)
    assert (found.high == inf) == (capacity > 200)
    assert found.reason == reason


# -- levels that stay unsure -----------------------------------------------------------------------------------------------


@given(st.floats(2, 150), st.floats(1.001, 1.4), st.floats(1.001, 1.4))
@settings(max_examples=40)
def test_levels_that_stay_unsure_are_neither_and_the_interval_says_so(capacity: float, below: float, above: float) -> None:
    found = run(searching(), capacity, unsure=(capacity / below, capacity * above))
    assert found.low < capacity / below
    assert found.high > capacity * above
    assert found.low <= capacity <= found.high
    assert found.monotone
    unsure = [level for level in LEVELS if capacity / below <= level <= capacity * above]
    if not unsure:
        assert not found.reason
    if found.reason:
        assert "requests cannot tell" in found.reason


def test_an_unsure_level_is_asked_with_more_requests_and_no_more_than_the_most() -> None:
    found = run(searching(most=1200), 20, unsure=(19, 21))
    assert {look.requests for look in found.looks if look.outlook is UNSURE} == {400, 1200}
    assert max(look.requests for look in found.looks) == 1200


def test_what_stays_unsure_is_said_in_one_sentence() -> None:
    levels = levels_between(10, 40, within=0.05, whole=False)
    assert run(searching(levels), 20, unsure=(20, 20.6)).reason == "at 20.5 req/s 3600 requests cannot tell"
    several = run(searching(levels), 20, unsure=(18, 22))
    assert several.reason == "at 3 levels from 18.6 req/s to 21.5 req/s 3600 requests cannot tell"


def test_each_look_has_its_part_of_what_may_be_wrong() -> None:
    assert searching(most=400).look_confidence == pytest.approx(0.975)
    assert searching(most=3600).look_confidence == pytest.approx(1 - 0.05 / 6)


def test_levels_that_cannot_be_believed_are_tried_once_more_and_bound_nothing() -> None:
    found = run(searching(), 500, broken=(100, inf))
    assert found.high == inf
    assert 95 <= found.low < 100
    assert "cannot be believed" in found.reason
    tried = [look.level for look in found.looks if look.outlook is INVALID]
    assert all(tried.count(level) == 2 for level in tried)


def test_where_nothing_can_be_believed_the_search_ends_without_a_figure() -> None:
    found = run(searching(), 500, broken=(0, inf))
    assert isnan(found.low)
    assert found.high == inf
    assert "cannot be believed" in found.reason
    assert found.requests_used <= found.requests_of_grid / 3


def test_the_budget_is_never_overdrawn() -> None:
    found = run(searching(budget=2000), 20, unsure=(10, 40))
    assert found.requests_used <= 2000
    assert found.reason.startswith("3600 more requests would be more than the 2000 that the search may use; ")


def test_an_unsure_server_at_random_never_makes_it_go_on_for_ever() -> None:
    random = np.random.default_rng(1)
    for _ in range(50):
        search = searching()
        for _ in range(400):
            ask = search.next()
            if ask is None:
                break
            outlook = random.choice(np.array([PASS, FAIL, UNSURE, INVALID], dtype=object))
            search.told(
                Look(level=ask.level, requests=ask.requests, outlook=outlook, leaning=PASS if random.random() < 0.5 else FAIL)
            )
        assert search.next() is None


# -- a server that more load makes better ----------------------------------------------------------------------------------


def test_a_pass_above_a_fail_is_a_contradiction() -> None:
    search = searching(levels_between(1, 100, within=0.05, whole=False), start=10.0)
    for _ in range(100):
        ask = search.next()
        if ask is None:
            break
        # Below 6 it is too slow, as a server is that goes to sleep between requests.
        holds = 6 < ask.level < 20
        search.told(
            Look(level=ask.level, requests=ask.requests, outlook=PASS if holds else FAIL, leaning=PASS if holds else FAIL)
        )
    found = search.found
    assert not found.monotone
    assert isnan(found.value)
    assert "passes for sure and" in found.reason
    assert "which is less, fails for sure" in found.reason
    judgement = judged(parse_objective("max_rate >= 5 req/s"), found)
    assert judgement.outlook is UNSURE
    assert judgement.reason == found.reason


# -- what objectives make of it --------------------------------------------------------------------------------------------


def capacity(low: float, high: float) -> Capacity:
    return Capacity(
        metric="max_rate", low=low, high=high, confidence=0.95, looks=(), requests_used=0, requests_of_grid=0, monotone=True
    )


@pytest.mark.parametrize(
    ("text", "low", "high", "outlook"),
    [
        ("max_rate >= 40 req/s", 40, 42, PASS),
        ("max_rate > 40 req/s", 40, 42, UNSURE),
        ("max_rate >= 40 req/s", 38, 40, FAIL),
        ("max_rate >= 40 req/s", 38, 42, UNSURE),
        ("max_rate >= 40 req/s", float("nan"), 1, FAIL),
        ("max_rate >= 40 req/s", float("nan"), inf, UNSURE),
        ("max_rate >= 40 req/s", 200, inf, PASS),
    ],
)
def test_an_objective_passes_where_its_limit_held_for_sure(text: str, low: float, high: float, outlook: Outlook) -> None:
    judgement = judged(parse_objective(text), capacity(low, high))
    assert judgement.outlook is outlook
    assert judgement.unit == "req/s"


def test_what_lies_between_is_said() -> None:
    assert judged(parse_objective("max_rate >= 40 req/s"), capacity(38, 42)).reason == "it lies between 38 req/s and 42 req/s"


def test_users_are_counted_in_users() -> None:
    found = run(searching(levels_between(1, 64, within=0.05, whole=True), metric="max_concurrency"), 0.5)
    assert found.reason == "no level passes for sure, down to 1 users"
    assert judged(parse_objective("max_concurrency >= 16 users"), found).unit == "users"


# -- asked in the wrong order ----------------------------------------------------------------------------------------------


def test_an_answer_about_another_level_is_refused() -> None:
    search = searching()
    with pytest.raises(ValueError, match="asked about None, and told of 3"):
        search.told(answer(3.0, 10, 400))
    assert search.found.reason == "nothing was measured"

"""Looking as often as one likes, and deciding only where that was foreseen."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.objectives.decide import Claim, Kind
from pytest_inferbench.objectives.sequential import Sequential, looks_between
from pytest_inferbench.objectives.verdict import Outlook

MEAN = Claim(kind=Kind.MEAN, operator="<=", limit=100.0)


@given(st.integers(1, 500), st.integers(0, 100_000))
def test_looks_grow_by_half_from_least_to_most(least: int, further: int) -> None:
    looks = looks_between(least, least + further)
    assert looks[-1] == least + further
    assert looks[0] >= least
    assert len(set(looks)) == len(looks)
    assert all(after <= 1.5 * before + 1.5 for before, after in pairwise(looks))


def test_a_minimum_beyond_the_maximum_is_refused() -> None:
    with pytest.raises(ValueError, match="least 500 and most 400"):
        looks_between(500, 400)


def test_looking_after_every_request_decides_as_looking_at_the_planned_ones_does() -> None:
    values = np.random.default_rng(1).exponential(88.0, 3000)
    often, seldom = Sequential(claim=MEAN, most=3000), Sequential(claim=MEAN, most=3000)
    used = next(count for count in range(1, 3001) if often.look(values[:count]))
    assert used == next(count for count in looks_between(150, 3000) if seldom.look(values[:count]))
    assert often.decision == seldom.decision
    assert often.decision is not None
    assert often.decision.outlook is Outlook.PASS


def test_a_clear_case_ends_at_the_first_look_that_may_decide_and_stays_decided() -> None:
    test = Sequential(claim=MEAN, least=400, most=20_000)
    values = np.random.default_rng(2).exponential(10.0, 5000)
    assert not test.look(values[:399])
    assert test.decision is None
    assert test.next_look is not None
    assert test.look(values[: test.next_look])
    first = test.decision
    assert test.decided
    assert test.look(values)
    assert test.decision is first


def test_at_the_most_requests_the_last_word_may_be_inconclusive() -> None:
    values = np.random.default_rng(3).exponential(100.0, 500)
    test = Sequential(claim=MEAN, most=500)
    assert test.look(values)
    assert test.decision is not None
    assert test.decision.outlook is Outlook.INCONCLUSIVE


def test_values_that_come_in_leaps_are_looked_at_once_a_leap() -> None:
    test = Sequential(claim=MEAN, most=20_000)
    values = np.random.default_rng(4).exponential(100.0, 10_000)
    test.look(values)
    assert test.next_look is not None
    assert test.next_look > 10_000


def test_peeking_after_every_request_errs_no_more_than_it_says() -> None:
    """The true mean is just the limit, so each decision is an error: 5 % on each side, and a little for chance in 200 runs."""
    outlooks = []
    for seed in range(200):
        values = np.random.default_rng(seed).exponential(100.0, 3000)
        test = Sequential(claim=MEAN, most=3000)
        for count in looks_between(150, 3000):
            if test.look(values[:count]):
                break
        outlooks.append(test.decision.outlook if test.decision else None)
    assert outlooks.count(Outlook.PASS) <= 17
    assert outlooks.count(Outlook.FAIL) <= 17

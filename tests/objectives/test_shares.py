"""How alike requests are in being among the largest, and between which values a percentile lies."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

from pytest_inferbench.objectives.dependence import seen
from pytest_inferbench.objectives.shares import Likeness, likeness_at, likeness_of, percentile_between

ALONE = Likeness(tau=1.0, freedom=inf)
"""Requests that are known to be independent."""


def test_independent_requests_bound_a_percentile_by_the_ranks_of_the_binomial_table() -> None:
    values = np.arange(1.0, 1001)
    # 1,000 requests at 90 % two-sided: 84 over at most for a pass of a p90, 117 at least for a fail.
    low, high = percentile_between(values, 0.1, likeness=ALONE, confidence=0.9)
    assert (low, high) == (values[1000 - 117], values[1000 - 85])


def test_too_few_requests_leave_a_percentile_endless_above() -> None:
    assert percentile_between(np.arange(1.0, 101), 0.01, likeness=ALONE, confidence=0.9) == (97.0, inf)
    assert percentile_between(np.array([1.0]), 0.5, likeness=ALONE, confidence=0.9) == (0.0, inf)


def test_requests_that_are_alike_make_a_percentile_less_sure() -> None:
    values = np.arange(1.0, 2001)
    alone = percentile_between(values, 0.1, likeness=ALONE, confidence=0.9)
    alike = percentile_between(values, 0.1, likeness=Likeness(tau=10.0, freedom=9), confidence=0.9)
    assert alike[0] < alone[0] < 1800 < alone[1] < alike[1]


def test_requests_count_for_less_the_more_alike_they_are_and_the_less_surely_that_is_known() -> None:
    assert ALONE.counting(1000, 0.95) == pytest.approx(1000, rel=1e-5)
    assert Likeness(tau=4.0, freedom=inf).counting(1000, 0.95) == pytest.approx(250, rel=1e-5)
    assert Likeness(tau=1.0, freedom=9).counting(1000, 0.95) == pytest.approx(1000 * (1.64485 / 1.83311) ** 2, rel=1e-4)


def test_requests_over_in_one_burst_are_alike_and_those_spread_out_are_not() -> None:
    burst, spread = np.zeros(1000), np.zeros(1000)
    burst[400:500] = 1
    spread[::10] = 1
    assert likeness_of(spread, batches=10).tau == 1.0
    assert likeness_of(burst, batches=10).tau > 50
    assert likeness_of(np.zeros(1000), batches=10).tau == likeness_of(np.ones(1000), batches=10).tau == 1.0


def test_the_rare_ones_count_as_alike_as_those_of_a_wider_share() -> None:
    # The largest hundredth is spread out; the largest tenth comes in one burst.
    values = np.random.default_rng(0).uniform(0, 1, 2000)
    values[900:1080] += 2
    values[50::100] = 9.0
    assert likeness_at(seen(values), 0.01).tau > 20


def test_values_that_are_all_the_same_are_not_called_alike_by_chance() -> None:
    assert likeness_at(seen(np.full(300, 4.0)), 0.01).tau == 1.0

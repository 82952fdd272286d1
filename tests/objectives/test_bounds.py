"""The exact bounds, against a table that was computed elsewhere and against sums of the binomial distribution."""

from __future__ import annotations

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.objectives.bounds import (
    chance_at_least,
    chance_at_most,
    first,
    normal_quantile,
    over_to_fail,
    over_to_pass,
    requests_to_pass,
    share_high,
    share_low,
    t_quantile,
    t_upper_tail,
)

OVER = (0, 1, 2, 3, 5, 10, 20, 50)
TO_PASS = {
    (0.95, 0.5): (5, 8, 11, 13, 18, 30, 53, 119),
    (0.95, 0.1): (29, 46, 61, 76, 103, 167, 286, 627),
    (0.95, 0.05): (59, 93, 124, 153, 208, 336, 577, 1260),
    (0.95, 0.01): (299, 473, 628, 773, 1049, 1693, 2902, 6323),
    (0.99, 0.5): (7, 11, 14, 17, 22, 35, 59, 128),
    (0.99, 0.1): (44, 64, 81, 97, 127, 197, 325, 681),
    (0.99, 0.05): (90, 130, 165, 198, 259, 398, 656, 1372),
    (0.99, 0.01): (459, 662, 838, 1001, 1307, 2010, 3304, 6898),
}
SHARES = (0.5, 0.1, 0.05, 0.01)
PASS_AND_FAIL = {
    50: ((18, 32), (1, 10), (None, 6), (None, 3)),
    100: ((41, 59), (4, 16), (1, 10), (None, 4)),
    200: ((87, 113), (12, 28), (4, 16), (None, 6)),
    300: ((135, 165), (21, 40), (8, 22), (0, 7)),
    500: ((231, 269), (38, 62), (16, 34), (1, 10)),
    1000: ((473, 527), (84, 117), (38, 63), (4, 16)),
    2000: ((962, 1038), (177, 223), (83, 117), (12, 29)),
    5000: ((2441, 2559), (464, 536), (224, 277), (38, 63)),
}


@pytest.mark.parametrize(("confidence", "share"), TO_PASS)
def test_the_requests_that_a_percentile_needs_are_those_of_the_table(confidence: float, share: float) -> None:
    found = tuple(requests_to_pass(share, over, confidence=confidence) for over in OVER)
    assert found == TO_PASS[confidence, share]


@pytest.mark.parametrize("requests", PASS_AND_FAIL)
def test_the_counts_that_pass_and_fail_are_those_of_the_table(requests: int) -> None:
    found = tuple((over_to_pass(requests, share), over_to_fail(requests, share)) for share in SHARES)
    assert found == PASS_AND_FAIL[requests]


def test_no_count_fails_where_even_all_requests_over_would_be_chance() -> None:
    assert over_to_fail(4, 0.5) is None
    assert over_to_fail(5, 0.5) == 5


@given(st.integers(1, 60), st.floats(0.01, 0.99), st.data())
def test_chances_are_sums_of_the_binomial_distribution(requests: int, share: float, data: st.DataObject) -> None:
    over = data.draw(st.integers(0, requests))
    each = [comb(requests, k) * share**k * (1 - share) ** (requests - k) for k in range(requests + 1)]
    assert chance_at_most(over, requests, share) == pytest.approx(sum(each[: over + 1]), abs=1e-9)
    assert chance_at_least(over, requests, share) == pytest.approx(sum(each[over:]), abs=1e-9)


@given(st.floats(1, 1e4), st.floats(0, 1), st.floats(0.001, 0.2))
def test_bounds_of_a_share_are_where_what_was_seen_becomes_a_surprise(requests: float, seen: float, error: float) -> None:
    over = seen * requests
    low, high = share_low(over, requests, error), share_high(over, requests, error)
    assert 0 <= low <= seen + 1e-9
    assert seen - 1e-9 <= high <= 1
    if low > 1e-6:
        assert chance_at_least(over, requests, low) == pytest.approx(error, rel=1e-3)
    if high < 1 - 1e-6:
        assert chance_at_most(over, requests, high) == pytest.approx(error, rel=1e-3)


def test_quantiles_are_those_of_printed_tables() -> None:
    assert t_quantile(0.975, 9) == pytest.approx(2.2622, abs=1e-4)
    assert t_upper_tail(2.2622, 9) == pytest.approx(0.025, abs=1e-5)
    assert normal_quantile(0.975) == pytest.approx(1.95996, abs=1e-5)


def test_the_first_number_for_which_something_holds() -> None:
    assert first(range(3, 10), lambda number: number >= 5) == 5
    assert first(range(3, 10), lambda number: number >= 3) == 3
    assert first(range(3, 10), lambda number: number > 99) == 10

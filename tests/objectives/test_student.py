from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.objectives.bounds import t_quantile as quantile
from pytest_inferbench.objectives.bounds import t_upper_tail as upper_tail
from pytest_inferbench.objectives.student import holm

TABLE = {(0.95, 1): 6.3138, (0.975, 9): 2.2622, (0.95, 29): 1.6991, (0.995, 4): 4.6041}
"""Quantiles of printed tables, by confidence and degrees of freedom."""


@pytest.mark.parametrize(("confidence", "freedom"), TABLE)
def test_quantiles_are_those_of_printed_tables(confidence: float, freedom: int) -> None:
    assert quantile(confidence, freedom) == pytest.approx(TABLE[confidence, freedom], abs=1e-4)


@given(st.floats(0.01, 0.99), st.floats(1, 1000))
def test_the_tail_beyond_a_quantile_is_what_is_left(confidence: float, freedom: float) -> None:
    assert upper_tail(quantile(confidence, freedom), freedom) == pytest.approx(1 - confidence, rel=1e-6)


@given(st.floats(0.55, 0.99), st.floats(1, 50))
def test_fewer_degrees_of_freedom_reach_farther_fractions_too(confidence: float, freedom: float) -> None:
    assert quantile(confidence, freedom) > quantile(confidence, freedom + 0.5) > quantile(confidence, inf)


def test_with_infinite_freedom_it_is_the_normal_distribution() -> None:
    assert quantile(0.95, inf) == pytest.approx(1.6448536)
    assert upper_tail(1.6448536, inf) == pytest.approx(0.05)


def test_holm_multiplies_the_smallest_by_how_many_there_are_and_keeps_their_order() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), max_size=8))
def test_no_adjusted_value_is_smaller_than_its_own_nor_beyond_one(p_values: list[float]) -> None:
    assert all(p <= adjusted <= 1 for p, adjusted in zip(p_values, holm(p_values), strict=True))

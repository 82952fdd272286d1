from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_inferbench.objectives.student import holm, quantile, upper_tail


@given(st.floats(-50, 50), st.integers(1, 399))
def test_the_tail_is_that_of_students_t(t: float, freedom: int) -> None:
    assert upper_tail(t, freedom) == pytest.approx(float(stats.t.sf(t, freedom)), abs=1e-12)


@given(st.floats(0.5, 0.9999), st.integers(1, 399))
def test_the_quantile_is_that_of_students_t(confidence: float, freedom: int) -> None:
    assert quantile(confidence, freedom) == pytest.approx(float(stats.t.ppf(confidence, freedom)), rel=1e-6, abs=1e-9)


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

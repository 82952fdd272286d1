from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.records.export.guidellm_distribution import concurrency_summary, rate_summary, summary


def test_percentiles_are_values_and_never_between_them() -> None:
    found = summary(np.array([1.0, 2.0, 3.0, 10.0]))
    assert found["percentiles"]["p50"] == 2.0
    assert found["percentiles"]["p75"] == 3.0
    assert found["percentiles"]["p99"] == 10.0
    assert (found["mean"], found["median"], found["count"], found["total_sum"]) == (4.0, 2.0, 4, 16.0)
    assert found["variance"] == pytest.approx((9 + 4 + 1 + 36) / 4)


def test_weights_count() -> None:
    found = summary(np.array([10.0, 20.0]), np.array([3.0, 1.0]))
    assert (found["mean"], found["median"], found["mode"], found["count"]) == (12.5, 10.0, 10.0, 4)


def test_a_value_without_weight_is_not_there() -> None:
    found = summary(np.array([1.0, 5.0]), np.array([2.0, 0.0]))
    assert (found["max"], found["mean"]) == (1.0, 1.0)


def test_nothing_is_zeros() -> None:
    found = summary(np.empty(0))
    assert (found["mean"], found["count"], found["percentiles"]["p99"]) == (0.0, 0, 0.0)
    assert summary(np.array([3.0]), np.zeros(1))["mean"] == 3.0, "weights of nothing are all alike"


def test_a_rate_is_what_came_over_the_time_that_it_stands_for() -> None:
    # Instants 0, 1, 2 and 4 s, the ends of no amount: 1 s has 4 within 1 s, 2 s has 3 within 1.5 s.
    found = rate_summary(np.array([1.0, 2.0]), np.array([4.0, 3.0]), window_s=(0.0, 4.0))
    assert (found["min"], found["max"], found["count"]) == (0.0, 4.0, 7)
    assert found["mean"] == pytest.approx(7 / 4)
    assert found["percentiles"]["p75"] == 2.0


def test_instants_that_are_almost_one_are_one() -> None:
    found = rate_summary(np.array([1.0, 1.00005]), np.ones(2), window_s=(0.0, 2.0))
    assert found["max"] == pytest.approx(2.0)


def test_a_window_without_length_has_no_rate() -> None:
    assert rate_summary(np.empty(0), np.empty(0), window_s=(5.0, 5.0))["mean"] == 0.0


def test_concurrency_is_weighted_with_time() -> None:
    # One from 0 to 3 s, another one from 1 to 2 s.
    found = concurrency_summary(np.array([0.0, 1.0]), np.array([3.0, 2.0]), window_s=(0.0, 4.0))
    assert found["mean"] == pytest.approx((1 + 2 + 1 + 0) / 4)
    assert (found["min"], found["max"], found["count"]) == (0.0, 2.0, 2)
    assert concurrency_summary(np.empty(0), np.empty(0), window_s=(1.0, 1.0))["count"] == 0


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=30))
def test_figures_lie_between_the_smallest_and_the_largest(values: list[float]) -> None:
    found = summary(np.array(values))
    assert found["min"] <= found["median"] <= found["max"]
    assert found["min"] * (1 - 1e-9) <= found["mean"] <= found["max"] * (1 + 1e-9)
    assert set(found["percentiles"].values()) <= set(values)

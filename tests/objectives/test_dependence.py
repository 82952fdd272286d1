"""How many requests count as one, on series of which that is known."""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
import pytest

from pytest_inferbench.objectives.dependence import Series, batches_fitting, burstiness, in_batches, inflation, seen


def autoregressive(count: int, phi: float, *, seed: int = 0) -> Series:
    """A series whose tau is (1 + phi) / (1 - phi)."""
    shocks = np.random.default_rng(seed).standard_normal(count)
    series = np.empty(count)
    series[0] = shocks[0]
    for i in range(1, count):
        series[i] = phi * series[i - 1] + sqrt(1 - phi**2) * shocks[i]
    return series


@pytest.mark.parametrize(("phi", "tau"), [(0.0, 1.0), (0.5, 3.0), (0.9, 19.0)])
@pytest.mark.parametrize("count", [4000, 40_000])
def test_a_known_dependence_is_found_in_short_and_in_grouped_series(phi: float, tau: float, count: int) -> None:
    assert inflation(autoregressive(count, phi)) == pytest.approx(tau, rel=0.35)


def test_values_that_are_all_the_same_tell_no_dependence() -> None:
    assert inflation(np.full(500, 3.0)) == 1.0
    assert seen(np.full(500, 3.0)).tau == 1.0


def test_values_that_swing_to_and_fro_count_as_one_each_and_never_as_more() -> None:
    assert inflation(np.tile([0.0, 1.0], 500)) == 1.0


def test_lost_requests_do_not_hide_a_dependence() -> None:
    series = autoregressive(5000, 0.9)
    lost = series.copy()
    lost[::500] = inf
    assert seen(lost).tau == pytest.approx(seen(series).tau, rel=0.2)
    assert seen(lost).ordered[-1] == inf


@pytest.mark.parametrize("share", [0.05, 0.25])
@pytest.mark.parametrize("count", [300, 5000])
def test_marks_by_chance_do_not_come_in_bursts(share: float, count: int) -> None:
    found = [burstiness((np.random.default_rng(seed).random(count) < share).astype(np.float64)) for seed in range(50)]
    assert float(np.median(found)) < 1.3


def test_a_few_lumps_are_a_burst_and_many_alike_are_not() -> None:
    few, many = np.zeros(6000), np.zeros(6000)
    few[1000:1100] = few[4000:4200] = 1
    many[(np.arange(6000) // 100) % 3 == 0] = 1
    assert burstiness(few) > 5
    assert burstiness(many) == 1.0
    assert burstiness(np.zeros(600)) == burstiness(np.ones(600)) == burstiness(np.ones(1)) == 1.0


def test_a_series_counts_for_less_where_it_is_alike_and_for_less_again_where_it_bursts() -> None:
    slow = np.random.default_rng(0).uniform(0, 1, 6000)
    slow[1000:1200] += 5
    found = seen(slow)
    assert found.burstiness > 5
    assert found.telling == pytest.approx(6000 / found.tau / found.burstiness)


@pytest.mark.parametrize(("requests", "tau", "batches"), [(100, 1, 10), (2000, 10, 20), (20, 1, 10), (10**6, 1, 32)])
def test_a_batch_is_at_least_ten_memories_long_where_there_are_enough_requests(requests: int, tau: float, batches: int) -> None:
    assert batches_fitting(requests, tau) == batches


def test_the_error_of_a_mean_is_what_the_theory_says() -> None:
    for phi in (0.0, 0.9):
        found = in_batches(autoregressive(50_000, phi), 32)
        assert found.error == pytest.approx(sqrt((1 + phi) / (1 - phi) / 50_000), rel=0.5)


def test_an_error_from_batches_that_are_alike_is_less_sure() -> None:
    swinging = np.tile([0.0, 1.0], 10)
    assert in_batches(swinging, 20).freedom == pytest.approx(19)
    assert in_batches(np.arange(20.0), 20).freedom == pytest.approx(2 / (2 / 19 + 4 / 20))


def test_batches_leave_out_the_first_values_that_do_not_fit_and_know_how_lopsided_they_are() -> None:
    found = in_batches(np.array([100.0, *([0.0] * 9), 1.0]), 10)
    assert found.count == 10
    assert found.mean == pytest.approx(0.1)
    assert found.skewness == pytest.approx(sqrt(10), rel=1e-6)
    assert in_batches(np.ones(50), 10).error == in_batches(np.ones(50), 10).skewness == 0.0

"""Bounds of a mean, and throughput as the mean of equal parts of the time."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_inferbench.objectives.dependence import Batches, in_batches
from pytest_inferbench.objectives.means import mean_high, mean_low, per_second


def batches(skewness: float) -> Batches:
    return Batches(count=10, mean=5.0, error=2.0, freedom=9.0, skewness=skewness)


def test_even_batches_have_student_s_interval() -> None:
    assert mean_low(batches(0), 0.975) == pytest.approx(5 - 2 * 2.26216, abs=1e-4)
    assert mean_high(batches(0), 0.975) == pytest.approx(5 + 2 * 2.26216, abs=1e-4)


def test_batches_with_a_long_upper_tail_leave_more_room_above_and_less_below() -> None:
    assert mean_high(batches(2), 0.95) > mean_high(batches(0), 0.95)
    assert mean_low(batches(2), 0.95) > mean_low(batches(0), 0.95)
    # As if looked at in a mirror.
    assert mean_high(batches(2), 0.95) - 5 == pytest.approx(5 - mean_low(batches(-2), 0.95))


def test_the_mean_of_the_parts_is_what_came_by_the_time() -> None:
    at_s = np.random.default_rng(0).uniform(10, 110, 5000)
    tokens = np.full(5000, 7.0)
    parts = per_second(at_s, tokens, start_s=10, end_s=110)
    assert len(parts) == 1000
    assert float(parts.mean()) == pytest.approx(5000 * 7 / 100)
    found = in_batches(parts, 32)
    assert mean_low(found, 0.999) < 350 < mean_high(found, 0.999)


def test_what_came_outside_the_time_is_left_out_and_few_requests_still_make_200_parts() -> None:
    parts = per_second(np.array([0.0, 1.0, 5.0]), np.array([9.0, 2.0, 9.0]), start_s=0.5, end_s=2.5)
    assert len(parts) == 200
    assert float(parts.mean()) == pytest.approx(1.0)


def test_a_time_without_length_has_no_throughput() -> None:
    with pytest.raises(ValueError, match=r"no throughput over a time from 3 s to 3 s: it has no length"):
        per_second(np.ones(2), np.ones(2), start_s=3.0, end_s=3.0)

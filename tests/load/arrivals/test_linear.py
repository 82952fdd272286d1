"""Arrivals whose rate rises (or falls) by so much a second."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_inferbench.load.arrivals import ARRIVALS
from pytest_inferbench.load.arrivals.linear import linear
from tests.load.ramps import Expected, assert_counts, due_s, ramp


def by_line(first: float, last: float, over: float) -> Expected:
    return lambda t: first * t + (last - first) * t * t / (2 * over)


@pytest.mark.parametrize(("first", "last"), [(10.0, 200.0), (0.0, 200.0), (200.0, 10.0), (50.0, 50.0)])
def test_a_linear_ramp_has_the_expected_requests_in_each_segment(first: float, last: float) -> None:
    assert_counts(due_s(ramp("linear", first, last)), np.linspace(0, 100, 11).tolist(), by_line(first, last, 100))


def test_a_ramp_from_nothing_begins_after_its_start() -> None:
    assert due_s(ramp("linear", None, 1.0, requests=1, duration_s=None))[0] > 0


def test_it_is_found_by_name() -> None:
    assert ARRIVALS["linear"] is linear

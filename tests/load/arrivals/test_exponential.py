"""Arrivals whose rate is multiplied by the same factor every second."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from scipy import stats

from pytest_inferbench.load.arrivals import ARRIVALS
from pytest_inferbench.load.arrivals.exponential import exponential
from tests.load.ramps import Expected, assert_counts, due_s, ramp


def by_factor(first: float, last: float, over: float) -> Expected:
    growth = log(last / first) / over
    return lambda t: first * float(np.expm1(growth * t)) / growth


@pytest.mark.parametrize(("first", "last"), [(1.0, 200.0), (200.0, 1.0)])
def test_an_exponential_ramp_has_the_expected_requests_in_each_segment(first: float, last: float) -> None:
    assert_counts(due_s(ramp("exponential", first, last)), np.linspace(0, 100, 11).tolist(), by_factor(first, last, 100))


def test_an_exponential_ramp_that_does_not_rise_is_a_plain_poisson_process() -> None:
    gaps = np.diff(due_s(ramp("exponential", 50.0, 50.0)), prepend=0)
    assert stats.kstest(gaps, "expon", args=(0, 1 / 50.0)).pvalue > 0.01


def test_it_is_found_by_name() -> None:
    assert ARRIVALS["exponential"] is exponential

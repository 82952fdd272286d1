"""What all ramps have in common: a Poisson process whose rate moves from one value to another, and stays there."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_inferbench.cases.case import RAMPS
from pytest_inferbench.load.arrivals import ARRIVALS
from tests.load.ramps import due_s, ramp


@pytest.mark.parametrize("arrival", RAMPS)
def test_a_ramp_over_requests_is_as_long_as_its_mean_rate_makes_it(arrival: str) -> None:
    due = due_s(ramp(arrival, requests=5000, duration_s=None))
    mean = {"linear": 105, "exponential": 190 / log(20), "steps": 105}[arrival]
    assert len(due) == 5000
    # The end of the ramp is the 5000th arrival but for chance, which at the last rate shifts it by sqrt(5000) / 200 s.
    assert due[-1] == pytest.approx(5000 / mean, abs=6 * sqrt(5000) / 200)


@pytest.mark.parametrize("arrival", RAMPS)
def test_after_the_ramp_the_rate_stays_where_it_ended(arrival: str) -> None:
    blocks = ARRIVALS[arrival](ramp(arrival, duration_s=1.0), np.random.default_rng(3))
    after = next(blocks)[500:] / 1e9
    assert after[0] > 1.0
    assert stats.kstest(np.diff(after), "expon", args=(0, 1 / 200.0)).pvalue > 0.01


@given(
    arrival=st.sampled_from(RAMPS),
    first=st.floats(0.01, 1e4),
    last=st.floats(0.01, 1e4),
    seed=st.integers(0, 1000),
    duration=st.floats(0.01, 50),
    number=st.integers(2, 50),
)
def test_instants_ascend_and_end_within_the_duration(
    arrival: str, first: float, last: float, *, seed: int, duration: float, number: int
) -> None:
    load = ramp(arrival, first, last, requests=20_000, duration_s=duration, steps=number)
    due = due_s(load, seed)
    assert (np.diff(due, prepend=0) >= 0).all()
    assert due.max(initial=0) < duration
    assert due.tolist() == due_s(load, seed).tolist()


@given(arrival=st.sampled_from(RAMPS), first=st.floats(0.01, 1e4), last=st.floats(0.01, 1e4), count=st.integers(1, 5000))
def test_all_requests_come(arrival: str, first: float, last: float, count: int) -> None:
    assert len(due_s(ramp(arrival, first, last, requests=count, duration_s=None))) == count

"""Arrivals that know nothing of each other."""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_inferbench.cases.case import Load
from pytest_inferbench.load.arrivals import ARRIVALS
from pytest_inferbench.load.arrivals.poisson import poisson
from pytest_inferbench.load.instants import instants


def due_ns(rate: float, count: int, seed: int) -> list[int]:
    load = Load(rate_per_s=rate, arrival="poisson", requests=count)
    return list(instants(load, np.random.default_rng(seed)))


@given(rate=st.floats(1e-3, 1e6), count=st.integers(0, 10_000), seed=st.integers(0, 2**32))
def test_instants_ascend_and_the_same_seed_gives_the_same(rate: float, count: int, seed: int) -> None:
    due = due_ns(rate, count, seed)
    assert len(due) == count
    assert (np.diff(due, prepend=0) >= 0).all()
    assert due == due_ns(rate, count, seed)


@given(rate=st.floats(0.1, 1e4), seed=st.integers(0, 1000))
def test_the_mean_rate_is_the_one_asked_for(rate: float, seed: int) -> None:
    count = 20_000
    last_s = due_ns(rate, count, seed)[-1] / 1e9
    # The sum of n exponential gaps has a relative standard deviation of 1 / sqrt(n); seven of them are one in 10^11.
    assert abs(count / last_s / rate - 1) < 7 / sqrt(count)


def test_gaps_are_exponential() -> None:
    gaps = np.diff(due_ns(50.0, 20_000, 1), prepend=0) / 1e9
    assert stats.kstest(gaps, "expon", args=(0, 1 / 50.0)).pvalue > 0.01


def test_an_infinite_rate_sends_all_at_once() -> None:
    assert due_ns(inf, 3, 0) == [0, 0, 0]


def test_it_is_found_by_name() -> None:
    assert ARRIVALS["poisson"] is poisson

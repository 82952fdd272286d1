"""Arrivals in bursts, or more evenly than by chance."""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_inferbench.cases.case import Load
from pytest_inferbench.load.arrivals import ARRIVALS
from pytest_inferbench.load.arrivals.gamma import gamma
from pytest_inferbench.load.instants import instants

COUNT = 20_000


def gaps_s(burstiness: float, *, rate: float = 50.0, count: int = COUNT, seed: int = 1) -> np.ndarray:
    load = Load(rate_per_s=rate, arrival="gamma", burstiness=burstiness, requests=count)
    return np.diff(list(instants(load, np.random.default_rng(seed))), prepend=0) / 1e9


@given(burstiness=st.floats(0.05, 20), rate=st.floats(0.1, 1e4), seed=st.integers(0, 1000))
def test_gaps_are_never_negative_and_have_the_mean_asked_for(burstiness: float, rate: float, seed: int) -> None:
    gaps = gaps_s(burstiness, rate=rate, seed=seed)
    assert len(gaps) == COUNT
    assert gaps.min() >= 0
    # A gap's relative standard deviation is 1 / sqrt(burstiness); of very skewed gaps the mean's tail is longer than a normal's.
    assert abs(gaps.mean() * rate - 1) < 10 / sqrt(burstiness * COUNT)


@pytest.mark.parametrize("burstiness", [0.25, 1.0, 4.0])
def test_gaps_are_gamma_distributed_with_the_burstiness_for_shape(burstiness: float) -> None:
    expected = stats.gamma(burstiness, scale=1 / (50.0 * burstiness))
    assert stats.kstest(gaps_s(burstiness), expected.cdf).pvalue > 0.01


def test_burstiness_1_is_a_poisson_process() -> None:
    gaps = gaps_s(1.0)
    assert stats.kstest(gaps, "expon", args=(0, 1 / 50.0)).pvalue > 0.01
    assert gaps.std() / gaps.mean() == pytest.approx(1, abs=0.05)
    in_each_second = np.bincount(np.cumsum(gaps).astype(int))[:-1]
    assert in_each_second.var() / in_each_second.mean() == pytest.approx(1, abs=0.35)


def test_less_is_burstier_and_more_is_more_even() -> None:
    spread = [gaps_s(burstiness).std() * 50 for burstiness in (0.25, 1, 4)]
    assert spread == pytest.approx([2, 1, 0.5], rel=0.1)


def test_an_infinite_rate_sends_all_at_once() -> None:
    assert gaps_s(0.5, rate=inf, count=3).tolist() == [0, 0, 0]


def test_it_is_found_by_name() -> None:
    assert ARRIVALS["gamma"] is gamma

"""A request that never finished is the largest value of all, and is never dropped."""

from __future__ import annotations

from math import inf, isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pytest_inferbench.metrics.distribution import distribution
from pytest_inferbench.metrics.metric import Samples
from pytest_inferbench.objectives.percentile import requests_needed, statistic_of

_samples = arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1e6))
_statistics = st.sampled_from(["mean", "max", "p1", "p50", "p90", "p99", "p99.9"])


@given(_samples)
def test_without_lost_requests_a_statistic_is_the_summary_s(samples: Samples) -> None:
    each = distribution(samples)
    for name in ("mean", "p50", "p90", "p95", "p99", "max"):
        assert statistic_of(samples, name, endless=0) == getattr(each, name)


@given(_samples, _statistics, st.integers(0, 5))
def test_one_more_lost_request_never_makes_a_statistic_better(samples: Samples, statistic: str, endless: int) -> None:
    fewer = statistic_of(samples, statistic, endless=endless)
    assert statistic_of(samples, statistic, endless=endless + 1) >= fewer


@given(_samples, st.sampled_from([25, 50, 90, 99]), st.integers(0, 40))
def test_a_percentile_is_that_of_all_values_with_the_lost_ones_last(samples: Samples, percent: int, endless: int) -> None:
    everything = np.sort(np.concatenate((samples, np.full(endless, inf))))
    rank = (everything.size - 1) * percent
    low, high = everything[rank // 100], everything[-(-rank // 100)]
    actual = statistic_of(samples, f"p{percent}", endless=endless)
    if np.isinf(high):
        assert actual == inf
    else:
        assert low - 1e-6 <= actual <= high + 1e-6


@pytest.mark.parametrize("statistic", ["mean", "max", "p99"])
def test_one_lost_request_among_few_makes_it_endless(statistic: str) -> None:
    assert statistic_of(np.full(50, 10.0), statistic, endless=1) == inf


def test_a_percentile_tolerates_the_lost_requests_it_leaves_room_for() -> None:
    assert statistic_of(np.full(999, 10.0), "p99", endless=1) == 10.0
    # Exactly at the last finite value: one float further up would be endless.
    assert statistic_of(np.full(100, 10.0), "p99", endless=1) == 10.0
    assert statistic_of(np.full(100, 10.0), "p99", endless=2) == inf


def test_no_values_at_all_have_no_statistic_and_only_lost_ones_are_endless() -> None:
    assert isnan(statistic_of(np.array([]), "p99", endless=0))
    assert statistic_of(np.array([]), "p50", endless=1) == inf


def test_the_requests_that_a_percentile_needs() -> None:
    needed = {name: requests_needed(name) for name in ("p50", "p90", "p95", "p99", "p99.9", "mean")}
    assert needed == {"p50": 5, "p90": 29, "p95": 59, "p99": 299, "p99.9": 2995, "mean": 1}

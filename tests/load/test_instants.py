"""When each request of a load is due."""

from __future__ import annotations

from itertools import islice
from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.case import Load
from pytest_inferbench.load.instants import instants


def due_ns(seed: int = 0, **load: Any) -> list[int]:
    return list(instants(Load(**load), np.random.default_rng(seed)))


def test_a_closed_loop_has_no_times_of_its_own() -> None:
    assert due_ns(concurrency=4, requests=3, duration_s=0.001) == [0, 0, 0]


def test_a_closed_loop_of_no_known_length_has_no_end() -> None:
    endless = instants(Load(concurrency=4, requests=None, duration_s=60), np.random.default_rng(0))
    assert list(islice(endless, 10_000)) == [0] * 10_000


def test_a_request_due_at_the_end_is_not_sent() -> None:
    load: dict[str, Any] = {"rate_per_s": 2.0, "arrival": "constant", "requests": None}
    assert due_ns(**load, duration_s=2.0) == [0, 500_000_000, 1_000_000_000, 1_500_000_000]
    assert len(due_ns(**load, duration_s=2.001)) == 5


@pytest.mark.parametrize(("requests", "duration_s", "count"), [(3, 100.0, 3), (1000, 2.0, 4)])
def test_what_comes_first_ends_the_load(requests: int, duration_s: float, count: int) -> None:
    assert len(due_ns(rate_per_s=2.0, arrival="constant", requests=requests, duration_s=duration_s)) == count


@given(duration_s=st.floats(0.001, 20), arrival=st.sampled_from(["poisson", "constant", "gamma"]), seed=st.integers(0, 99))
def test_a_longer_load_begins_like_a_shorter_one(duration_s: float, arrival: Any, seed: int) -> None:
    load: dict[str, Any] = {"rate_per_s": 500.0, "arrival": arrival, "requests": None}
    shorter = due_ns(seed, **load, duration_s=duration_s)
    longer = due_ns(seed, **load, duration_s=duration_s * 2)
    assert longer[: len(shorter)] == shorter
    assert max(shorter, default=0) < duration_s * 1e9


def test_all_at_once() -> None:
    assert due_ns(rate_per_s=inf, arrival="poisson", requests=3) == [0, 0, 0]

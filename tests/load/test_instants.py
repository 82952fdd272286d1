"""When each request of a load is due."""

from __future__ import annotations

from itertools import islice
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.case import Load
from pytest_inferbench.errors import ConfigError
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


@pytest.fixture
def trace(tmp_path: Path) -> str:
    """Four requests within three seconds."""
    path = tmp_path / "t.csv"
    path.write_text("timestamp,input_tokens,output_tokens\n7,8,1\n8,9,2\n8,10,3\n10,11,4\n")
    return str(path)


def replayed(trace: str, **load: Any) -> list[int]:
    return list(instants(Load(**{"trace": trace, "arrival": "trace", "requests": None, **load}), np.random.default_rng(0)))


def test_a_trace_says_when_requests_come(trace: str) -> None:
    second = 10**9
    assert replayed(trace) == [0, second, second, 3 * second]


@pytest.mark.parametrize("time_scale", [0.5, 2.0, 0.001])
def test_times_of_a_trace_are_multiplied(trace: str, time_scale: float) -> None:
    expected = [0, *[round(second * time_scale * 1e9) for second in (1, 1, 3)]]
    assert replayed(trace, time_scale=time_scale) == expected


@pytest.mark.parametrize(
    ("load", "count"), [({"requests": 2}, 2), ({"duration_s": 3}, 3), ({"duration_s": 3, "time_scale": 0.5}, 4)]
)
def test_a_trace_is_cut_where_the_load_ends(trace: str, load: dict[str, Any], count: int) -> None:
    assert len(replayed(trace, **load)) == count


def test_a_trace_that_has_fewer_requests_than_asked_for_is_an_error(trace: str) -> None:
    assert len(replayed(trace, requests=4)) == 4
    with pytest.raises(ConfigError) as caught:
        replayed(trace, requests=5)
    said = "the trace has 4 requests, fewer than the 5 asked for; ask for fewer, or leave requests out"
    assert str(caught.value) == f"{trace}: {said}"
    assert len(replayed(trace, requests=5, duration_s=60.0)) == 4, "the duration would end the load, too"

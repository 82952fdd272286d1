"""Arrivals at equal distances."""

from __future__ import annotations

from itertools import islice
from math import inf

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.case import Load
from pytest_inferbench.load.arrivals import ARRIVALS
from pytest_inferbench.load.arrivals.constant import constant
from pytest_inferbench.load.instants import instants

RNG = np.random.default_rng(0)


def load(rate: float, count: int) -> Load:
    return Load(rate_per_s=rate, arrival="constant", requests=count)


def due_ns(rate: float, count: int) -> list[int]:
    return list(instants(load(rate, count), RNG))


@given(rate=st.floats(1e-3, 1e6), count=st.integers(0, 10_000))
def test_each_comes_at_its_number_over_the_rate(rate: float, count: int) -> None:
    due = np.array(due_ns(rate, count), dtype=np.int64)
    assert len(due) == count
    assert np.abs(due - np.arange(count) / rate * 1e9).max(initial=0) <= 1 + 1e-15 * count / rate * 1e9


def test_known_instants() -> None:
    assert due_ns(4.0, 4) == [0, 250_000_000, 500_000_000, 750_000_000]


def test_blocks_follow_each_other_without_a_gap() -> None:
    first, second = islice(constant(load(1.0, 1), RNG), 2)
    assert second[0] - first[-1] == 1e9


def test_an_infinite_rate_sends_all_at_once() -> None:
    assert due_ns(inf, 3) == [0, 0, 0]


def test_it_is_found_by_name() -> None:
    assert ARRIVALS["constant"] is constant

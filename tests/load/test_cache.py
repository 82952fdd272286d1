"""What came from a server's prompt cache is held against what it can know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pytest_inferbench.cases.case import Cache, Case
from pytest_inferbench.cases.traffic import parse_traffic
from pytest_inferbench.load.cache import CacheUse, cache_use
from tests.load.cases import case_of
from tests.traces import lost, streamed, traces_of


def case(cache: Cache, text: str = "D(100,8)") -> Case:
    return replace(case_of(), traffic=replace(parse_traffic(text), cache=cache))


def use(
    cached: list[int], *, expected: list[int] | None = None, cache: Cache = "cold", around: int = 0, text: str = "D(100,8)"
) -> CacheUse:
    """The use of as many prompts of 100 tokens, and ``around`` that the server adds to each."""
    traces = traces_of([streamed() for _ in cached])
    numbers: dict[str, Any] = {
        "prompt_tokens_asked": np.full(len(cached), 100),
        "prompt_tokens": np.full(len(cached), 100 + around),
        "cached_tokens": np.array(cached),
    }
    return cache_use(case(cache, text), replace(traces, **numbers), np.array(expected or [0] * len(cached)))


def test_nothing_from_a_cache_is_nothing() -> None:
    assert use([0, 0]) == CacheUse(cache="cold", strict=True, expected_share=0.0, found_share=0.0, excess_share=0.0)


def test_what_the_server_puts_around_each_prompt_may_come_from_its_cache() -> None:
    found = use([0, 25, 25, 25], around=25)
    assert (found.excess_share, found.found_share) == (0.0, 75 / 500)


def test_two_tokens_by_chance_are_nothing_and_more_is_excess() -> None:
    assert use([2, 2, 0, 1]).excess_share == 0.0
    assert use([52, 2, 0, 0]).excess_share == 50 / 400


def test_what_was_sent_before_is_expected() -> None:
    found = use([96, 0, 96, 96], expected=[99, 99, 0, 99], cache="shared")
    assert (found.expected_share, found.found_share) == (297 / 400, 288 / 400)
    assert found.excess_share == (96 - 2) / 400, "too little of one prompt makes up for no other"


@pytest.mark.parametrize(
    ("cache", "text", "strict"),
    [
        ("cold", "D(9,9)", True),
        ("cold", "dataset", True),
        ("shared", "D(9,9)", True),
        ("shared", "dataset", False),
        ("warm", "D(9,9)", False),
    ],
)
def test_rows_that_are_shared_may_begin_alike_as_they_like(cache: Cache, text: str, *, strict: bool) -> None:
    assert use([1], cache=cache, text=text).strict == strict


def test_a_server_that_does_not_say_leaves_it_open() -> None:
    found = use([-1, -1], expected=[50, 50], cache="shared")
    assert (found.found_share, found.expected_share, found.excess_share) == (None, 0.5, 0.0)


def test_only_completed_requests_whose_cache_is_known_count() -> None:
    traces = traces_of([streamed(), streamed(), lost()])
    traces = replace(traces, cached_tokens=np.array([8, -1, 16]))
    assert cache_use(case("cold"), traces, np.zeros(3, dtype=np.int64)).found_share == 0.5


def test_without_any_completed_request_there_is_nothing_to_find() -> None:
    found = cache_use(case("warm"), traces_of([lost()]), np.array([9]))
    assert (found.found_share, found.expected_share) == (None, 0.0)

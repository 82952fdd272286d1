"""A queue that more comes to than it can answer grows, and one that keeps up is not taken for it."""

from __future__ import annotations

from heapq import heappop, heappush
from math import inf

import numpy as np
import pytest

from pytest_inferbench.objectives.dependence import Series
from pytest_inferbench.objectives.overload import PARTS, outgrown


def queue(load: float, requests: int, *, servers: int = 8, seed: int = 1) -> tuple[Series, Series]:
    """Instants of coming and leaving of a queue that is empty at first; service takes 1 s on average."""
    random = np.random.default_rng(seed)
    came = np.cumsum(random.exponential(1 / (load * servers), requests))
    services = random.exponential(1.0, requests)
    free, left = [0.0] * servers, []
    for at, service in zip(came.tolist(), services.tolist(), strict=True):
        end = max(at, heappop(free)) + service
        heappush(free, end)
        left.append(end)
    return came, np.array(left)


@pytest.mark.parametrize("load", [1.5, 2.0, 3.0])
@pytest.mark.parametrize("servers", [1, 8])
def test_an_overloaded_queue_is_found(load: float, servers: int) -> None:
    found = [outgrown(*queue(load, 1200, servers=servers, seed=seed), confidence=0.99) for seed in range(20)]
    assert sum(found) >= 19


@pytest.mark.parametrize("load", [0.5, 0.9, 1.0])
def test_a_queue_that_keeps_up_even_only_just_is_hardly_ever_taken_for_one_that_does_not(load: float) -> None:
    found = [outgrown(*queue(load, 600, seed=seed), confidence=0.95) for seed in range(200)]
    # At most 5 %, and this is one-in-a-thousand bad luck of that.
    assert sum(found) <= 20


def test_the_order_of_the_requests_does_not_matter() -> None:
    sent, left = queue(2.0, 600)
    mixed = np.random.default_rng(3).permutation(len(sent))
    assert outgrown(sent[mixed], left[mixed])


def test_requests_that_never_end_stay_in_flight() -> None:
    sent = np.arange(400) / 10
    left = sent + 1.0
    left[50:] = inf
    assert outgrown(sent, left)
    assert not outgrown(sent, sent + 1.0)


def test_a_load_that_is_over_before_the_first_requests_are_answered_says_nothing() -> None:
    sent = np.arange(400) / 400
    assert not outgrown(sent, sent + 5.0)
    assert not outgrown(sent, np.full(400, inf))


def test_a_few_requests_say_nothing() -> None:
    sent = np.arange(PARTS - 1) / 10
    assert not outgrown(sent, sent * 100 + 1)

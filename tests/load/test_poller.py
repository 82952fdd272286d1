"""Both pollers report what is ready, and wake at an instant."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_inferbench.load.clock import monotonic_ns
from pytest_inferbench.load.poller import READ, WRITE, EpollPoller, Poller, PollPoller, make_poller

MS = 1_000_000
FAR_NS = 1 << 62
KINDS = [PollPoller, pytest.param(EpollPoller, marks=pytest.mark.skipif(not hasattr(select, "epoll"), reason="Linux only"))]


@pytest.fixture(params=KINDS)
def poller(request: pytest.FixtureRequest) -> Iterator[Poller]:
    made: Poller = request.param()
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


Pair = tuple[socket.socket, socket.socket]


def test_nothing_is_ready_without_a_reason(poller: Poller, pair: Pair) -> None:
    poller.register(pair[0].fileno(), READ)
    assert poller.ready() == []


def test_what_can_be_read_is_reported_until_it_was_read(poller: Poller, pair: Pair) -> None:
    fd = pair[0].fileno()
    poller.register(fd, READ)
    pair[1].send(b"x")
    assert poller.ready() == [(fd, READ)]
    assert poller.wait_until(FAR_NS) == [(fd, READ)]
    pair[0].recv(1)
    assert poller.ready() == []


def test_another_mask_reports_something_else(poller: Poller, pair: Pair) -> None:
    fd = pair[0].fileno()
    poller.register(fd, READ)
    poller.modify(fd, READ | WRITE)
    assert poller.ready() == [(fd, WRITE)]


def test_what_is_no_longer_watched_is_not_reported(poller: Poller, pair: Pair) -> None:
    poller.register(pair[0].fileno(), WRITE)
    poller.unregister(pair[0].fileno())
    assert poller.ready() == []


def test_the_end_of_a_connection_is_reported(poller: Poller, pair: Pair) -> None:
    poller.register(pair[0].fileno(), READ)
    pair[1].close()
    ((fd, mask),) = poller.wait_until(FAR_NS)
    assert fd == pair[0].fileno()
    assert mask & READ


def test_it_wakes_at_the_instant_and_not_before(poller: Poller) -> None:
    instant_ns = monotonic_ns() + 3 * MS
    assert poller.wait_until(instant_ns) == []
    assert monotonic_ns() >= instant_ns


def test_an_instant_in_the_past_is_no_wait_and_can_be_asked_for_again(poller: Poller, pair: Pair) -> None:
    poller.register(pair[0].fileno(), READ)
    past_ns = monotonic_ns() - MS
    for _ in range(3):
        assert poller.wait_until(past_ns) == []
    assert poller.wait_until(0) == []


def test_a_timer_that_ran_out_is_not_taken_for_a_descriptor(poller: Poller, pair: Pair) -> None:
    fd = pair[0].fileno()
    poller.register(fd, READ)
    assert poller.wait_until(monotonic_ns() + MS) == []
    pair[1].send(b"x")
    assert poller.ready() == [(fd, READ)]
    assert poller.wait_until(monotonic_ns() - MS) == [(fd, READ)]


def test_closing_gives_the_descriptors_back() -> None:
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(5):
        make_poller().close()
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_the_best_one_of_this_platform_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    if hasattr(select, "epoll"):
        made = make_poller()
        assert isinstance(made, EpollPoller)
        made.close()
        monkeypatch.delattr(select, "epoll")
    assert isinstance(make_poller(), PollPoller)

"""Turns follow each other: one user, one after the other, each some time after the last one has ended."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_inferbench.load import conversations
from pytest_inferbench.load.conversations import ConversationSchedule
from pytest_inferbench.load.row import FIRST, ROW
from pytest_inferbench.load.schedule import Rows

THINK_NS = 50
Ended = deque[tuple[int, int]]
Make = Callable[..., tuple[ConversationSchedule, Ended, Rows]]


@pytest.fixture
def make(tmp_path: Path, request: pytest.FixtureRequest) -> Make:
    def make(
        turns: int = 3,
        count: int = 12,
        *,
        end: int | None = None,
        complete: bool = True,
        first: int = 0,
        stride: int = 1,
        **times: Any,
    ) -> tuple[ConversationSchedule, Ended, Rows]:
        """``count`` rows in conversations of ``turns``; the k-th conversation is due at 1000 k in an open loop."""
        rows, bodies = tmp_path / "rows", tmp_path / "bodies"
        packed = [
            ROW.pack(1000 * (i // turns) if i % turns == 0 else THINK_NS, 8 * i, 8, 1, 1, FIRST if i % turns == 0 else i - 1, 0)
            for i in range(count)
        ]
        rows.write_bytes(b"".join(packed))
        bodies.write_bytes(b"".join(b"body %03d" % i for i in range(count)))
        fds = (os.open(rows, os.O_RDONLY), os.open(bodies, os.O_RDONLY))
        for fd in fds:
            request.addfinalizer(partial(os.close, fd))
        handed = Rows(fds, first=first * turns, stride=stride * turns, end=count if end is None else end, complete=complete)
        ended: Ended = deque()
        return ConversationSchedule(handed, ended, **{"start_ns": 100, **times}), ended, handed

    return make


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets what the schedule takes for now."""
    at = [0]
    monkeypatch.setattr(conversations, "monotonic_ns", lambda: at[0])
    return lambda to_ns: at.__setitem__(0, to_ns)


def test_a_user_goes_through_a_conversation_and_then_begins_another(make: Make) -> None:
    schedule, ended, _ = make(turns=2, count=4, users_ns=[100])
    assert schedule.take() == (0, b"body 000", 100)
    assert (schedule.next_ns(), schedule.over()) == (None, False)
    ended.append((0, 300))
    assert schedule.next_ns() == 300 + THINK_NS
    assert schedule.take() == (1, b"body 001", 350)
    ended.append((1, 500))
    assert schedule.next_ns() == 500
    assert schedule.take() == (2, b"body 002", 500)
    ended.append((2, 600))
    assert not schedule.over(), "its second turn is still to come"
    assert schedule.next_ns() == 650
    assert schedule.take() == (3, b"body 003", 650)
    ended.append((3, 700))
    assert (schedule.next_ns(), schedule.over()) == (None, True)


def test_while_one_user_thinks_another_begins(make: Make) -> None:
    schedule, ended, _ = make(users_ns=[100, 320])
    schedule.take()
    ended.append((0, 300))
    assert schedule.next_ns() == 320
    assert schedule.take() == (3, b"body 003", 320)
    assert schedule.next_ns() == 350
    assert schedule.take() == (1, b"body 001", 350)


def test_an_open_loop_begins_conversations_at_their_instants_whatever_has_ended(make: Make) -> None:
    schedule, ended, _ = make(turns=2, count=4)
    assert schedule.next_ns() == 100
    assert schedule.take() == (0, b"body 000", 100)
    assert schedule.next_ns() == 1100
    ended.append((0, 5000))
    assert schedule.next_ns() == 1100
    assert schedule.take() == (2, b"body 002", 1100)
    assert schedule.next_ns() == 5050
    assert schedule.take() == (1, b"body 001", 5050)
    ended.extend([(1, 6000), (2, 6000)])
    assert schedule.next_ns() == 6050
    schedule.take()
    ended.append((3, 7000))
    assert (schedule.next_ns(), schedule.over()) == (None, True)


def test_the_last_conversation_may_be_cut_short(make: Make) -> None:
    schedule, ended, _ = make(turns=3, count=4, users_ns=[0])
    for number in range(4):
        schedule.next_ns()
        assert schedule.take()[0] == number
        ended.append((number, 100 * number))
    assert (schedule.next_ns(), schedule.over()) == (None, True)


def test_a_closed_loop_stops_at_its_time_in_the_middle_of_conversations(make: Make, now: Callable[[int], None]) -> None:
    schedule, ended, _ = make(users_ns=[0], stop_ns=1000)
    schedule.take()
    ended.append((0, 900))
    now(999)
    assert (schedule.next_ns(), schedule.over()) == (950, False)
    now(1000)
    assert (schedule.next_ns(), schedule.over()) == (None, True)


def test_turns_go_on_while_a_user_waits_for_a_plan_that_grows(make: Make, now: Callable[[int], None]) -> None:
    schedule, ended, rows = make(turns=2, count=4, end=2, complete=False, users_ns=[0, 10])
    now(20)
    schedule.take()
    assert schedule.next_ns() == 20 + 1_000_000
    now(60)
    assert schedule.starved_ns == 40
    ended.append((0, 70))
    assert schedule.next_ns() == 120
    now(120)
    assert schedule.take() == (1, b"body 001", 120)
    rows.end, rows.complete = 4, True
    assert schedule.next_ns() == 10
    assert schedule.starved_ns == 100
    assert schedule.take() == (2, b"body 002", 10)


def test_nothing_to_take_is_an_error(make: Make) -> None:
    schedule, _, _ = make(users_ns=[])
    with pytest.raises(IndexError, match="there is no request to take"):
        schedule.take()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    turns=st.integers(1, 4),
    count=st.integers(0, 25),
    users_and_processes=st.tuples(st.none() | st.integers(1, 5), st.integers(1, 3)),
    data=st.data(),
)
def test_every_row_is_sent_once_by_one_process_and_after_the_one_it_follows(
    make: Make, turns: int, count: int, users_and_processes: tuple[int | None, int], data: st.DataObject
) -> None:
    users, processes = users_and_processes
    sent_ns: dict[int, int] = {}
    ended_ns: dict[int, int] = {}
    for process in range(processes):
        users_ns = None if users is None else [100] * users
        schedule, ended, _ = make(turns, count, first=process, stride=processes, users_ns=users_ns)
        wire: list[int] = []
        while (due_ns := schedule.next_ns()) is not None or wire:
            if due_ns is not None and (not wire or data.draw(st.booleans())):
                number, body, intended_ns = schedule.take()
                assert (intended_ns, body) == (due_ns, b"body %03d" % number)
                assert number not in sent_ns
                sent_ns[number] = intended_ns
                wire.append(number)
                assert users is None or len(wire) <= users
            else:
                done = wire.pop(data.draw(st.integers(0, len(wire) - 1)))
                ended_ns[done] = sent_ns[done] + data.draw(st.integers(1, 3000))
                ended.append((done, ended_ns[done]))
        assert schedule.over()
    assert sorted(sent_ns) == list(range(count))
    for number, at_ns in sent_ns.items():
        if number % turns:
            assert at_ns == ended_ns[number - 1] + THINK_NS

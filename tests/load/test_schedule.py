"""Rows of a plan are handed out in order, each at its time."""

from __future__ import annotations

import os
from bisect import insort
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.load import schedule
from pytest_inferbench.load.row import FIRST, ROW
from pytest_inferbench.load.schedule import CappedSchedule, ClosedSchedule, OpenSchedule, Rows

Make = Callable[..., Rows]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Ten rows; row i is due at 100 i and has the body ``body-i``."""
    rows, bodies = tmp_path / "rows", tmp_path / "bodies"
    rows.write_bytes(b"".join(ROW.pack(100 * i, 6 * i, 6, 8, 4, FIRST, 0) for i in range(10)))
    bodies.write_bytes(b"".join(b"body-%d" % i for i in range(10)))
    return rows, bodies


@pytest.fixture
def make(files: tuple[Path, Path], request: pytest.FixtureRequest) -> Make:
    def make(end: int = 10, *, first: int = 0, stride: int = 1, complete: bool = True) -> Rows:
        fds = (os.open(files[0], os.O_RDONLY), os.open(files[1], os.O_RDONLY))
        for fd in fds:
            request.addfinalizer(partial(os.close, fd))
        return Rows(fds, first=first, stride=stride, end=end, complete=complete)

    return make


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets what the schedule takes for now."""
    at = [0]
    monkeypatch.setattr(schedule, "monotonic_ns", lambda: at[0])
    return lambda to_ns: at.__setitem__(0, to_ns)


def taken(rows: Rows) -> list[tuple[int, bytes]]:
    found = []
    while rows.available:
        found.append(rows.take())
    return found


def test_rows_come_with_their_bodies_in_order(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "_BLOCK", 3)
    rows = make()
    assert taken(rows) == [(i, b"body-%d" % i) for i in range(10)]
    assert rows.exhausted


@pytest.mark.parametrize(("first", "expected"), [(2, [2, 5, 8]), (3, [3, 6, 9]), (10, [])])
def test_each_process_has_its_own_rows(make: Make, first: int, expected: list[int]) -> None:
    rows = make(first=first, stride=3)
    assert [number for number, _ in taken(rows)] == expected
    assert rows.exhausted


def test_a_plan_that_grows_goes_on(make: Make) -> None:
    rows = make(2, complete=False)
    assert len(taken(rows)) == 2
    assert not rows.available
    assert not rows.exhausted
    rows.end, rows.complete = 4, True
    assert [number for number, _ in taken(rows)] == [2, 3]
    assert rows.exhausted


def test_half_a_row_at_the_end_of_the_file_is_read_again_when_it_is_whole(files: tuple[Path, Path], make: Make) -> None:
    whole = files[0].read_bytes()
    files[0].write_bytes(whole[: 2 * ROW.size + 5])
    rows = make(2, complete=False)
    assert len(taken(rows)) == 2
    files[0].write_bytes(whole)
    rows.end = 3
    assert taken(rows) == [(2, b"body-2")]


def test_an_open_loop_sends_each_row_at_its_own_instant(make: Make) -> None:
    open_loop = OpenSchedule(make(3, first=1), 1000)
    assert open_loop.next_ns() == 1100
    assert open_loop.take() == (1, b"body-1", 1100)
    assert not open_loop.over()
    assert (open_loop.next_ns(), open_loop.take()) == (1200, (2, b"body-2", 1200))
    assert (open_loop.next_ns(), open_loop.over()) == (None, True)


def test_a_closed_loop_sends_when_a_user_is_free(make: Make) -> None:
    free = deque([5, 5])
    closed = ClosedSchedule(make(3), free, stop_ns=None)
    assert [closed.take() for _ in range(2)] == [(0, b"body-0", 5), (1, b"body-1", 5)]
    assert closed.next_ns() is None
    free.append(77)
    assert closed.next_ns() == 77
    assert closed.take() == (2, b"body-2", 77)
    free.append(99)
    assert (closed.next_ns(), closed.over()) == (None, True)


def test_a_closed_loop_stops_at_its_time(make: Make, now: Callable[[int], None]) -> None:
    closed = ClosedSchedule(make(), deque([5]), stop_ns=1000)
    now(999)
    assert (closed.next_ns(), closed.over()) == (5, False)
    now(1000)
    assert (closed.next_ns(), closed.over()) == (None, True)


def test_the_time_in_which_a_user_waits_for_the_plan_is_counted(make: Make, now: Callable[[int], None]) -> None:
    rows = make(0, complete=False)
    closed = ClosedSchedule(rows, deque([5, 5]), stop_ns=10_000)
    now(100)
    assert closed.next_ns() == 100 + 1_000_000
    now(400)
    assert closed.starved_ns == 300
    rows.end = 1
    assert closed.next_ns() == 5
    closed.take()
    now(600)
    closed.next_ns()
    now(10_000)
    assert closed.next_ns() is None
    now(20_000)
    assert closed.starved_ns == 300 + 9_400, "it ends with the load"


def test_users_that_start_one_after_the_other_do_not_wait_for_each_other(make: Make, now: Callable[[int], None]) -> None:
    free: deque[int] = deque()
    closed = ClosedSchedule(make(), free, stop_ns=None, starts_ns=[0, 1000, 2000])
    now(10)
    assert closed.next_ns() == 0
    assert closed.take() == (0, b"body-0", 0)
    assert closed.next_ns() == 1000
    free.append(400)
    assert closed.next_ns() == 400, "the first user is free before the second one starts"
    assert [closed.take()[2] for _ in range(3)] == [400, 1000, 2000]
    assert closed.next_ns() is None


def test_nobody_starts_when_the_time_is_up(make: Make, now: Callable[[int], None]) -> None:
    closed = ClosedSchedule(make(), deque(), stop_ns=500, starts_ns=[0, 1000])
    assert closed.take()[2] == 0
    assert closed.next_ns() == 1000
    now(500)
    assert (closed.next_ns(), closed.over()) == (None, True)


def test_the_plan_starves_nobody_who_has_not_started(make: Make, now: Callable[[int], None]) -> None:
    closed = ClosedSchedule(make(0, complete=False), deque(), stop_ns=None, starts_ns=[1000])
    now(10)
    assert closed.next_ns() == 1000
    now(2000)
    assert closed.starved_ns == 0
    closed.next_ns()
    now(2500)
    assert closed.starved_ns == 500


def test_a_cap_holds_back_what_is_due_until_a_slot_is_free(make: Make) -> None:
    freed: deque[int] = deque([0, 0])
    capped = CappedSchedule(make(), 1000, freed)
    assert (capped.next_ns(), capped.take()) == (1000, (0, b"body-0", 1000))
    assert (capped.next_ns(), capped.take()) == (1100, (1, b"body-1", 1100))
    assert capped.next_ns() is None, "both slots are taken"
    freed.append(1150)
    assert (capped.next_ns(), capped.take()) == (1200, (2, b"body-2", 1200)), "free before it was due: no wait"
    freed.append(1900)
    assert (capped.next_ns(), capped.take()) == (1900, (3, b"body-3", 1300)), "it still counts from when it was due"
    assert capped.waits_ns == {3: 600}


@given(cap=st.integers(1, 4), served_ns=st.lists(st.integers(1, 1000), min_size=10, max_size=10))
def test_never_more_than_the_cap_are_on_the_wire(cap: int, served_ns: list[int]) -> None:
    with TemporaryFile() as rows, TemporaryFile() as bodies:
        rows.write(b"".join(ROW.pack(100 * i, 0, 0, 8, 4, FIRST, 0) for i in range(10)))
        rows.flush()
        freed: deque[int] = deque([0] * cap)
        share = Rows((rows.fileno(), bodies.fileno()), first=0, stride=1, end=10, complete=True)
        capped = CappedSchedule(share, 0, freed)
        ends: list[int] = []
        while not capped.over():
            at_ns = capped.next_ns()
            while at_ns is None or (ends and ends[0] <= at_ns):
                freed.append(ends.pop(0))
                at_ns = capped.next_ns()
            number, _, due_ns = capped.take()
            assert at_ns == due_ns + capped.waits_ns.get(number, 0)
            insort(ends, at_ns + served_ns[number])
            assert len(ends) <= cap

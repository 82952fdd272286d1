"""Recordings are understood while somebody else writes them, and only as far as no request before them still runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.errors import LoadError
from pytest_inferbench.load.api import api_named
from pytest_inferbench.load.decode import Decoder, Known
from pytest_inferbench.load.peek import Peek, Settled, kept_off
from pytest_inferbench.load.recording import pack
from tests.load.answers import events, recording, streamed


@pytest.fixture
def files(tmp_path: Path) -> Iterator[list[int]]:
    """Files of two load processes, open to be written."""
    opened = [os.open(tmp_path / name, os.O_RDWR | os.O_CREAT) for name in "ab"]
    yield opened
    for each in opened:
        os.close(each)


def written(row: int) -> bytes:
    return pack(replace(recording(streamed(events(["a"]))), row=row))


def peek_at(files: list[int], *, warmup: int = 0) -> Peek:
    return Peek(files, Decoder(api=api_named("chat"), warmup=warmup))


def test_each_recording_is_read_once_as_it_comes(files: list[int]) -> None:
    peek = peek_at(files, warmup=1)
    os.write(files[0], written(0) + written(2))
    peek.take(limit_s=inf)
    assert peek.decoder.known().requests.tolist() == [1]
    os.write(files[1], written(1))
    peek.take(limit_s=inf)
    peek.take(limit_s=inf)
    os.write(files[0], written(4))
    peek.take_all()
    assert sorted(peek.decoder.known().requests.tolist()) == [0, 1, 3]


def test_the_one_who_writes_goes_on_where_it_was(files: list[int]) -> None:
    peek = peek_at(files)
    for row in range(3):
        os.write(files[0], written(row))
        peek.take(limit_s=inf)
    assert os.lseek(files[0], 0, os.SEEK_CUR) == 3 * len(written(0))
    assert len(peek.decoder) == 3


def test_half_a_recording_waits_for_the_other_half(files: list[int]) -> None:
    peek = peek_at(files)
    os.write(files[0], written(0) + written(1)[:-1])
    peek.take(limit_s=inf)
    assert len(peek.decoder) == 1
    os.write(files[0], written(1)[-1:])
    peek.take(limit_s=inf)
    assert len(peek.decoder) == 2


def test_a_portion_has_its_limit_and_no_file_waits_for_ever(files: list[int]) -> None:
    peek = peek_at(files)
    for file in files:
        os.write(file, written(0) * 5)
    sizes = []
    for _ in range(6):
        peek.take(limit_s=0)
        sizes.append(len(peek.decoder))
    assert sizes == [2, 4, 6, 8, 10, 10]


def test_damage_is_told_when_the_load_is_over_and_not_before(files: list[int]) -> None:
    peek = peek_at(files)
    os.write(files[0], written(0) + b"X" * 200)
    for _ in range(2):
        peek.take(limit_s=inf)
    assert len(peek.decoder) == 1
    with pytest.raises(LoadError, match=f"the recordings are damaged at byte {len(written(0))}; run again"):
        peek.take_all()


@dataclass(frozen=True)
class Ran:
    """One request of a load that is simulated."""

    number: int
    begin: int
    end: int


@st.composite
def loads(draw: st.DrawFn) -> tuple[list[Ran], int, int]:
    """A closed loop: requests, how many processes share them, and turns of a conversation; users go on when they are free."""
    processes, turns = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    ran = []
    for process in range(processes):
        users = [0] * draw(st.integers(1, 3))
        for talk in range(process, draw(st.integers(0, 12)), processes):
            user = users.index(min(users))
            for turn in range(turns):
                begin = users[user]
                users[user] += draw(st.integers(1, 9))
                ran.append(Ran(talk * turns + turn, begin, users[user]))
    return ran, processes, turns


def known_of(ran: list[Ran]) -> Known:
    columns = [np.array([getattr(each, name) for each in ran], dtype=np.int64) for name in ("number", "begin", "end")]
    return Known(requests=columns[0], intended_send_ns=columns[1], end_ns=columns[2])


@given(loads(), st.integers(0, 60))
def test_what_is_settled_at_any_time_has_all_that_was_to_be_sent_before_its_end(
    load: tuple[list[Ran], int, int], now: int
) -> None:
    ran, processes, turns = load
    ended = sorted((each for each in ran if each.end <= now), key=lambda each: each.end)
    settled = Settled(known_of(ended), processes=processes, turns=turns)
    seen = {ended[place].number for place in settled.places.tolist()}
    running = [each.begin for each in ran if each.begin <= now < each.end]
    assert all(begin >= settled.until_ns for begin in running), "nobody who runs was to be sent before"
    assert {each.number for each in ran if each.begin < settled.until_ns} <= seen
    assert [ended[place].number for place in settled.places.tolist()] == sorted(seen), "in the order of the plan"


def test_a_slow_request_keeps_quick_ones_that_were_sent_after_it_from_counting() -> None:
    quick = [Ran(number, 10 * number, 10 * number + 5) for number in range(10) if number != 4]
    settled = Settled(known_of(quick), processes=1, turns=1)
    assert (settled.places.tolist(), settled.until_ns) == ([0, 1, 2, 3], 30)
    settled = Settled(known_of([*quick, Ran(4, 40, 95)]), processes=1, turns=1)
    assert (settled.places.tolist(), settled.until_ns) == ([0, 1, 2, 3, 9, 4, 5, 6, 7, 8], 90)


def test_before_every_process_has_ended_a_request_nothing_is_settled() -> None:
    assert not len(Settled(known_of([]), processes=2, turns=1).places)
    first_only = Settled(known_of([Ran(0, 5, 6), Ran(2, 7, 8)]), processes=2, turns=1)
    assert (first_only.places.tolist(), first_only.until_ns) == ([], 0)


def test_the_cores_of_others_are_left_to_them_for_the_time() -> None:
    own = os.sched_getaffinity(0)
    with kept_off(frozenset({max(own)})):
        assert os.sched_getaffinity(0) == (own - {max(own)} or own)
    with kept_off(frozenset(own)):
        assert os.sched_getaffinity(0) == own
    with kept_off(frozenset()):
        assert os.sched_getaffinity(0) == own
    assert os.sched_getaffinity(0) == own

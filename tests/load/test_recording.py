"""Recordings come back as they were written, as far as they were written."""

from __future__ import annotations

import io
import os
from array import array
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.errors import LoadError
from pytest_inferbench.load.recording import Ending, Recording, Tail, glimpses, pack, read_glimpse, read_recordings
from tests.load.answers import recording

_INSTANTS = st.integers(-1, 2**62)


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    pieces = draw(st.lists(st.binary(max_size=20), max_size=5))
    return Recording(
        row=draw(st.integers(0, 2**40)),
        intended_send_ns=draw(_INSTANTS),
        send_ns=draw(_INSTANTS),
        end_ns=draw(_INSTANTS),
        ending=draw(st.sampled_from(Ending)),
        resends=draw(st.integers(0, 255)),
        times_ns=array("q", [draw(_INSTANTS) for _ in pieces]),
        sizes=array("i", map(len, pieces)),
        data=b"".join(pieces),
        note=draw(st.text(st.characters(codec="utf-8"), max_size=60)),
        cap_wait_ns=draw(_INSTANTS),
        connect_wait_ns=draw(_INSTANTS),
    )


@given(st.lists(recordings(), max_size=5))
def test_what_is_written_comes_back(written: list[Recording]) -> None:
    assert list(read_recordings(io.BytesIO(b"".join(map(pack, written))))) == written


@given(first=recordings(), second=recordings(), data=st.data())
def test_a_file_cut_in_its_last_recording_gives_all_before(first: Recording, second: Recording, data: st.DataObject) -> None:
    last = pack(second)
    size = data.draw(st.integers(0, len(last) - 1))
    assert list(read_recordings(io.BytesIO(pack(first) + last[:size]))) == [first]


def test_damage_is_an_error_that_says_where(one: Recording) -> None:
    whole = pack(one)
    reader = read_recordings(io.BytesIO(whole + b"X" * 70))
    assert next(reader) == one
    with pytest.raises(LoadError, match=rf"the recordings are damaged at byte {len(whole)}; run again"):
        next(reader)


def test_a_long_note_is_cut_to_what_fits(one: Recording) -> None:
    (back,) = read_recordings(io.BytesIO(pack(replace(one, note="n" * 300))))
    assert back.note == "n" * 255


def test_whole_recordings_can_be_counted_without_being_read(one: Recording, tmp_path: Path) -> None:
    both = [replace(one, row=3, end_ns=70), replace(one, row=4, end_ns=60, note="")]
    file = tmp_path / "file"
    file.write_bytes(b"".join(map(pack, both)) + pack(one)[:-1])
    descriptor = os.open(file, os.O_RDONLY)
    tail = Tail(descriptor)
    found = glimpses(tail)
    assert [(each.row, each.end_ns) for each in found] == [(3, 70), (4, 60)]
    assert [read_glimpse(each) for each in found] == both
    assert glimpses(tail) == []
    with file.open("ab") as more:
        more.write(pack(one)[-1:] + b"X" * 100)
    assert [read_glimpse(each) for each in glimpses(tail)] == [one]
    assert glimpses(tail) == []
    os.close(descriptor)


@pytest.fixture
def one() -> Recording:
    return recording([b"a", b"bc"], ending=Ending.RESET, note="reset")

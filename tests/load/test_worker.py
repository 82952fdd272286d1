"""The load process's own part: what it is told, and what it says."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_inferbench.load import worker
from pytest_inferbench.load.schedule import Rows
from pytest_inferbench.load.worker import Controls, Stopped


class Line:
    """A worker's input and output, as pipes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.controls = Controls()
        self._read, self.input = os.pipe()
        self.output, self._write = os.pipe()
        monkeypatch.setattr(worker, "_STDIN", self._read)
        monkeypatch.setattr(worker, "_STDOUT", self._write)

    def tell(self, *lines: Any) -> None:
        os.write(self.input, b"".join(json.dumps(line).encode() + b"\n" for line in lines))

    def close_input(self) -> None:
        os.close(self.input)
        self.input = -1

    def close(self) -> None:
        for fd in (self._read, self.input, self.output, self._write):
            if fd >= 0:
                os.close(fd)


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    made = Line(monkeypatch)
    yield made
    made.close()


def rows() -> Rows:
    return Rows((-1, -1), first=0, stride=1, end=5, complete=False)


def test_go_is_waited_for(line: Line) -> None:
    line.tell({"do": "rows", "rows": 9, "complete": False}, {"do": "go", "at_ns": 77})
    assert line.controls.wait_for_go() == 77


def test_rows_grow_as_they_are_told(line: Line) -> None:
    growing = rows()
    line.controls.grow(growing)
    assert (growing.end, growing.complete) == (5, False)
    line.tell({"do": "rows", "rows": 9, "complete": False}, {"do": "rows", "rows": 12, "complete": True})
    line.controls.obey()
    assert (growing.end, growing.complete) == (12, True)


def test_rows_that_were_told_before_there_were_any_are_not_lost(line: Line) -> None:
    line.tell({"do": "rows", "rows": 12, "complete": True})
    line.controls.obey()
    growing = rows()
    line.controls.grow(growing)
    assert (growing.end, growing.complete) == (12, True)


@pytest.mark.parametrize("first", [True, False])
def test_after_a_drain_nothing_more_is_handed_out_though_the_plan_grows(line: Line, first: bool) -> None:
    growing = rows()
    if first:
        line.controls.grow(growing)
    line.tell({"do": "drain"}, {"do": "rows", "rows": 12, "complete": False})
    line.controls.obey()
    line.controls.grow(growing)
    assert (growing.available, growing.exhausted, growing.closed) == (False, True, True)


def test_stop_and_the_end_of_the_input_stop(line: Line) -> None:
    line.controls.obey()
    line.tell({"do": "stop"})
    with pytest.raises(Stopped):
        line.controls.obey()
    line.close_input()
    with pytest.raises(Stopped):
        line.controls.obey()
    with pytest.raises(Stopped):
        line.controls.read_job()


def test_half_a_line_is_waited_for(line: Line) -> None:
    growing = rows()
    line.controls.grow(growing)
    os.write(line.input, b'{"do": "rows", "rows": 9, "com')
    line.controls.obey()
    assert growing.end == 5
    os.write(line.input, b'plete": true}\n')
    line.controls.obey()
    assert growing.end == 9


def test_what_is_said_is_a_line_of_json(line: Line) -> None:
    line.controls.say(state="ready", n=1)
    assert os.read(line.output, 100) == b'{"state": "ready", "n": 1}\n'


def test_the_limit_of_open_files_is_as_high_as_it_may_be() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
        worker._allow_connections()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_load_process_stays_on_the_core_it_is_told_and_on_any_where_that_cannot_be() -> None:
    own = os.sched_getaffinity(0)
    try:
        worker._stay_on(None)
        worker._stay_on(1_000_000)
        assert os.sched_getaffinity(0) == own
        worker._stay_on(max(own))
        assert os.sched_getaffinity(0) == {max(own)}
    finally:
        os.sched_setaffinity(0, own)

"""Several load processes are heard and told as one; programs of a few lines play them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.errors import LoadError
from pytest_inferbench.load import process as process_module
from pytest_inferbench.load.process import LoadProcess
from pytest_inferbench.load.processes import LoadProcesses
from pytest_inferbench.load.worker import Job
from tests.load.driving import is_running

Start = Callable[..., LoadProcesses]
COUNTS = '"done": 1, "reads": 4, "userspace_reads": 0, "resends": 0, "starved_ns": 0, "drift_ns": 0, "busy_s": 0.1, "wall_s": 1'
BEGIN = f"""
import json, sys, time
def say(state, sent=1): print('{{"state": "%s", "sent": %d, {COUNTS}}}' % (state, sent), flush=True)
def told(): return json.loads(sys.stdin.readline() or '{{"do": "end"}}').get("do", "job")
told()
"""
DONE = "say('warm')\nwhile told() != 'go': pass\nsay('done', 3)"
STOPS = "say('warm')\nsay('progress', 5)\nwhile told() != 'stop': pass\nsay('done', 6)"
QUIET = "time.sleep(600)"


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Start]:
    """Starts programs in place of load processes."""
    monkeypatch.setattr(process_module, "_END_LIMIT_S", 0.5)
    made: list[LoadProcesses] = []
    pids: list[int] = []
    file = (tmp_path / "file").open("w+b")
    some: dict[str, Any] = dict.fromkeys((each.name for each in fields(Job)), 0)
    job = Job(**{**some, **dict.fromkeys(("rows_fd", "bodies_fd", "record_fd"), file.fileno())})

    def start(*programs: str) -> LoadProcesses:
        processes = []
        for program in programs:
            monkeypatch.setattr(process_module, "_PROGRAM", ("-c", BEGIN + program))
            processes.append(LoadProcess(job))
            pids.append(processes[-1].pid)
        made.append(LoadProcesses(processes))
        return made[-1]

    yield start
    for each in made:
        each.end()
        each.end()
    file.close()
    assert not any(map(is_running, pids))


def until(wanted: Callable[[], bool], processes: LoadProcesses) -> None:
    deadline_s = time.monotonic() + 120.0
    while not wanted():
        assert time.monotonic() < deadline_s
        processes.hear(1.0)


def test_all_are_warm_when_the_last_one_is_and_done_when_the_last_one_is(start: Start) -> None:
    both = start(DONE, "told()\n" + DONE)
    until(lambda: len(both._warm) == 1, both)
    assert not both.warm
    both.tell(do="rows")
    until(lambda: both.warm, both)
    assert not both.done
    both.go(1)
    until(lambda: both.done, both)
    assert (both.counts.sent, both.counts.reads, both.counts.workers) == (6, 8, 2)
    assert both.furthest == 6


def test_the_plan_must_reach_as_far_as_the_one_who_sent_the_most(start: Start) -> None:
    both = start("say('progress', 10)\ntold()", "say('progress', 2)\ntold()")
    until(lambda: both.counts.sent == 12, both)
    assert both.furthest == 20


def test_nobody_is_told_after_its_last_word(start: Start) -> None:
    both = start("say('done')", STOPS)
    # Even where that was not heard yet: it is no fault to be done.
    until(lambda: both.counts.sent >= 5, both)
    for _ in range(50):
        both.tell(do="rows", rows=1)
    both.stop(20.0)
    assert both.done
    assert both.counts.sent == 7


def test_what_one_says_of_itself_ends_the_load_of_all(start: Start) -> None:
    both = start(STOPS, 'print(\'{"state": "broken", "why": "the disk is full"}\', flush=True)')
    with pytest.raises(LoadError, match=r"^the disk is full$"):
        until(lambda: both.done, both)
    both.stop(20.0)
    assert both.done
    assert both.counts.sent == 6


def test_one_that_ends_without_a_word_is_an_error_also_when_it_is_told_something(start: Start) -> None:
    both = start(STOPS, "raise SystemExit(3)")
    while is_running(both._processes[1].pid):
        time.sleep(0.01)
    with pytest.raises(LoadError, match=r"^the load process ended unexpectedly \(exit code 3\): it said nothing$"):
        both.tell(do="rows", rows="x" * 100_000)
    both.stop(20.0)
    assert both.done


def test_one_that_does_not_stop_is_not_waited_for(start: Start) -> None:
    both = start(STOPS, QUIET)
    both.stop(0.3)
    assert not both.done


def test_one_silent_process_is_found_among_those_that_speak(start: Start) -> None:
    both = start("say('warm')\ntold()", QUIET)
    until(lambda: len(both._warm) == 1, both)
    both.check_silence(start_limit_s=100.0, limit_s=0.0)
    with pytest.raises(LoadError, match=r"^the load process has said nothing for 0 s; is this machine overloaded\?$"):
        both.check_silence(start_limit_s=0.0, limit_s=100.0)


def test_the_warm_ones_are_not_awaited_until_all_have_gone(start: Start) -> None:
    both = start(DONE + ";told()", STOPS)
    until(lambda: both.warm, both)
    both.go(1)
    both.check_silence(start_limit_s=100.0, limit_s=100.0)
    with pytest.raises(LoadError, match="has said nothing for 0 s"):
        both.check_silence(start_limit_s=100.0, limit_s=0.0)

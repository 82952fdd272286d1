"""Loads that several load processes drive together, as a server and the one who waits for the figures see them."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_inferbench.errors import LoadError
from pytest_inferbench.load import drive as module
from pytest_inferbench.load import plan as plan_module
from pytest_inferbench.load.drive import Driven, Progress
from pytest_inferbench.load.process import LoadProcess
from pytest_inferbench.load.worker import Job
from pytest_inferbench.metrics.books import contradictions
from tests.dialects import streamed as played
from tests.dialects import vllm_chat
from tests.load.cases import case_of
from tests.load.driving import driver_of, is_running, outcomes
from tests.scripted import Scripted

WORDS = ("one", "two", "three", "four")
QUICK = played(vllm_chat(WORDS))
SLOW = played(vllm_chat(WORDS), pause_s=0.05)
Watch = Callable[[Progress], None]


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[int, Job]]:
    """What each load process that was started was told to do, by process id; none may outlive the test."""
    started: dict[int, Job] = {}

    class Noted(LoadProcess):
        def __init__(self, job: Job) -> None:
            super().__init__(job)
            started[self.pid] = job

    monkeypatch.setattr(module, "LoadProcess", Noted)
    yield started
    assert not any(map(is_running, started))


def driven(server: Scripted, *, workers: int = 2, watch: Watch = lambda _: None, turns: int = 1, **load: Any) -> Driven:
    """A load that came to its end, with nothing lost from the books."""
    case = case_of(**load)
    case = replace(case, traffic=replace(case.traffic, turns=turns))
    with driver_of(case, server.url, watch=watch) as driver:
        found = driver.run(workers=workers)
    assert not found.stopped
    assert contradictions(found.measured) == ()
    names = [each.headers["x-request-id"] for each in server.requests]
    assert sorted(names) == sorted((*found.measured.request_id, *found.warmup.request_id)), "each sent once"
    return found


def rows_of(ids: tuple[str, ...]) -> set[int]:
    return {int(name.rpartition("-")[2]) for name in ids}


@pytest.mark.parametrize("workers", [2, 3])
def test_a_closed_loop_is_sent_once_and_whole(workers: int, jobs: dict[int, Job]) -> None:
    with Scripted([QUICK], repeat=True) as server:
        found = driven(server, workers=workers, concurrency=4, requests=21, warmup=5)
    assert outcomes(found) == {"COMPLETED": 21}
    assert found.measured.request_id == tuple(f"run-{row}" for row in range(21))
    assert found.warmup.request_id == tuple(f"run-w{row}" for row in range(5))
    assert found.measured.output_tokens.tolist() == [4] * 21
    assert (found.audit.workers, found.audit.clock) == (workers, "kernel")
    assert [(job.first, job.stride) for job in jobs.values()] == [(number, workers) for number in range(workers)]
    assert sum(job.users or 0 for job in jobs.values()) == 4


def test_users_of_all_processes_together_are_those_of_the_case() -> None:
    with Scripted([SLOW], repeat=True) as server:
        traces = driven(server, workers=2, concurrency=3, requests=18).measured
    at_once = [int(((traces.send_ns <= at) & (traces.end_ns > at)).sum()) for at in traces.send_ns]
    assert max(at_once) <= 3
    # All start at one instant, whichever process they are in.
    assert len(set(np.sort(traces.intended_send_ns)[:3].tolist())) == 1


def test_an_open_loop_keeps_its_one_schedule() -> None:
    with Scripted([SLOW], repeat=True) as server:
        found = driven(server, rate_per_s=100.0, arrival="constant", requests=20)
    traces = found.measured
    assert outcomes(found) == {"COMPLETED": 20}
    assert set(np.diff(traces.intended_send_ns).tolist()) == {10_000_000}
    assert (traces.send_ns >= traces.intended_send_ns).all()


def test_a_cap_on_requests_in_flight_holds_over_all_processes(jobs: dict[int, Job]) -> None:
    with Scripted([SLOW], repeat=True) as server:
        traces = driven(server, rate_per_s=float("inf"), requests=12, max_in_flight=3).measured
    at_once = [int(((traces.send_ns <= at) & (traces.end_ns > at)).sum()) for at in traces.send_ns]
    assert max(at_once) <= 3
    assert [job.max_in_flight for job in jobs.values()] == [2, 1]


def test_a_plan_that_grows_feeds_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "_BLOCK", 20)
    with Scripted([QUICK], repeat=True) as server:
        found = driven(server, concurrency=2, requests=None, duration_s=0.5)
    assert set(outcomes(found)) == {"COMPLETED"}
    rows = rows_of(found.measured.request_id)
    assert {row % 2 for row in rows} == {0, 1}


def test_a_conversation_stays_in_one_process() -> None:
    with Scripted([QUICK], repeat=True) as server:
        found = driven(server, concurrency=2, requests=11, turns=3, warmup=2)
    traces = found.measured
    assert traces.request_id == tuple(f"run-{row}" for row in range(11))
    # The next turn begins at the end of the one before it: both are known to one process only.
    for row in range(11):
        if row % 3:
            assert traces.intended_send_ns[row] == traces.end_ns[row - 1]


def test_more_processes_than_rows_do_no_harm() -> None:
    with Scripted([QUICK], repeat=True) as server:
        assert outcomes(driven(server, workers=3, rate_per_s=100.0, requests=1)) == {"COMPLETED": 1}


def test_progress_is_that_of_all_processes() -> None:
    seen: list[Progress] = []
    with Scripted([SLOW], repeat=True) as server:
        driven(server, watch=seen.append, concurrency=4, requests=8, warmup=3)
    assert (seen[-1].phase, seen[-1].done, seen[-1].sent) == ("measuring", 8, 8)
    assert [each.done for each in seen if each.phase == "measuring"] == sorted(
        each.done for each in seen if each.phase == "measuring"
    )


def test_requests_that_are_sent_again_are_summed() -> None:
    # Every connection is closed after an answer that promised to keep it: each request but the first of each user goes twice.
    with (
        Scripted([replace(QUICK, then="close")], repeat=True) as server,
        driver_of(case_of(concurrency=2, requests=12), server.url) as driver,
    ):
        found = driver.run(workers=2)
    assert outcomes(found) == {"COMPLETED": 12}
    assert found.audit.resends == int(found.measured.resends.sum())


def test_each_process_has_a_core_of_its_own_where_there_are_enough(jobs: dict[int, Job]) -> None:
    usable = module.usable_cores()
    where: dict[int, set[int]] = {}

    def look(at: Progress) -> None:
        if at.phase == "measuring":
            where.update({pid: os.sched_getaffinity(pid) for pid in jobs if is_running(pid)})

    with Scripted([SLOW], repeat=True) as server:
        driven(server, watch=look, concurrency=2, requests=8)
    expected = [{core} for core in sorted(usable)[-2:]] if len(usable) > 1 else [usable, usable]
    assert [where[pid] for pid in jobs] == expected


def test_a_single_process_may_run_wherever_the_parent_may(jobs: dict[int, Job]) -> None:
    with Scripted([QUICK], repeat=True) as server:
        driven(server, workers=1, concurrency=2, requests=4)
    assert [(job.cpu, job.users) for job in jobs.values()] == [(None, 2)]


@pytest.mark.parametrize("raised", [KeyboardInterrupt, ValueError])
def test_whatever_stops_a_load_keeps_what_each_process_measured(raised: type[BaseException], jobs: dict[int, Job]) -> None:
    def watch(at: Progress) -> None:
        if at.phase == "measuring" and at.done >= 4:
            raise raised

    before = len(list(Path("/dev/fd").iterdir()))
    with (
        Scripted([SLOW], repeat=True) as server,
        driver_of(case_of(concurrency=4, requests=500), server.url, watch=watch) as driver,
    ):
        with pytest.raises(raised):
            driver.run(workers=2)
        assert driver.driven is not None
        assert driver.driven.stopped
        ended = outcomes(driver.driven)
        assert ended["COMPLETED"] >= 4
        assert set(ended) == {"COMPLETED", "CANCELLED"}
        assert {row % 2 for row in rows_of(driver.driven.measured.request_id)} == {0, 1}
        assert contradictions(driver.driven.measured) == ()
        assert driver.driven.audit.workers == 2
    assert len(jobs) == 2
    assert not any(map(is_running, jobs))
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_one_that_is_killed_stops_the_others_and_what_all_wrote_is_read(jobs: dict[int, Job]) -> None:
    def watch(at: Progress) -> None:
        if at.done >= 6:
            os.kill(min(jobs), signal.SIGKILL)

    case = case_of(concurrency=4, requests=500)
    death = pytest.raises(LoadError, match=r"the load process ended unexpectedly \(killed by SIGKILL\): it said nothing")
    with Scripted([SLOW], repeat=True) as server, driver_of(case, server.url, watch=watch) as driver, death:
        driver.run(workers=2)
    found = driver.driven
    assert found is not None
    assert found.stopped
    assert outcomes(found)["COMPLETED"] >= 6
    rows = rows_of(found.measured.request_id)
    assert {row % 2 for row in rows} == {0, 1}
    # Of the killed one all that had ended; of the other one also what it had to give up.
    cancelled = {int(row) for row in np.flatnonzero(~found.measured.completed)}
    names = found.measured.request_id
    killed = jobs[min(jobs)].first
    assert {row % 2 for row in rows_of(tuple(names[place] for place in cancelled))} == {1 - killed}


def test_no_room_for_one_is_the_error_of_all(monkeypatch: pytest.MonkeyPatch, jobs: dict[int, Job]) -> None:
    files = [tempfile.TemporaryFile(), Path("/dev/full").open("r+b", buffering=0)]  # noqa: SIM115 - the driver closes them
    monkeypatch.setattr(module, "_record_file", lambda: files.pop(0))
    with (
        Scripted([QUICK], repeat=True) as server,
        driver_of(case_of(concurrency=2, requests=400), server.url) as driver,
        pytest.raises(LoadError, match=r"what was measured cannot be written to .*: No space left on device"),
    ):
        driver.run(workers=2)
    assert len(jobs) == 2


def test_where_one_cannot_be_started_the_others_end(monkeypatch: pytest.MonkeyPatch, jobs: dict[int, Job]) -> None:
    popen = subprocess.Popen

    def start(*arguments: Any, **known: Any) -> subprocess.Popen[bytes]:
        if jobs:
            raise OSError(11, "no more of them")
        return popen(*arguments, **known)

    monkeypatch.setattr(subprocess, "Popen", start)
    with (
        driver_of(case_of(concurrency=2, requests=4), "http://127.0.0.1:9") as driver,
        pytest.raises(LoadError, match=r"more of them$"),
    ):
        driver.run(workers=2)
    assert driver.driven is None
    assert len(jobs) == 1
    assert not any(map(is_running, jobs))


def test_a_case_gets_as_many_processes_as_its_plan_needs(monkeypatch: pytest.MonkeyPatch, jobs: dict[int, Job]) -> None:
    asked: list[tuple[int, int | None]] = []

    def decide(*_: object, **known: Any) -> int:
        asked.append((known["cores"], known["asked"]))
        return 2

    monkeypatch.setattr(module, "workers_for", decide)
    with Scripted([QUICK], repeat=True) as server, driver_of(case_of(concurrency=2, requests=4), server.url) as driver:
        driver.run()
    assert asked == [(len(module.usable_cores()), None)]
    assert len(jobs) == 2

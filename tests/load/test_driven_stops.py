"""Loads that end before their end, because somebody who looked had seen enough."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any

import pytest

from pytest_inferbench.cases.case import Case
from pytest_inferbench.errors import EngineDied, LoadError
from pytest_inferbench.load import drive as module
from pytest_inferbench.load import plan as plan_module
from pytest_inferbench.load.drive import Driven, Progress
from pytest_inferbench.load.process import LoadProcess
from pytest_inferbench.load.stopped import Stopped
from pytest_inferbench.load.trace import Traces
from pytest_inferbench.metrics.books import contradictions
from tests.dialects import streamed as played
from tests.dialects import vllm_chat
from tests.load.cases import case_of
from tests.load.driving import driver_of, outcomes
from tests.scripted import Answer, Scripted

Watch = Callable[[Progress], None]
QUICK = played(vllm_chat(("one", "two", "three", "four")), pause_s=0.002)
"""Some 15 ms: whoever looks has time to, before 10,000 of them are over."""


@dataclass
class Enough:
    """Has seen enough after so many requests; keeps what it was shown."""

    requests: int
    sure: bool = True
    looks: int = 3
    shown: list[Traces] = field(default_factory=list)
    seconds: float = 0.0

    def ready(self, *, requests: int, seconds: float) -> bool:
        return requests >= self.requests and seconds >= 0

    def look(self, traces: Traces, *, seconds: float) -> Stopped | None:
        self.shown.append(traces)
        self.seconds = seconds
        if not self.sure:
            return None
        return Stopped(at=len(traces), of=10_000, at_s=seconds, of_s=None, looks=self.looks, why="it is enough")


def held(event: Event) -> Answer:
    """An answer whose last words come when something has happened."""
    *first, last = (piece for piece in QUICK.chunks if isinstance(piece, bytes))
    return replace(QUICK, chunks=[*first, event, last])


def stopped(
    case: Case, server: Scripted, *, after: int = 20, workers: int | None = None, watch: Watch = lambda _: None
) -> Driven:
    """A load that is stopped after so many requests, with an answer to all that was sent."""
    enough = Enough(after)
    with driver_of(case, server.url, watch=watch) as driver:
        found = driver.run(workers=workers, stopper=enough)
    assert set(outcomes(found)) == {"COMPLETED"}
    assert contradictions(found.measured) == ()
    assert not found.stopped
    names = [each.headers["x-request-id"] for each in server.requests]
    assert sorted(names) == sorted((*found.measured.request_id, *found.warmup.request_id)), "each sent once, and none lost"
    assert found.sure is not None
    assert (found.sure.at, found.sure.of, found.looks) == (len(found.measured), 10_000, 3)
    (seen,) = enough.shown
    assert after <= len(seen) <= found.sure.at < 10_000
    assert set(seen.request_id) <= set(found.measured.request_id)
    return found


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    "load",
    [
        {"concurrency": 3, "requests": 10_000, "warmup": 2},
        {"rate_per_s": 200.0, "requests": 10_000},
        {"rate_per_s": 200.0, "requests": 10_000, "max_in_flight": 4},
        {"concurrency": 3, "requests": None, "duration_s": 600.0},
        {"rate_per_s": 200.0, "requests": None, "duration_s": 50.0},
    ],
    ids=["users", "rate", "cap", "time", "rate-time"],
)
def test_nothing_more_is_sent_when_enough_was_seen(load: dict[str, Any], workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "_BLOCK", 500)
    with Scripted([QUICK], repeat=True) as server:
        stopped(case_of(**load), server, workers=workers)


@pytest.mark.parametrize("load", [{"concurrency": 3}, {"rate_per_s": 100.0}])
def test_conversations_end_after_the_turn_that_runs(load: dict[str, Any]) -> None:
    case = case_of(requests=10_000, **load)
    case = replace(case, traffic=replace(case.traffic, turns=6))
    with Scripted([QUICK], repeat=True) as server:
        stopped(case, server, workers=2)


def test_what_is_on_the_wire_ends_as_it_would_have() -> None:
    released, seen = Event(), list[Progress]()

    def watch(at: Progress) -> None:
        seen.append(at)
        if at.draining:
            released.set()

    with Scripted([*[QUICK] * 22, held(released)], repeat=True) as server:
        found = stopped(case_of(concurrency=2, requests=10_000), server, after=22, watch=watch)
    # Both users waited for answers that were held back; what they sent before they heard of the end was answered, too.
    assert outcomes(found)["COMPLETED"] >= 24
    assert [each.draining for each in seen] == sorted(each.draining for each in seen)
    assert seen[-1].phase == "measuring"


def test_what_is_shown_is_the_beginning_of_the_load_up_to_the_first_that_still_runs() -> None:
    released = Event()
    with Scripted([*[QUICK] * 25, held(released), *[QUICK] * 10_000]) as server:
        enough = Enough(20, sure=False)

        def watch(at: Progress) -> None:
            if enough.shown and at.done > 60:
                released.set()

        case = case_of(concurrency=2, requests=400)
        with driver_of(case, server.url, watch=watch) as driver:
            found = driver.run(workers=1, stopper=enough)
    assert (len(found.measured), found.sure, found.looks) == (400, None, 3)
    ends_ns = dict(zip(found.measured.request_id, found.measured.end_ns.tolist(), strict=True))
    for shown in enough.shown:
        assert shown.request_id == found.measured.request_id[: len(shown)]
        assert shown.end_ns.tolist() == [ends_ns[name] for name in shown.request_id]
    assert len(enough.shown[0]) < 400


@pytest.mark.parametrize("raised", [KeyboardInterrupt, EngineDied("the server ended")], ids=["ctrl-c", "server-death"])
def test_whatever_stops_a_load_that_only_waits_for_its_last_answers_keeps_what_was_measured(
    raised: type[BaseException] | BaseException,
) -> None:
    def watch(at: Progress) -> None:
        if at.draining:
            raise raised

    case = case_of(concurrency=2, requests=10_000)
    with Scripted([*[QUICK] * 22, held(Event())], repeat=True) as server, driver_of(case, server.url, watch=watch) as driver:
        with pytest.raises(raised if isinstance(raised, type) else type(raised)):
            driver.run(stopper=Enough(22))
        found = driver.driven
    assert found is not None
    assert outcomes(found) == {"CANCELLED": 2, "COMPLETED": 22}
    assert (found.stopped, found.sure, found.looks) == (True, None, 3)


def test_a_load_process_that_is_killed_while_it_waits_for_its_last_answers_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []

    class Noted(LoadProcess):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            pids.append(self.pid)

    def watch(at: Progress) -> None:
        if at.draining:
            os.kill(pids[0], signal.SIGKILL)

    monkeypatch.setattr(module, "LoadProcess", Noted)
    case = case_of(concurrency=2, requests=10_000)
    with Scripted([*[QUICK] * 22, held(Event())], repeat=True) as server, driver_of(case, server.url, watch=watch) as driver:
        with pytest.raises(LoadError, match=r"ended unexpectedly \(killed by SIGKILL\)"):
            driver.run(stopper=Enough(22))
        assert driver.driven is not None
        assert outcomes(driver.driven) == {"COMPLETED": 22}


def test_whoever_watches_may_see_what_the_newest_requests_were_like() -> None:
    released, seen = Event(), list[Progress]()

    def watch(at: Progress) -> None:
        seen.append(at)
        if at.ttft_ms_recent is not None:
            released.set()

    with (
        Scripted([*[QUICK] * 20, held(released)], repeat=True) as server,
        driver_of(case_of(concurrency=2, requests=22), server.url, watch=watch) as driver,
    ):
        driver.run(live=True)
    (first, *_) = (each for each in seen if each.ttft_ms_recent is not None)
    assert (first.ttft_ms_recent or 0) > 0
    assert first.tpot_ms_recent is not None
    assert first.output_tokens_per_s is not None
    assert first.phase == "measuring"


def test_nobody_looks_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("Lookout", "Recent"):
        monkeypatch.setattr(module, name, None)
    seen: list[Progress] = []
    with (
        Scripted([QUICK], repeat=True) as server,
        driver_of(case_of(concurrency=2, requests=20), server.url, watch=seen.append) as driver,
    ):
        found = driver.run()
    assert (found.sure, found.looks) == (None, 1)
    assert {(each.ttft_ms_recent, each.tpot_ms_recent, each.output_tokens_per_s, each.draining) for each in seen} == {
        (None, None, None, False)
    }

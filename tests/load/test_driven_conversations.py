"""Conversations as a server sees them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_inferbench.cases.case import Case
from pytest_inferbench.metrics.books import contradictions
from tests.dialects import streamed as played
from tests.dialects import vllm_chat
from tests.load.cases import case_of
from tests.load.driving import drive, driver_of, outcomes
from tests.scripted import Answer, Scripted

QUICK = played(vllm_chat(("one", "two")))
BUSY = Answer(head=b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy")
THINK_NS = 60_000_000


def talking(turns: int, **load: Any) -> Case:
    case = case_of(**load)
    return replace(case, traffic=replace(case.traffic, turns=turns, think_time_s=THINK_NS / 1e9))


@pytest.mark.parametrize("load", [{"concurrency": 2}, {"rate_per_s": 30.0, "arrival": "constant"}])
def test_each_turn_is_sent_a_think_time_after_the_one_before_it_has_ended(load: dict[str, Any]) -> None:
    with Scripted([QUICK], repeat=True) as server:
        driven = drive(talking(3, requests=11, warmup=2, **load), server.url)
    traces = driven.measured
    assert outcomes(driven) == {"COMPLETED": 11}
    assert traces.request_id == tuple(f"run-{i}" for i in range(11))
    for row in range(11):
        if row % 3:
            assert traces.intended_send_ns[row] == traces.end_ns[row - 1] + THINK_NS
            assert traces.send_ns[row] >= traces.intended_send_ns[row]
    said = {each.headers["x-request-id"]: each.json["messages"] for each in server.requests}
    assert len(said) == 13
    for row in range(11):
        assert len(said[f"run-{row}"]) == 2 * (row % 3) + 1
        if row % 3:
            assert said[f"run-{row}"][:-2] == said[f"run-{row - 1}"]
    assert {len(said[name]) for name in ("run-w0", "run-w1")} == {1}


def test_a_conversation_goes_on_after_a_turn_that_failed() -> None:
    with Scripted([BUSY], repeat=True) as server:
        driven = drive(talking(2, concurrency=1, requests=4), server.url)
    assert outcomes(driven) == {"FAILED": 4}
    assert driven.measured.intended_send_ns[1] == driven.measured.end_ns[0] + THINK_NS


def test_a_closed_loop_that_lasts_for_a_time_ends_in_the_middle_of_its_conversations() -> None:
    with Scripted([QUICK], repeat=True) as server:
        driven = drive(talking(1000, concurrency=3, requests=None, duration_s=0.5), server.url)
    assert 3 <= len(driven.measured) < 60
    assert set(outcomes(driven)) == {"COMPLETED"}


@pytest.mark.parametrize("load", [{"concurrency": 4}, {"rate_per_s": 30.0, "arrival": "constant"}])
def test_a_conversation_stays_in_one_of_several_load_processes(load: dict[str, Any]) -> None:
    with (
        Scripted([QUICK], repeat=True) as server,
        driver_of(talking(3, requests=17, warmup=3, **load), server.url) as driver,
    ):
        driven = driver.run(workers=2)
    traces = driven.measured
    assert (outcomes(driven), driven.audit.workers) == ({"COMPLETED": 17}, 2)
    assert contradictions(traces) == ()
    for row in range(17):
        if row % 3:
            assert traces.intended_send_ns[row] == traces.end_ns[row - 1] + THINK_NS

"""Recordings become columns in the order of the plan, and every one of them is on the books."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.load.api import api_named
from pytest_inferbench.load.decode import Decoded, Decoder, Facts, decode, request_id
from pytest_inferbench.load.recording import Ending, Recording
from pytest_inferbench.load.row import FIRST, ROW
from pytest_inferbench.load.trace import MISSING, Outcome
from pytest_inferbench.metrics.books import contradictions
from tests.load.answers import MS, chat, events, plain, recording, streamed

FACTS = Facts(id_prefix="run", open_loop=True, clock="kernel", wall_offset_ns=7)


def decoded(recordings: Sequence[Recording], *, rows: int, warmup: int = 0) -> Decoded:
    """Row ``i`` of the plan asks for 100 + i prompt and 200 + i output tokens; 300 + i of the prompt's are in a cache."""
    plan_rows = b"".join(ROW.pack(0, 0, 0, 100 + i, 200 + i, FIRST, 300 + i) for i in range(rows))
    return decode(recordings, api=api_named("chat"), plan_rows=plan_rows, warmup=warmup, facts=FACTS)


def answered(row: int, tokens: int) -> Recording:
    return recording(streamed(events(["x"] * tokens)), row=row, sent_ns=1000 * MS * row)


def lost(row: int, ending: Ending) -> Recording:
    return recording([], row=row, ending=ending, sent_ns=1000 * MS * row)


def test_traces_are_in_the_order_of_the_plan_whenever_their_requests_ended() -> None:
    traces = decoded([answered(2, 1), answered(0, 3), answered(1, 2)], rows=3).measured
    assert traces.request_id == ("run-0", "run-1", "run-2")
    assert traces.output_tokens.tolist() == [3, 2, 1]
    assert traces.send_ns.tolist() == [0, 1000 * MS, 2000 * MS]
    assert traces.event_offset.tolist() == [0, 3, 5, 6]
    assert traces.event_ns.tolist() == [3 * MS, 4 * MS, 5 * MS, 1003 * MS, 1004 * MS, 2003 * MS]
    assert traces.first_token_ns.tolist() == [3 * MS, 1003 * MS, 2003 * MS]
    assert traces.last_token_ns.tolist() == [5 * MS, 1004 * MS, 2003 * MS]
    assert traces.prompt_tokens_asked.tolist() == [100, 101, 102]
    assert traces.output_tokens_asked.tolist() == [200, 201, 202]
    assert (traces.open_loop, traces.clock, traces.wall_offset_ns) == (True, "kernel", 7)


def test_warmup_is_kept_apart_under_ids_of_its_own() -> None:
    both = decoded([answered(3, 1), answered(1, 1), answered(0, 1), answered(2, 2)], rows=4, warmup=2)
    assert both.warmup.request_id == ("run-w0", "run-w1")
    assert both.measured.request_id == ("run-0", "run-1")
    assert both.measured.output_tokens.tolist() == [2, 1]
    assert both.measured.prompt_tokens_asked.tolist() == [102, 103]
    assert both.counted_by_server == 2


def test_ids_are_those_that_went_out() -> None:
    assert [request_id("p", row, 2) for row in range(4)] == ["p-w0", "p-w1", "p-0", "p-1"]


def test_errors_stand_at_the_place_of_their_request() -> None:
    traces = decoded([lost(2, Ending.RESET), answered(0, 1), lost(1, Ending.CONNECT_FAILED)], rows=3).measured
    assert dict(traces.errors) == {1: "could not connect: ", 2: "connection closed before any answer"}
    assert list(traces.errors) == [1, 2]


def test_prompt_tokens_nobody_counted_are_those_of_the_plan() -> None:
    said = [chat("a"), chat(finish="stop"), "[DONE]"]
    both = decoded([recording(streamed(said), row=0), answered(1, 2)], rows=2)
    assert both.measured.prompt_tokens.tolist() == [100, 12]
    assert both.measured.cached_tokens.tolist() == [MISSING, MISSING]
    assert both.counted_by_server == 1


def test_bytes_and_status_are_those_of_the_wire() -> None:
    answer = plain(b"no", 503, "Busy")
    traces = decoded([recording([answer[:10], answer[10:]])], rows=1).measured
    assert (traces.bytes_received.tolist(), traces.status.tolist()) == ([len(answer)], [503])


def test_nothing_recorded_is_nothing_attempted() -> None:
    both = decoded([], rows=5, warmup=2)
    assert (len(both.measured), len(both.warmup), both.counted_by_server) == (0, 0, 0)
    assert both.measured.event_offset.tolist() == [0]
    assert contradictions(both.measured) == ()


_ENDINGS = {
    Ending.CLOSED: Outcome.FAILED,
    Ending.RESET: Outcome.FAILED,
    Ending.NOT_HTTP: Outcome.FAILED,
    Ending.CONNECT_FAILED: Outcome.FAILED,
    Ending.TLS_FAILED: Outcome.FAILED,
    Ending.CONNECT_TIMEOUT: Outcome.TIMED_OUT,
    Ending.FIRST_TOKEN_TIMEOUT: Outcome.TIMED_OUT,
    Ending.STALL_TIMEOUT: Outcome.TIMED_OUT,
    Ending.TOTAL_TIMEOUT: Outcome.TIMED_OUT,
    Ending.CANCELLED: Outcome.CANCELLED,
    Ending.COMPLETE: Outcome.COMPLETED,
}


@given(st.lists(st.sampled_from(Ending), max_size=12), st.integers(0, 3), st.randoms())
def test_attempted_is_completed_failed_timed_out_and_cancelled(endings: list[Ending], warmup: int, order: random.Random) -> None:
    recorded = [answered(row, 2) if end is Ending.COMPLETE else lost(row, end) for row, end in enumerate(endings)]
    order.shuffle(recorded)
    both = decoded(recorded, rows=len(endings), warmup=warmup)
    outcomes = [*both.warmup.outcome.tolist(), *both.measured.outcome.tolist()]
    assert outcomes == [_ENDINGS[ending] for ending in endings]
    assert len(both.warmup) == min(warmup, len(endings))
    assert contradictions(both.measured) == ()
    counts = Counter(both.measured.outcome.tolist())
    assert sum(counts[outcome] for outcome in Outcome) == len(both.measured)
    assert set(both.measured.errors) == set(np.flatnonzero(~both.measured.completed).tolist())


@pytest.mark.parametrize("name", ["request_id", "send_ns", "event_offset"])
def test_columns_have_the_shape_they_say(name: str) -> None:
    traces = decoded([answered(0, 2), lost(1, Ending.RESET)], rows=2).measured
    assert len(getattr(traces, name)) == (3 if name == "event_offset" else 2)


def test_what_a_cache_can_know_comes_in_the_order_of_the_plan() -> None:
    found = decoded([answered(3, 1), answered(1, 1), answered(0, 1), answered(2, 1)], rows=4, warmup=1)
    assert found.cached_expected.tolist() == [301, 302, 303]


def test_waits_for_connections_come_in_the_order_of_the_plan_without_those_of_the_warmup() -> None:
    waited = [replace(answered(row, 1), connect_wait_ns=10 * row) for row in (2, 0, 1)]
    assert decoded(waited, rows=3, warmup=1).connect_wait_ns.tolist() == [10, 20]


def test_some_requests_can_be_looked_at_while_others_still_come() -> None:
    plan_rows = b"".join(ROW.pack(0, 0, 0, 100 + i, 200 + i, FIRST, 300 + i) for i in range(5))
    came = [answered(3, 3), lost(1, Ending.RESET), answered(0, 1), answered(4, 4), answered(2, 2)]
    decoder = Decoder(api=api_named("chat"), warmup=1)
    for each in came[:4]:
        decoder.add(each)
    known = decoder.known()
    assert (known.requests.tolist(), len(decoder)) == ([2, 0, 3], 3)
    assert known.intended_send_ns.tolist() == [3000 * MS, 1000 * MS, 4000 * MS]
    some = decoder.some(np.array([2, 1]), plan_rows=plan_rows, facts=FACTS)
    assert some.request_id == ("run-0", "run-3")
    assert (some.output_tokens.tolist(), list(some.errors)) == ([MISSING, 4], [0])
    assert not decoder.some(np.array([0]), plan_rows=plan_rows, facts=FACTS).errors
    decoder.add(came[4])
    found = decoder.decoded(plan_rows=plan_rows, facts=FACTS)
    whole = decoded(came, rows=5, warmup=1)
    assert found.measured.event_ns.tolist() == whole.measured.event_ns.tolist()
    assert (found.measured.request_id, found.measured.errors) == (whole.measured.request_id, whole.measured.errors)
    assert (found.counted_by_server, found.warmup.request_id) == (whole.counted_by_server, whole.warmup.request_id)

"""
Whole loads against servers that do everything wrong: each request is on the books, with its reason.

The load process, the wire client, the decoder and the books are the real ones; only the server plays a script.
"""

from __future__ import annotations

import socket
import zlib
from collections.abc import Sequence

import numpy as np
import pytest

from pytest_inferbench.cases.case import Api
from pytest_inferbench.errors import EngineDied
from pytest_inferbench.load.drive import Progress
from pytest_inferbench.load.loopback import Loopback, Schedule
from pytest_inferbench.load.trace import Outcome
from pytest_inferbench.metrics.books import contradictions
from tests import dialects
from tests.dialects import DONE, chunked, event, head, streamed, usage, vllm_chat
from tests.load.cases import TINY, case_of
from tests.load.driving import drive, driver_of, outcomes
from tests.scripted import Answer, Scripted

WORDS = ("Grüße", " aus", " Köln", " €")
STREAM = vllm_chat(WORDS)
WHOLE = streamed(STREAM)
STOP = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})


def cut(data: bytes, size: int) -> list[bytes]:
    """``data`` in pieces of so many bytes."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def gzipped(events: Sequence[bytes]) -> Answer:
    packer = zlib.compressobj(wbits=31)
    packed = b"".join(map(packer.compress, events)) + packer.flush()
    return Answer(head=head(200, "Content-Encoding: gzip", "Transfer-Encoding: chunked"), chunks=chunked(packed))


def mid(then: str, events: int = 3) -> Answer:
    """An answer that ends after so many events of its stream."""
    return Answer(head=WHOLE.head, chunks=[*WHOLE.chunks[:events], 0.05], then=then)  # type: ignore[arg-type]  # a literal


RIGHT = {
    "whole": WHOLE,
    "length": streamed(STREAM, framing="length"),
    "close": streamed(STREAM, framing="close"),
    "closed though kept alive": streamed(STREAM, then="close"),
    "http/1.0": Answer(head=head().replace(b"1.1", b"1.0"), chunks=STREAM, then="close"),
    "gzip": gzipped(STREAM),
    "every byte alone": Answer(head=head(200, "Transfer-Encoding: chunked"), chunks=cut(b"".join(chunked(*STREAM)), 1)),
    "chunks of three bytes": Answer(head=head(200, "Transfer-Encoding: chunked"), chunks=chunked(*cut(b"".join(STREAM), 3))),
    "no [DONE]": streamed(STREAM[:-1]),
    "no usage": streamed(vllm_chat(WORDS, with_usage=False)),
    "carriage returns": streamed([each.replace(b"\n", b"\r\n") for each in STREAM]),
    "comments": streamed([b": keep-alive\n\n", *STREAM]),
    "interim": Answer(head=b"HTTP/1.1 102 Processing\r\n\r\n" + WHOLE.head, chunks=WHOLE.chunks),
}
WRONG = {
    "HTTP 503 Service Unavailable (Retry-After 2): ": dialects.overloaded(2),
    "HTTP 429 Too Many Requests (Retry-After 3): ": dialects.rate_limited(3),
    "HTTP 404 Not Found: ": dialects.html_not_found(),
    "HTTP 401 Unauthorized: ": dialects.vllm_wrong_key(),
    "HTTP 400 Bad Request: ": dialects.llamacpp_too_long(),
    "answered text/html where an event stream was asked for: ": dialects.html_welcome(),
    "connection closed after 2 content events": mid("close"),
    "Connection reset by peer after 2 content events": mid("reset"),
    "error in the stream after 2 content events: the engine died": streamed([*STREAM[:3], dialects.stream_error()]),
    "error in the stream after 2 content events: an event is not JSON: ": streamed([*STREAM[:3], b"data: {oops\n\n"]),
    "the stream ended after 2 content events without finish_reason": streamed(STREAM[:3]),
    "finished without a token (finish_reason stop)": streamed(
        [event({"choices": [{"delta": {}, "finish_reason": "stop"}]}), DONE]
    ),
    "the answer is not readable HTTP (": Answer(head=b"220 mail.example ESMTP\r\n", then="close"),
}
LATE = {
    "no token within 0.4 s (first-token limit)": Answer(then="hang"),
    "no byte for 0.4 s (stall limit) after 2 content events": mid("hang"),
}


def test_every_right_answer_completes_with_its_tokens_however_it_comes() -> None:
    with Scripted(list(RIGHT.values())) as server:
        driven = drive(case_of(requests=len(RIGHT)), server.url)
    traces = driven.measured
    named = {list(RIGHT)[row]: error for row, error in traces.errors.items()}
    assert named == {}
    assert dict(zip(RIGHT, traces.output_tokens.tolist(), strict=True)) == dict.fromkeys(RIGHT, len(WORDS))
    # Those that were sent again had met a connection that the server had closed, and it never read them.
    assert (server.surplus, len(server.requests)) == (0, len(RIGHT))


def test_every_wrong_answer_fails_with_its_reason_and_right_ones_between_them_complete() -> None:
    script = [answer for wrong in WRONG.values() for answer in (wrong, WHOLE)]
    with Scripted(script) as server:
        driven = drive(case_of(requests=len(script)), server.url)
    assert outcomes(driven) == {"COMPLETED": len(WRONG), "FAILED": len(WRONG)}
    errors = driven.measured.errors
    assert list(errors) == list(range(0, len(script), 2))
    assert [(begins, said) for begins, said in zip(WRONG, errors.values(), strict=True) if not said.startswith(begins)] == []


def test_every_silence_runs_into_its_limit() -> None:
    script = [answer for late in LATE.values() for answer in (late, WHOLE)]
    # What is late by the limits of this test may be late because the machine is busy: three tries.
    for _ in range(3):
        with Scripted(script) as server:
            driven = drive(case_of(requests=len(script), limits=TINY), server.url)
        if outcomes(driven) == {"COMPLETED": len(LATE), "TIMED_OUT": len(LATE)}:
            break
    assert list(driven.measured.errors.values()) == list(LATE)
    assert outcomes(driven) == {"COMPLETED": len(LATE), "TIMED_OUT": len(LATE)}


def test_a_stream_that_never_ends_runs_into_the_total_limit() -> None:
    drip = Answer(head=WHOLE.head, chunks=[WHOLE.chunks[1]] * 200, pause_s=0.05)
    with Scripted([drip]) as server:
        driven = drive(case_of(requests=1, limits=TINY), server.url)
    assert outcomes(driven) == {"TIMED_OUT": 1}
    assert driven.measured.errors[0].startswith("not finished within 1.2 s (total limit) after ")


def test_a_connection_that_the_server_closed_while_it_was_idle_is_no_failure_and_is_counted() -> None:
    script = [answer for _ in range(5) for answer in (WHOLE, Answer(then="reset"))][:-1]
    with Scripted(script) as server:
        driven = drive(case_of(requests=5), server.url)
    assert outcomes(driven) == {"COMPLETED": 5}
    assert (driven.audit.resends, driven.measured.resends.tolist()) == (4, [0, 1, 1, 1, 1])
    sent = [request.headers["x-request-id"] for request in server.requests]
    assert sent == ["run-0"] + [f"run-{row}" for row in range(1, 5) for _ in range(2)]


def test_a_server_that_drops_every_new_connection_fails_every_request_once() -> None:
    with Scripted([Answer(then="close")], repeat=True) as server:
        driven = drive(case_of(requests=6, concurrency=2), server.url)
    assert outcomes(driven) == {"FAILED": 6}
    assert set(driven.measured.errors.values()) == {"connection closed before any answer"}
    assert (driven.audit.resends, len(server.requests)) == (0, 6)


def test_a_port_that_nobody_listens_on_fails_every_request() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        driven = drive(case_of(requests=6, concurrency=2, warmup=2), f"http://127.0.0.1:{held.getsockname()[1]}")
    assert outcomes(driven) == {"FAILED": 6}
    assert set(driven.measured.errors.values()) == {"could not connect: Connection refused"}
    assert len(driven.warmup) == 2


def test_a_port_that_nobody_listens_on_is_not_hammered_and_the_load_gives_up() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        case = case_of(requests=100_000, concurrency=4, limits=TINY)
        with driver_of(case, url) as driver, pytest.raises(EngineDied) as caught:
            driver.run()
    assert str(caught.value) == (
        "the load gave up: for 0.4 s nothing but refused connections came (could not connect: Connection refused), "
        "after 0 completed requests; is the server still running?"
    )
    assert driver.driven is not None
    assert driver.driven.stopped
    assert contradictions(driver.driven.measured) == ()
    # Rests of 1, 2, 4, ... ms: about ten rounds of the four users in the time, where a loop without rests has thousands.
    tried = outcomes(driver.driven)
    assert set(tried) <= {"FAILED", "CANCELLED"}
    assert 4 <= sum(tried.values()) <= 100


def test_a_server_that_dies_in_the_middle_ends_the_load_with_everything_on_the_books() -> None:
    with Loopback.start(Schedule(ttft_ms=5, itl_ms=1, tokens=4)) as server:

        def kill(at: Progress) -> None:
            if at.done:
                server.stop()

        case = case_of(requests=None, duration_s=30.0, concurrency=2, limits=TINY)
        died = pytest.raises(EngineDied, match=r"after \d+ completed requests; is the server still running\?")
        with driver_of(case, server.url, watch=kill) as driver, died:
            driver.run()
    assert driver.driven is not None
    assert contradictions(driver.driven.measured) == ()
    ended = outcomes(driver.driven)
    assert ended["COMPLETED"] > 0
    assert ended["FAILED"] > 0


def test_a_server_that_comes_back_in_time_is_measured_on() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    started: list[Loopback] = []

    def start(at: Progress) -> None:
        if at.phase == "measuring" and not started:
            started.append(Loopback.start(Schedule(ttft_ms=5, itl_ms=1, tokens=4), port=port))

    with driver_of(case_of(requests=30, concurrency=2), f"http://127.0.0.1:{port}", watch=start) as driver:
        try:
            driven = driver.run()
        finally:
            for server in started:
                server.stop()
    assert contradictions(driven.measured) == ()
    assert outcomes(driven)["COMPLETED"] > 0


def test_an_event_of_ten_megabytes_is_one_token() -> None:
    big = event({"choices": [{"index": 0, "delta": {"content": "x" * 10_000_000}, "finish_reason": "stop"}]})
    with Scripted([streamed([big, DONE])]) as server:
        driven = drive(case_of(requests=1), server.url)
    assert outcomes(driven) == {"COMPLETED": 1}
    assert driven.measured.output_tokens.tolist() == [1]
    assert driven.measured.bytes_received[0] > 10_000_000


def test_usage_with_choices_and_usage_that_counts_more_tokens_than_events() -> None:
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}], "usage": usage(9)}
    with Scripted([streamed([*STREAM[:4], event(last), DONE])]) as server:
        driven = drive(case_of(requests=1), server.url)
    traces = driven.measured
    assert (outcomes(driven), traces.output_tokens.tolist()) == ({"COMPLETED": 1}, [9])
    assert (traces.event_tokens.sum(), traces.event_tokens.min() >= 1) == (9, True)


@pytest.mark.parametrize(
    ("name", "api", "tokens"),
    [
        ("llamacpp_chat", "chat", 4),
        ("llamacpp_completions", "completions", 4),
        ("vllm_chat", "chat", 4),
        ("vllm_completions", "completions", 4),
        ("transformers_chat", "chat", 4),
        ("transformers_completions", "completions", 4),
        ("guidellm_chat", "chat", 4),
        ("guidellm_completions", "completions", 4),
        ("aimock_chat", "chat", 4),
    ],
)
def test_every_dialect_is_understood(name: str, api: Api, tokens: int) -> None:
    said = getattr(dialects, name)(WORDS)
    with Scripted([streamed(said)]) as server:
        driven = drive(case_of(api=api, requests=1), server.url)
    assert dict(driven.measured.errors) == {}
    assert driven.measured.output_tokens.tolist() == [tokens]


def test_faults_of_some_users_are_no_faults_of_the_others() -> None:
    with Scripted([WHOLE, mid("reset"), WHOLE, dialects.overloaded(), mid("close")] * 8) as server:
        driven = drive(case_of(requests=40, concurrency=4), server.url)
    assert outcomes(driven) == {"COMPLETED": 16, "FAILED": 24}
    assert server.surplus == 0


def test_times_are_those_of_a_server_that_logs_every_token() -> None:
    with Loopback.start(Schedule(ttft_ms=20, itl_ms=4, tokens=12)) as server:
        driven = drive(case_of(concurrency=8, requests=64, warmup=8), server.url)
        log = server.stop()
    traces = driven.measured
    assert outcomes(driven) == {"COMPLETED": 64}
    sent = [log.sent[name] for name in traces.request_id]
    for measured, logged in (
        (traces.first_token_ns, [one.first_token_ns for one in sent]),
        (traces.last_token_ns, [one.last_token_ns for one in sent]),
    ):
        error_ms = (measured - np.array(logged)) / 1e6
        # A token is stamped after the server read its clock; the median does not mind a machine that is busy with other things.
        assert 0 <= np.median(error_ms) < 0.5
    assert {Outcome(value) for value in traces.outcome.tolist()} == {Outcome.COMPLETED}

"""The wire client against a server that plays exactly what it is told."""

from __future__ import annotations

import gc
import resource
import socket
import threading
from collections.abc import Sequence

import pytest

from pytest_inferbench.errors import LoadError
from pytest_inferbench.load import wire as wire_module
from pytest_inferbench.load.clock import hold_stamps, monotonic_ns
from pytest_inferbench.load.connection import Connection
from pytest_inferbench.load.recording import Ending
from pytest_inferbench.load.refusals import Refusals
from pytest_inferbench.load.trace import Outcome
from tests.dialects import chunked, head, html_not_found, llamacpp_chat, rate_limited, streamed, vllm_chat
from tests.load.playing import S, playing
from tests.scripted import Answer, Scripted, Then

WORDS = ("one", "two", "three")
WHOLE = streamed(vllm_chat(WORDS))
EMPTY = Answer()


def hanging(*chunks: bytes, head: bytes = b"") -> Answer:
    return Answer(head=head, chunks=chunks, then="hang")


def closing(*chunks: bytes, then: Then = "close") -> Answer:
    return Answer(chunks=chunks, then=then)


def outcome_of(answers: Sequence[Answer], **limits_s: float) -> tuple[Outcome, str]:
    """What becomes of one request."""
    with Scripted(answers) as server, playing(server.port, **limits_s) as player:
        player.exchange(0)
        traces = player.traces()
        assert len(player.kept) == player.wire.counts.sent == player.wire.counts.done == 1
    return Outcome(int(traces.outcome[0])), traces.errors.get(0, "")


def test_an_answer_is_recorded_read_by_read_with_the_kernels_stamps() -> None:
    with hold_stamps(), Scripted([streamed(vllm_chat(WORDS), pause_s=0.02)]) as server, playing(server.port) as player:
        one = player.exchange(0)
        traces = player.traces()
    assert (one.ending, one.row, one.resends) == (Ending.COMPLETE, 0, 0)
    assert sum(one.sizes) == len(one.data)
    assert list(one.times_ns) == sorted(one.times_ns)
    assert one.intended_send_ns <= one.send_ns <= one.times_ns[0]
    assert one.end_ns == one.times_ns[-1]
    assert (traces.output_tokens.tolist(), len(set(traces.event_ns.tolist()))) == ([3], 3)
    assert player.wire.counts.userspace_reads == 0
    assert sum(player.wire.counts.read_lag) >= player.wire.counts.reads > 3


def test_a_connection_that_is_kept_carries_the_next_request() -> None:
    with Scripted([WHOLE], repeat=True) as server, playing(server.port) as player:
        player.exchange(0, 1, 2)
        assert player.traces().completed.all()
    assert server.connections == 1
    assert [each.headers["x-request-id"] for each in server.requests] == ["0", "1", "2"]
    assert [each.connection for each in server.requests] == [0, 0, 0]


def test_only_a_request_that_opened_its_connection_waited_for_one() -> None:
    with Scripted([WHOLE], repeat=True) as server, playing(server.port) as player:
        player.exchange(0, 1)
    first, second = player.kept
    assert 0 < first.connect_wait_ns <= first.send_ns - first.intended_send_ns
    assert second.connect_wait_ns == 0


def test_requests_at_the_same_time_have_connections_of_their_own() -> None:
    gate = threading.Event()
    with Scripted([Answer(chunks=[gate, WHOLE.head, *WHOLE.chunks])] * 4) as server, playing(server.port) as player:
        player.send(0, 1, 2, 3)
        assert player.wire.in_flight == 4
        gate.set()
        player.settle()
        assert player.traces().completed.all()
        assert len(player.wire.freed_ns) == 4
    assert server.connections == 4


@pytest.mark.parametrize(
    "answer",
    [
        streamed(llamacpp_chat(WORDS), framing="close"),
        streamed(llamacpp_chat(WORDS), then="close"),
        Answer(
            head=head(200, "Connection: close", "Transfer-Encoding: chunked"), chunks=chunked(*vllm_chat(WORDS)), then="close"
        ),
        Answer(head=head().replace(b"1.1", b"1.0"), chunks=vllm_chat(WORDS), then="close"),
        streamed(llamacpp_chat(WORDS), framing="length"),
    ],
    ids=["close-delimited", "closed-after-keep-alive", "connection-close", "http-1.0", "length"],
)
def test_every_way_to_end_an_answer_completes_it_and_the_next(answer: Answer) -> None:
    with Scripted([answer], repeat=True) as server, playing(server.port) as player:
        player.exchange(0, 1, 2)
        traces = player.traces()
    assert dict(traces.errors) == {}
    assert traces.output_tokens.tolist() == [3, 3, 3]


def test_a_request_on_a_connection_that_the_server_had_closed_is_sent_again_and_counted() -> None:
    with Scripted([WHOLE, Answer(then="reset"), WHOLE, closing(), WHOLE]) as server, playing(server.port) as player:
        player.exchange(0, 1, 2)
        traces = player.traces()
        assert player.wire.counts.resends == 2
        assert player.wire.counts.sent == 3
    assert dict(traces.errors) == {}
    assert traces.resends.tolist() == [0, 1, 1]
    assert [each.headers["x-request-id"] for each in server.requests] == ["0", "1", "1", "2", "2"]


def test_the_time_of_a_request_that_was_sent_again_counts_from_the_send_that_was_answered() -> None:
    with Scripted([WHOLE, Answer(then="reset"), WHOLE]) as server, playing(server.port) as player:
        one = player.exchange(0, 1)
    assert one.intended_send_ns < one.send_ns <= one.times_ns[0]


def test_a_used_connection_that_is_lost_late_is_a_failure_and_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_module, "_STALE_NS", 1)
    with Scripted([WHOLE, Answer(then="close")]) as server, playing(server.port) as player:
        player.exchange(0, 1)
        traces = player.traces()
    assert dict(traces.errors) == {1: "connection closed before any answer"}
    assert (player.wire.counts.resends, len(server.requests)) == (0, 2)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(then="reset"), "Connection reset by peer before any answer"),
        (Answer(then="close"), "connection closed before any answer"),
        (Answer(then="half-close"), "connection closed before any answer"),
        (closing(WHOLE.head, b"5\r\nda", then="reset"), "Connection reset by peer before any answer"),
        (Answer(head=WHOLE.head, chunks=[*WHOLE.chunks[:3], 0.05], then="close"), "connection closed after 2 content events"),
        (Answer(head=WHOLE.head, chunks=WHOLE.chunks[:3], then="half-close"), "connection closed after 2 content events"),
    ],
)
def test_a_new_connection_that_is_lost_is_a_failure_with_how_far_it_came(answer: Answer, error: str) -> None:
    outcome, said = outcome_of([answer])
    assert (outcome, said) == (Outcome.FAILED, error)


@pytest.mark.parametrize(
    ("answer", "limits_s", "error"),
    [
        (hanging(), {"first_token": 0.05}, "no token within 0.05 s (first-token limit)"),
        (hanging(head=WHOLE.head), {"first_token": 0.05}, "no token within 0.05 s (first-token limit)"),
        (hanging(WHOLE.head), {"stall": 0.05}, "no byte for 0.05 s (stall limit)"),
        (hanging(), {"total": 0.05}, "not finished within 0.05 s (total limit)"),
        (
            Answer(head=WHOLE.head, chunks=WHOLE.chunks[:3], then="hang"),
            {"stall": 0.1},
            "no byte for 0.1 s (stall limit) after 2 content events",
        ),
    ],
)
def test_a_server_that_goes_silent_runs_into_a_limit(answer: Answer, limits_s: dict[str, float], error: str) -> None:
    assert outcome_of([answer], **limits_s) == (Outcome.TIMED_OUT, error)


def test_an_answer_with_a_token_is_not_given_up_by_the_first_token_limit() -> None:
    slow = Answer(head=WHOLE.head, chunks=[*WHOLE.chunks[:2], 0.3, *WHOLE.chunks[2:]])
    with Scripted([slow]) as server, playing(server.port, first_token=0.05) as player:
        player.has_token = True
        player.exchange(0)
        assert player.traces().completed.all()


def test_a_server_that_takes_no_connection_runs_into_the_connect_limit() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        # The queue of a listener that accepts nobody holds one; whoever comes later waits for ever.
        with socket.create_connection(("127.0.0.1", port)), playing(port, connect=0.05) as player:
            player.exchange(0)
            traces = player.traces()
    assert dict(traces.errors) == {0: "no connection within 0.05 s (connect limit)"}
    assert traces.send_ns.tolist() == [-1]


def test_a_port_that_nobody_listens_on_is_refused() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with playing(held.getsockname()[1]) as player:
            player.send(0, 1)
            player.settle()
            traces = player.traces()
    assert dict(traces.errors) == dict.fromkeys(range(2), "could not connect: Connection refused")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (html_not_found(), "HTTP 404"),
        (rate_limited(7), "HTTP 429 Too Many Requests (Retry-After 7)"),
        (closing(b"220 smtp ready\r\n"), "the answer is not readable HTTP ("),
        (closing(b"\0\1\2\3"), "the answer is not readable HTTP ("),
        (closing(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), "it changes the protocol"),
    ],
)
def test_an_answer_that_is_none_fails_in_words(answer: Answer, error: str) -> None:
    outcome, said = outcome_of([answer])
    assert outcome is Outcome.FAILED
    assert error in said


def test_a_server_that_speaks_first_is_not_http() -> None:
    outcome, said = outcome_of([Answer(chunks=[b"SSH-2.0-OpenSSH\r\n"], then="half-close", reads_request=False)])
    assert outcome is Outcome.FAILED
    assert said.endswith("): SSH-2.0-OpenSSH")


def test_an_interim_answer_is_followed_by_the_real_one() -> None:
    answer = Answer(head=b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE.head, chunks=WHOLE.chunks)
    assert outcome_of([answer]) == (Outcome.COMPLETED, "")


@pytest.mark.parametrize("extra", [b"HTTP/1.1 200 OK\r\nContent-Le", b"rubbish"])
def test_no_request_goes_after_an_answer_that_was_followed_by_something(extra: bytes) -> None:
    odd = streamed(vllm_chat(WORDS), framing="length")
    odd = Answer(head=odd.head, chunks=[b"".join(each for each in odd.chunks if isinstance(each, bytes)) + extra])
    with Scripted([odd, WHOLE]) as server, playing(server.port) as player:
        player.exchange(0, 1)
        assert player.traces().completed.all()
    assert server.connections == 2


def test_an_idle_connection_that_says_something_is_given_up() -> None:
    gate = threading.Event()
    odd = Answer(head=WHOLE.head, chunks=[*WHOLE.chunks, gate, b"HTTP/1.1 408 Too Late\r\n\r\n"], then="hang")
    with Scripted([odd, WHOLE]) as server, playing(server.port) as player:
        player.exchange(0)
        gate.set()
        player.wire.read_until(2**62)
        player.exchange(1)
        assert player.traces().completed.all()
        assert player.wire.counts.resends == 0
    assert server.connections == 2


def test_a_request_of_megabytes_goes_out_whole() -> None:
    body = b'{"x":"' + b"y" * 8_000_000 + b'"}'
    with Scripted([WHOLE]) as server, playing(server.port) as player:
        player.exchange(0, body=body)
        assert player.traces().completed.all()
    assert server.requests[0].body == body


def test_cancelled_requests_are_on_the_books() -> None:
    with Scripted([hanging(head=WHOLE.head)] * 2) as server, playing(server.port) as player:
        player.send(0, 1)
        player.wire.read_until(2**62)
        player.wire.cancel()
        assert player.wire.unwritten
        player.settle()
        traces = player.traces()
    assert dict(traces.errors) == dict.fromkeys(range(2), "stopped before its answer had ended")


def test_too_many_open_files_is_the_clients_own_fault() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as probe, Scripted([]) as server, playing(server.port) as player:
        resource.setrlimit(resource.RLIMIT_NOFILE, (probe.fileno(), hard))
        try:
            with pytest.raises(
                LoadError, match=r"cannot open a connection beside \d+ others: Too many open files; raise the limit"
            ):
                player.send(*range(50))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_connection_that_ended_is_freed_without_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        with Scripted([streamed(vllm_chat(WORDS), framing="close")], repeat=True) as server, playing(server.port) as player:
            player.exchange(*range(5))
            assert [each for each in gc.get_objects() if isinstance(each, Connection)] == []
    finally:
        gc.enable()


def test_sweeping_measures_the_clocks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with Scripted([]) as server, playing(server.port) as player:
        at = player.wire.counts.offset_ns_min
        for offset in (at + 5 * S, at - 2 * S):
            monkeypatch.setattr(wire_module, "wall_offset_ns", lambda _, offset=offset: offset)
            player.wire.sweep(0)
        counts = player.wire.counts
        assert (counts.offset_ns_min, counts.offset_ns_max) == (at - 2 * S, at + 5 * S)


def test_a_user_whose_connection_was_refused_rests_and_others_do_not_wait_for_it() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with playing(held.getsockname()[1]) as player:
            player.wire.refusals = Refusals(1)
            for row in range(8):
                player.exchange(row)
            rests_ns = [freed - one.end_ns for freed, one in zip(player.wire.freed_ns, player.kept, strict=True)]
            assert rests_ns == [1_000_000 << doubled for doubled in range(8)]
            assert player.wire.refused_ns(player.kept[0].end_ns + 5) == 5
    with Scripted([WHOLE]) as server, playing(server.port) as player:
        late_ns = monotonic_ns() + 60 * S
        player.wire.freed_ns.append(late_ns)
        one = player.exchange(0)
        assert list(player.wire.freed_ns) == [one.end_ns, late_ns]
        assert player.wire.refused_ns(late_ns) == 0

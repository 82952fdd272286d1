"""The loopback server keeps its schedule, and its log says what it did."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.errors import LoadError
from pytest_inferbench.load.loopback import MODEL, Loopback, LoopbackLog, Schedule, Sent, read_log
from pytest_inferbench.load.loopback.messages import Unreadable, take_request

QUICK = Schedule(ttft_ms=2, itl_ms=1, tokens=5)
CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
LIMIT_S = 20.0


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback.start(QUICK) as running:
        yield running


def post(server: Loopback, path: str = CHAT, *, request_id: str = "r-1", **body: Any) -> httpx.Response:
    body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": "one two three"}]} | body
    return httpx.post(server.url + path, json=body, headers={"X-Request-Id": request_id}, timeout=LIMIT_S)


def events(response: httpx.Response) -> list[Any]:
    """The events of a stream; ``[DONE]`` as that text."""
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def texts(response: httpx.Response) -> list[str]:
    """The text of each event that has a choice."""
    choices = [event["choices"][0] for event in events(response) if event != "[DONE]" and event["choices"]]
    return [choice["delta"]["content"] if "delta" in choice else choice["text"] for choice in choices]


def raw(request_id: str, *, path: str = CHAT, close: bool = False, **body: Any) -> bytes:
    data = json.dumps({"stream": True, "messages": [], **body}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nx-REQUEST-id: {request_id}\r\nContent-Length: {len(data)}\r\n"
    return head.encode() + (b"Connection: close\r\n" if close else b"") + b"\r\n" + data


def connected(server: Loopback) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S)


def read_answers(sock: socket.socket, count: int) -> bytes:
    """Read until that many chunked answers have ended."""
    data = b""
    while data.count(b"0\r\n\r\n") < count:
        piece = sock.recv(65536)
        assert piece, f"the server closed after {data!r}"
        data += piece
    return data


def read_all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


def test_chat_streams_one_event_a_token_and_says_done(server: Loopback) -> None:
    response = post(server)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert texts(response) == [" word"] * 5
    assert events(response)[-1] == "[DONE]"
    finishes = [event["choices"][0]["finish_reason"] for event in events(response)[:-1]]
    assert finishes == [None] * 4 + ["length"]


def test_completions_stream_text(server: Loopback) -> None:
    response = post(server, COMPLETIONS, prompt="a b", max_tokens=3)
    assert texts(response) == [" word"] * 3
    assert {event["object"] for event in events(response)[:-1]} == {"text_completion"}


def test_usage_comes_in_an_event_without_choices_only_when_it_is_asked_for(server: Loopback) -> None:
    with_usage = events(post(server, stream_options={"include_usage": True}))
    assert (with_usage[-2]["choices"], with_usage[-1]) == ([], "[DONE]")
    assert with_usage[-2]["usage"] == {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    assert not any("usage" in event for event in events(post(server))[:-1])


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_request_says_how_many_tokens(server: Loopback, name: str) -> None:
    body: dict[str, Any] = {name: 2}
    assert texts(post(server, **body)) == [" word"] * 2


def test_a_single_token_is_first_and_last(server: Loopback) -> None:
    post(server, max_tokens=1)
    sent = server.stop().sent["r-1"]
    assert sent.tokens == 1
    assert sent.first_token_ns == sent.last_token_ns == sent.token_ns[0]


def test_an_answer_that_does_not_stream_is_whole_and_comes_when_its_last_token_is_due(server: Loopback) -> None:
    chat = post(server, stream=False).json()
    text = post(server, COMPLETIONS, stream=False, prompt=[1, 2, 3, 4], request_id="r-2").json()
    assert chat["choices"][0]["message"]["content"] == text["choices"][0]["text"] == " word" * 5
    assert text["usage"] == {"prompt_tokens": 4, "completion_tokens": 5, "total_tokens": 9}
    sent = server.stop().sent["r-1"]
    assert sent.last_token_ns - sent.received_ns >= 6_000_000
    assert (sent.tokens, list(sent.token_ns)) == (5, [])


def test_a_role_event_may_come_first() -> None:
    with Loopback.start(Schedule(ttft_ms=1, itl_ms=0, tokens=2, role_chunk=True)) as server:
        chat, text = post(server), post(server, COMPLETIONS)
    assert events(chat)[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert texts(chat) == ["", " word", " word"]
    assert texts(text) == [" word", " word"]


def test_several_tokens_may_share_an_event() -> None:
    with Loopback.start(Schedule(ttft_ms=1, itl_ms=2, tokens=8, tokens_per_chunk=3)) as server:
        assert texts(post(server)) == [" word" * 3, " word" * 3, " word" * 2]
    sent = server.log.sent["r-1"]
    assert (sent.tokens, len(sent.token_ns), len(set(sent.token_ns))) == (8, 8, 3)
    assert sent.token_ns[3] - sent.received_ns >= 7_000_000


def test_no_token_leaves_before_it_is_due_and_lateness_is_what_the_log_says() -> None:
    schedule = Schedule(ttft_ms=5, itl_ms=3, tokens=10)
    with Loopback.start(schedule) as server:
        post(server)
    sent = server.log.sent["r-1"]
    late_ns = [at_ns - (sent.received_ns + 5_000_000 + k * 3_000_000) for k, at_ns in enumerate(sent.token_ns)]
    assert min(late_ns) >= 0
    assert max(late_ns) == sent.late_ns_max
    assert (sent.first_token_ns, sent.last_token_ns, sent.tokens) == (sent.token_ns[0], sent.token_ns[-1], 10)
    assert sent.connected_ns < sent.received_ns < sent.first_token_ns


def test_jitter_only_makes_tokens_later_and_keeps_their_order() -> None:
    with Loopback.start(Schedule(ttft_ms=5, itl_ms=3, tokens=10, jitter=0.9)) as server:
        post(server)
    sent = server.log.sent["r-1"]
    assert list(sent.token_ns) == sorted(sent.token_ns)
    assert all(at_ns >= sent.received_ns + 5_000_000 + k * 3_000_000 for k, at_ns in enumerate(sent.token_ns))


def test_models_and_health_answer_and_other_paths_do_not(server: Loopback) -> None:
    assert httpx.get(server.url + "/health").json() == {"status": "ok"}
    assert httpx.get(server.url + "/v1/models").json()["data"][0]["id"] == MODEL
    assert httpx.get(server.url + "/metrics").status_code == 404
    assert post(server, "/v1/embeddings").json()["error"]["message"] == "there is nothing here"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{", "the body is not JSON: "),
        (b"[]", "the body is not a JSON object"),
        (b'{"max_tokens": 0}', "max_tokens must be a whole number from 1 to 1000000, not 0"),
        (b'{"max_tokens": "x"}', "max_tokens must be a whole number from 1 to 1000000, not 'x'"),
    ],
)
def test_a_wrong_body_is_a_400_that_says_why_and_the_connection_goes_on(server: Loopback, body: bytes, why: str) -> None:
    with httpx.Client(base_url=server.url) as client:
        response = client.post(CHAT, content=body)
        assert response.status_code == 400
        assert response.json()["error"]["message"].startswith(why)
        assert client.get("/health").status_code == 200
    assert server.stop().requests == 0


def test_a_chunked_request_is_refused(server: Loopback) -> None:
    response = httpx.post(server.url + CHAT, content=iter([b"{}"]))
    assert response.status_code == 411
    assert response.json()["error"]["message"] == "send content-length: chunked requests are not read here"


def test_a_connection_is_kept_and_answers_pipelined_requests_in_order(server: Loopback) -> None:
    with connected(server) as sock:
        sock.sendall(raw("first", max_tokens=2) + raw("second", max_tokens=3))
        assert read_answers(sock, 2).count(b" word") == 5
    sent = server.stop().sent
    assert sent["first"].connected_ns == sent["second"].connected_ns
    assert sent["first"].last_token_ns < sent["second"].received_ns


def test_a_request_in_pieces_is_one_request(server: Loopback) -> None:
    request = raw("pieces")
    with connected(server) as sock:
        for at in range(0, len(request), 7):
            sock.sendall(request[at : at + 7])
        read_answers(sock, 1)
    assert server.stop().sent["pieces"].tokens == 5


def test_connection_close_closes_after_the_answer(server: Loopback) -> None:
    with connected(server) as sock:
        sock.sendall(raw("r-1", close=True))
        assert read_all(sock).endswith(b"0\r\n\r\n")


def test_words_that_are_not_http_get_a_400_and_the_connection_ends(server: Loopback) -> None:
    with connected(server) as sock:
        sock.sendall(b"hello\r\n\r\n")
        answer = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"the first line is not a request line" in answer


def test_many_connections_at_once_are_all_answered_in_full() -> None:
    with Loopback.start(Schedule(ttft_ms=20, itl_ms=2, tokens=8)) as server:
        socks = [connected(server) for _ in range(40)]
        for number, sock in enumerate(socks):
            sock.sendall(raw(f"r-{number}"))
        for sock in socks:
            assert read_answers(sock, 1).count(b" word") == 8
            sock.close()
    log = server.log
    assert (log.requests, log.aborted, len(log.sent)) == (40, 0, 40)
    assert all(sent.tokens == 8 for sent in log.sent.values())
    assert 0 <= log.late_ms(0.5) <= log.late_ms(1.0)


def test_a_client_that_goes_away_is_logged_with_the_tokens_it_got() -> None:
    with Loopback.start(Schedule(ttft_ms=1, itl_ms=5, tokens=1000)) as server:
        with connected(server) as sock:
            sock.sendall(raw("gone"))
            sock.recv(1)
        post(server, max_tokens=1)
    log = server.log
    assert (log.requests, log.aborted) == (2, 1)
    assert 1 <= log.sent["gone"].tokens < 1000


def test_a_request_under_way_at_the_end_is_logged() -> None:
    server = Loopback.start(Schedule(ttft_ms=60_000))
    with connected(server) as sock:
        sock.sendall(raw("waiting") + b"GET")
        post_wait = httpx.get(server.url + "/health")  # answered after the request above was read
        assert post_wait.status_code == 200
        log = server.stop()
    assert (log.aborted, log.sent["waiting"].tokens, log.sent["waiting"].first_token_ns) == (1, 0, -1)


def test_a_client_that_does_not_read_is_counted_as_stalled_and_still_gets_every_byte() -> None:
    with Loopback.start(Schedule(ttft_ms=0, itl_ms=0)) as server, connected(server) as sock:
        sock.sendall(raw("slow", max_tokens=60_000, close=True))
        post(server, max_tokens=1, request_id="later")  # without intervals, the earlier request's tokens are all due before this
        assert read_all(sock).count(b" word") == 60_000
    assert server.log.stalls > 0
    assert server.log.sent["slow"].tokens == 60_000


def test_a_request_id_with_commas_and_quotes_comes_back(server: Loopback) -> None:
    post(server, request_id='a,"b"')
    sent = server.stop().sent['a,"b"']
    assert len(sent.token_ns) == 5


def test_the_log_is_there_only_after_the_end(server: Loopback) -> None:
    with pytest.raises(LoadError, match=r"writes its log when it stops: call stop\(\) first"):
        _ = server.log
    assert server.stop() is server.stop() is server.log


def test_a_port_in_use_is_an_error_that_says_so(server: Loopback) -> None:
    with pytest.raises(LoadError, match=rf"did not start: .*cannot listen on 127.0.0.1:{server.port}: Address already in use"):
        Loopback.start(port=server.port)


@pytest.mark.parametrize(
    ("schedule", "why"),
    [
        (Schedule(ttft_ms=-1), "waits must be at least 0 ms: ttft -1 ms, itl 20 ms"),
        (Schedule(itl_ms=float("inf")), "waits must be at least 0 ms: ttft 100 ms, itl inf ms"),
        (Schedule(tokens=0), "there must be at least 1 token in an answer and in a chunk: 0 and 1"),
        (Schedule(jitter=1.0), "jitter must be at least 0 and below 1, not 1"),
    ],
)
def test_an_impossible_schedule_is_an_error_that_says_why(schedule: Schedule, why: str) -> None:
    with pytest.raises(LoadError, match=why):
        Loopback.start(schedule)


def test_a_server_that_was_killed_is_an_error() -> None:
    server = Loopback.start(QUICK)
    os.kill(server.pid, 9)
    with pytest.raises(LoadError, match="the loopback server ended with -9: it said nothing"):
        server.stop()


def test_it_ends_when_the_process_that_started_it_ends() -> None:
    code = "import os; from pytest_inferbench.load.loopback import Loopback; print(Loopback.start().pid, flush=True); os._exit(0)"
    started = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=LIMIT_S, check=True)
    try:
        pidfd = os.pidfd_open(int(started.stdout))
    except ProcessLookupError:
        return
    ready, _, _ = select.select([pidfd], [], [], LIMIT_S)
    os.close(pidfd)
    assert ready, f"the loopback server outlived its parent by {LIMIT_S} s"


def test_as_a_program_it_says_its_port_and_writes_its_log_at_sigterm(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "pytest_inferbench.load.loopback", "--ttft-ms=1", "--itl-ms=1", "--tokens=2"]
    argv += [f"--log={tmp_path / 'log.csv'}", f"--times={tmp_path / 'times.csv'}"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        httpx.post(f"http://127.0.0.1:{port}{CHAT}", json={"stream": True}, headers={"X-Request-Id": "p"})
        process.terminate()
        assert json.loads(process.stdout.read()) == {"requests": 1, "aborted": 0, "stalls": 0}
    header, row = (tmp_path / "log.csv").read_text().splitlines()
    assert header == "request_id,received_ns,first_token_ns,last_token_ns,tokens,late_ns_max,connected_ns"
    first, last = row.split(",")[2:4]
    assert (tmp_path / "times.csv").read_text() == f"p,{first},{last}\n"


def test_a_log_with_other_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "times.csv").write_text("")
    (tmp_path / "log.csv").write_text("a,b\n")
    with pytest.raises(LoadError, match=r"log begins with \['a', 'b'\], not with its columns"):
        read_log(tmp_path, {"requests": 0, "aborted": 0, "stalls": 0})


def test_lateness_of_an_empty_log_is_an_error() -> None:
    log = LoopbackLog(sent={}, requests=0, aborted=0, stalls=0)
    with pytest.raises(LoadError, match="no request with an X-Request-Id header reached it"):
        log.late_ms(0.99)


def test_lateness_is_that_of_the_share_of_requests() -> None:
    def late(late_ns: int) -> Sent:
        return Sent(received_ns=0, first_token_ns=1, last_token_ns=1, tokens=1, late_ns_max=late_ns, connected_ns=0)

    log = LoopbackLog(sent={str(n): late(n * 1_000_000) for n in range(100)}, requests=100, aborted=0, stalls=0)
    assert [log.late_ms(share) for share in (0.0, 0.5, 0.99, 1.0)] == [0.0, 50.0, 99.0, 99.0]


@given(body=st.binary(max_size=50), rest=st.binary(max_size=50), cut=st.integers(min_value=0))
def test_a_request_is_taken_whole_or_not_at_all(body: bytes, rest: bytes, cut: int) -> None:
    request = b"POST /p HTTP/1.1\r\nX-Request-ID:  Ab-1 \r\nContent-Length: %d\r\nConnection: Close\r\n\r\n%b" % (len(body), body)
    taken = take_request(request + rest)
    assert taken is not None
    assert (taken[0].method, taken[0].path, taken[0].request_id, taken[0].body) == (b"POST", b"/p", "Ab-1", body)
    assert (taken[0].close, taken[1]) == (True, rest)
    assert take_request(request[: cut % len(request)]) is None


@pytest.mark.parametrize(
    ("head", "status", "why"),
    [
        (b"GET / HTTP/1.1\r\ncontent-length: many\r\n\r\n", 400, "content-length is not a number: many"),
        (b"GET / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n", 413, "a body of 99999999999 bytes is more than 67108864"),
        (b"GET / HTTP/1.1\r\nx: " + b"x" * 70_000, 413, "the head of a request is longer than 65536 bytes"),
    ],
)
def test_a_request_that_cannot_be_read_says_why(head: bytes, status: int, why: str) -> None:
    with pytest.raises(Unreadable, match=why) as caught:
        take_request(head)
    assert caught.value.status == status


def test_it_runs_on_the_cpu_that_was_asked_for() -> None:
    cpu = max(os.sched_getaffinity(0))
    with Loopback.start(QUICK, cpu=cpu) as server:
        assert os.sched_getaffinity(server.pid) == {cpu}

"""The scripted server plays exactly what it is told to, and the dialects are what real servers say."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests import dialects
from tests.scripted import Answer, Received, Scripted

LIMIT_S = 120.0
WORDS = ["Hello", " there", " wörld"]
REQUEST = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nX-Request-Id: r-1\r\nContent-Length: 2\r\n\r\n{}"


def connected(server: Scripted) -> socket.socket:
    return socket.create_connection((server.host, server.port), timeout=LIMIT_S)


def read_all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


def test_the_bytes_are_exactly_those_of_the_script() -> None:
    with Scripted([Answer(head=b"not even ", chunks=[b"HT", b"TP"], then="close")]) as server, connected(server) as sock:
        sock.sendall(REQUEST)
        assert read_all(sock) == b"not even HTTP"


def test_it_records_what_came() -> None:
    with Scripted([dialects.error(200, "ok")], repeat=True) as server, httpx.Client(base_url=server.url) as client:
        client.post("/v1/completions?x=1", json={"prompt": "a"}, headers={"X-Request-Id": "Ab"})
        client.get("/health")
    posted, got = server.requests
    assert (posted.method, posted.path, posted.headers["x-request-id"], posted.json) == (
        "POST",
        "/v1/completions?x=1",
        "Ab",
        {"prompt": "a"},
    )
    assert (got.method, got.path, got.body) == ("GET", "/health", b"")
    assert (posted.connection, got.connection, server.connections) == (0, 0, 1)


def test_answers_follow_each_other_over_all_connections() -> None:
    script = [dialects.error(200, "one", then="close"), dialects.error(200, "two")]
    with Scripted(script) as server:
        assert [httpx.get(server.url).text for _ in script] == ["one", "two"]
    assert (server.connections, [request.connection for request in server.requests]) == (2, [0, 1])


def test_two_requests_sent_together_get_two_answers_on_one_connection() -> None:
    script = [dialects.error(200, "one"), dialects.error(200, "two", then="close")]
    with Scripted(script) as server, connected(server) as sock:
        sock.sendall(REQUEST + REQUEST)
        answer = read_all(sock)
    assert (answer.count(b"one"), answer.count(b"two")) == (1, 1)


def test_a_request_in_pieces_is_one_request() -> None:
    with Scripted([Answer(then="close")]) as server, connected(server) as sock:
        for at in range(len(REQUEST)):
            sock.sendall(REQUEST[at : at + 1])
        read_all(sock)
    assert [request.body for request in server.requests] == [b"{}"]


def test_a_request_beyond_the_script_gets_a_500_that_says_so() -> None:
    with Scripted([dialects.error(200, "one")]) as server:
        assert httpx.get(server.url).text == "one"
        surplus = httpx.get(server.url)
    assert (surplus.status_code, surplus.text) == (500, "the script has no answer for request 2")
    assert server.surplus == 1


def test_a_reset_is_a_reset_and_not_an_end() -> None:
    with Scripted([Answer(head=b"half", then="reset")]) as server, connected(server) as sock:
        sock.sendall(REQUEST)
        with pytest.raises(ConnectionResetError):
            read_all(sock)


def test_a_connection_can_be_reset_before_anything_was_read() -> None:
    with Scripted([Answer(then="reset", reads_request=False)]) as server:
        # It may even come before connecting has ended.
        with pytest.raises(ConnectionResetError), connected(server) as sock:
            read_all(sock)
        assert server.requests == []


def test_a_half_closed_connection_goes_on_reading() -> None:
    with Scripted([Answer(head=b"bye", then="half-close")]) as server, connected(server) as sock:
        sock.sendall(REQUEST)
        assert read_all(sock) == b"bye"
        sock.sendall(b"still here" * 1000)


def test_a_hanging_server_sends_nothing_more_and_lets_the_test_end() -> None:
    with Scripted([Answer(head=b"part", then="hang")]) as server, connected(server) as sock:
        sock.sendall(REQUEST)
        assert sock.recv(100) == b"part"
        sock.settimeout(0)
        with pytest.raises(BlockingIOError):
            sock.recv(1)


def send_much(sock: socket.socket) -> None:
    for _ in range(1000):
        sock.send(bytes(1_000_000))


def test_a_server_that_reads_nothing_fills_the_clients_buffers() -> None:
    with Scripted([Answer(then="hang", reads_request=False)]) as server, connected(server) as sock:
        sock.settimeout(0)
        with pytest.raises(BlockingIOError):
            send_much(sock)
        assert server.requests == []


def test_an_answer_can_wait_for_the_test() -> None:
    go_on = threading.Event()
    with Scripted([Answer(head=b"first", chunks=[go_on, b"second"], then="close")]) as server, connected(server) as sock:
        sock.sendall(REQUEST)
        assert sock.recv(100) == b"first"
        go_on.set()
        assert read_all(sock) == b"second"


def test_pauses_come_before_each_piece() -> None:
    with Scripted([Answer(chunks=[b"a", 0.001, b"b"], pause_s=0.001, then="close")]) as server, connected(server) as sock:
        sock.sendall(REQUEST)
        assert read_all(sock) == b"ab"


def test_an_event_nobody_sets_does_not_hold_up_the_end_of_the_test() -> None:
    with Scripted([Answer(chunks=[threading.Event(), b"late"])]) as server, connected(server) as sock:
        sock.sendall(REQUEST)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("scripted-")]


def test_a_client_that_goes_away_is_no_fault_of_the_server() -> None:
    with Scripted([Answer(chunks=[b"x" * 1_000_000] * 20)]) as server, connected(server) as sock:
        sock.sendall(REQUEST)
        sock.recv(1)


def send_half_a_request() -> None:
    with Scripted([Answer()]) as server, connected(server) as sock:
        sock.sendall(REQUEST[:-2])
        sock.shutdown(socket.SHUT_WR)
        read_all(sock)


def test_a_request_that_is_never_finished_is_told_at_the_end() -> None:
    with pytest.raises(AssertionError, match=r"scripted server failed: .*the client closed after 0 of 2 bytes of a body"):
        send_half_a_request()


def test_an_answer_that_reads_nothing_cannot_keep_the_connection() -> None:
    with pytest.raises(ValueError, match="an answer that reads no request cannot keep the connection for the next one"):
        Scripted([Answer(reads_request=False)])


def test_a_request_has_a_json_body() -> None:
    request = Received(method="POST", path="/", headers={}, body=b'{"a": 1}', connection=0)
    assert request.json == {"a": 1}


def parsed(response: httpx.Response) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def text_of(event: Any) -> str:
    """The text an event adds to the answer."""
    if event == "[DONE]" or not event["choices"]:
        return ""
    choice = event["choices"][0]
    text: str | None = choice["delta"].get("content") if "delta" in choice else choice["text"]
    return text or ""


DIALECTS = [
    dialects.llamacpp_chat,
    dialects.llamacpp_completions,
    dialects.vllm_chat,
    dialects.vllm_completions,
    dialects.transformers_chat,
    dialects.transformers_completions,
    dialects.guidellm_chat,
    dialects.guidellm_completions,
    dialects.aimock_chat,
]


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_is_a_stream_of_its_words_with_usage(
    dialect: Callable[[list[str]], list[bytes]], framing: dialects.Framing
) -> None:
    with Scripted([dialects.streamed(dialect(WORDS), framing=framing)]) as server:
        response = httpx.post(server.url + "/v1/x", json={})
    events = parsed(response)
    assert response.headers["content-type"] == "text/event-stream"
    assert "".join(map(text_of, events)) == "Hello there wörld"
    counts = [event["usage"] for event in events if "usage" in event]
    assert counts == [counts[0]]
    assert (counts[0]["completion_tokens"], counts[0]["prompt_tokens"], counts[0]["total_tokens"]) == (3, 7, 10)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_only_transformers_ends_without_done(dialect: Callable[[list[str]], list[bytes]]) -> None:
    assert (dialect(WORDS)[-1] == dialects.DONE) == ("transformers" not in dialect.__name__)


def test_usage_can_be_left_out() -> None:
    for dialect in (dialects.llamacpp_chat, dialects.vllm_chat, dialects.vllm_completions):
        assert not any(b'"usage"' in event for event in dialect(WORDS, with_usage=False))


def test_transformers_may_put_several_tokens_into_an_event() -> None:
    assert b'"completion_tokens":8' in dialects.transformers_chat(WORDS, tokens=8)[-1]


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (dialects.llamacpp_too_long(), 400, "exceeds the available context size (256 tokens)"),
        (dialects.llamacpp_wrong_key(), 401, "Invalid API Key"),
        (dialects.llamacpp_loading(), 503, "Loading model"),
        (dialects.vllm_too_long(), 400, "cannot be greater than max_model_len=2048"),
        (dialects.vllm_unknown_model(), 404, "The model `nope` does not exist."),
        (dialects.vllm_wrong_key(), 401, "Unauthorized"),
        (dialects.unknown_path(), 404, "Not Found"),
        (dialects.html_not_found(), 404, "<h1>404 Not Found</h1>"),
        (dialects.html_welcome(), 200, "Welcome"),
        (dialects.rate_limited(), 429, "Rate limit reached"),
        (dialects.overloaded(), 503, "upstream connect error"),
    ],
)
def test_error_answers_are_read_as_what_they_are(answer: Answer, status: int, said: str) -> None:
    with Scripted([answer]) as server:
        response = httpx.post(server.url, json={})
    assert response.status_code == status
    assert said in response.text


@pytest.mark.parametrize("answer", [dialects.rate_limited(3), dialects.overloaded(3)])
def test_retry_after_is_in_seconds(answer: Answer) -> None:
    with Scripted([answer]) as server:
        assert httpx.get(server.url).headers["retry-after"] == "3"


def test_an_error_can_come_inside_a_stream() -> None:
    events = [*dialects.vllm_chat(WORDS)[:2], dialects.stream_error("out of memory")]
    with Scripted([dialects.streamed(events)]) as server:
        response = httpx.post(server.url, json={})
    assert response.status_code == 200
    assert parsed(response)[-1]["error"]["message"] == "out of memory"

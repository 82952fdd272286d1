"""What the loopback server reads and answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.load.loopback import MODEL, Loopback
from pytest_inferbench.load.loopback.messages import Unreadable, take_request
from tests.load.loopback.talk import (
    CHAT,
    COMPLETIONS,
    QUICK,
    connected,
    events,
    post,
    read_all,
    texts,
)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback.start(QUICK) as running:
        yield running


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


def test_words_that_are_not_http_get_a_400_and_the_connection_ends(server: Loopback) -> None:
    with connected(server) as sock:
        sock.sendall(b"hello\r\n\r\n")
        answer = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"the first line is not a request line" in answer


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

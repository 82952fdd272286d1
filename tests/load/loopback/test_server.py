"""The loopback server's connections, and what it logs of them."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from pytest_inferbench.load.loopback import Loopback, Schedule
from tests.load.loopback.talk import (
    COMPLETIONS,
    QUICK,
    connected,
    post,
    raw,
    read_all,
    read_answers,
)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback.start(QUICK) as running:
        yield running


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

"""A connection holds one request at a time, and nothing of it afterwards."""

from __future__ import annotations

import gc
import socket
import weakref
from collections.abc import Iterator

import pytest

from pytest_inferbench.load.connection import Connection, Target
from tests.load.answers import events, head, plain, streamed

TARGET = Target(host="h", family=socket.AF_INET, address=("127.0.0.1", 9))


@pytest.fixture
def connection() -> Iterator[Connection]:
    made = Connection(TARGET, 5)
    yield made
    made.close()


def carried(connection: Connection, *pieces: bytes) -> Connection:
    connection.carry(3, b"request", 11, resends=1)
    for piece in pieces:
        connection.feed(piece)
    return connection


def test_a_new_connection_is_idle(connection: Connection) -> None:
    assert (connection.row, connection.opened_ns, connection.used, connection.connected) == (-1, 5, 0, False)
    assert not connection.sock.getblocking()
    assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_request_that_is_put_on_has_nothing_of_the_one_before(connection: Connection) -> None:
    carried(connection, *streamed(events(["a"])))
    connection.times.append(1)
    connection.data.append(b"x")
    connection.free()
    assert (connection.row, connection.used) == (-1, 1)
    connection.carry(4, b"next", 12, resends=0)
    assert (connection.row, connection.request, connection.intended_ns, connection.send_ns) == (4, b"next", 12, -1)
    assert (len(connection.times), connection.data, connection.finished, connection.resends) == (0, [], False, 0)


@pytest.mark.parametrize(
    ("pieces", "finished", "reusable"),
    [
        (streamed(events(["a"])), True, True),
        (streamed(events(["a"]))[:-1], False, False),
        ([plain(b"x")], True, True),
        ([plain(b"x", headers=[("Connection", "close")])], True, False),
        ([plain(b"x").replace(b"1.1", b"1.0")], True, False),
        ([plain(b"x").replace(b"1.1", b"1.0").replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n")], True, True),
        ([head(), b"until the end"], False, False),
        ([head(100, "Continue")], False, False),
        ([head(100, "Continue"), plain(b"x")], True, True),
        ([plain(b"x") + b"HTTP/1.1 200 OK\r\n"], True, False),
    ],
)
def test_the_end_of_an_answer_is_seen_and_whether_another_may_follow(
    connection: Connection, pieces: list[bytes], finished: bool, reusable: bool
) -> None:
    carried(connection, *pieces)
    assert (connection.finished, connection.reusable) == (finished, reusable)


def test_what_is_not_sent_yet_keeps_a_connection_from_being_used_again(connection: Connection) -> None:
    carried(connection, plain(b"early")).out = b"rest of the request"
    assert connection.finished
    assert not connection.reusable


def test_closing_lets_go_of_everything_without_the_garbage_collector() -> None:
    gc.disable()
    try:
        connection = carried(Connection(TARGET, 0), *streamed(events(["a"])))
        parser = weakref.ref(connection.parser) if hasattr(connection.parser, "__weakref__") else None
        connection.data.append(b"much")
        connection.close()
        assert (connection.parser, connection.data, connection.request) == (None, [], b"")
        assert parser is None or parser() is None
        assert connection.sock.fileno() == -1
    finally:
        gc.enable()

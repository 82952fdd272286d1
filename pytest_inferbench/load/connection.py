"""One connection of the wire client, and what it holds of the request that is on it."""

from __future__ import annotations

import socket
import ssl
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httptools

from pytest_inferbench.load.clock import ask_for_stamps
from pytest_inferbench.load.tls import TlsChannel


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where requests go: a resolved address, and a TLS context where the URL says https."""

    host: str
    family: socket.AddressFamily
    address: tuple[Any, ...]
    tls: ssl.SSLContext | None = None


class Connection:
    """
    A socket, and the request that is on it (``row`` is -1 while it is idle).

    Attributes are plain on purpose: the loop of `wire` reads and writes them for every token.
    """

    __slots__ = (
        "connect_error",
        "connect_wait_ns",
        "connected",
        "data",
        "fd",
        "feed",
        "finished",
        "intended_ns",
        "kept_alive",
        "opened_ns",
        "out",
        "overrun",
        "parser",
        "recvmsg",
        "request",
        "resends",
        "row",
        "send_ns",
        "sizes",
        "sock",
        "stamped",
        "times",
        "tls",
        "token_seen",
        "used",
    )

    def __init__(self, target: Target, opened_ns: int) -> None:
        self.sock = socket.socket(target.family, socket.SOCK_STREAM)
        self.sock.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stamped = ask_for_stamps(self.sock)
        self.fd = self.sock.fileno()
        self.recvmsg = self.sock.recvmsg
        self.tls = TlsChannel(target.tls, target.host) if target.tls is not None else None
        self.opened_ns = opened_ns
        self.connected = False
        self.connect_error = 0
        self.used = 0
        self.out = b""
        self.parser: Any = None
        self.feed: Callable[[bytes], object] = bytes
        self._clear()

    def _clear(self) -> None:
        self.row = -1
        self.request = b""
        self.intended_ns = self.send_ns = -1
        self.resends = 0
        self.connect_wait_ns = 0
        self.finished = self.kept_alive = self.overrun = False
        self.token_seen = False
        self.times: array[int] = array("q")
        self.sizes: array[int] = array("i")
        self.data: list[bytes] = []

    def carry(self, row: int, request: bytes, intended_ns: int, *, resends: int) -> None:
        """Put a request on this connection; nothing is sent yet."""
        self._clear()
        self.row = row
        self.request = request
        self.intended_ns = intended_ns
        self.resends = resends
        self.parser = httptools.HttpResponseParser(self)
        self.feed = self.parser.feed_data

    def free(self) -> None:
        """Take the request off; the connection is idle and may carry another."""
        self.used += 1
        self._clear()

    def close(self) -> None:
        """
        Close the socket and let go of the request.

        The parser holds this connection's methods: as the load runs without a garbage collector, that circle must be cut here,
        or every connection would stay in memory with all that was read on it.
        """
        self.sock.close()
        self.parser = None
        self.feed = bytes
        self._clear()

    def on_message_begin(self) -> None:
        """Called by the parser; a second answer to one request leaves nobody sure what the next one would belong to."""
        self.overrun = self.finished

    def on_message_complete(self) -> None:
        """Called by the parser at the end of an answer; an interim one (1xx) is followed by the real one."""
        self.finished = self.parser.get_status_code() >= 200
        # Only now: after this call llhttp has forgotten how the answer was framed, and says no.
        self.kept_alive = bool(self.parser.should_keep_alive())

    @property
    def reusable(self) -> bool:
        """The answer's end left the connection open for another request."""
        return self.finished and self.kept_alive and not self.overrun and not self.out

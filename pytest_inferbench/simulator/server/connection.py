"""
One client's connection: requests in, answers out, one after the other.

Rule: the only module that knows `httptools`; it decides nothing about what is answered.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

import httptools

BODY_BYTES_MAX = 64 * 1024 * 1024
HEAD_BYTES_MAX = 64 * 1024
PIPELINED_MAX = 64
END_CHUNK = b"0\r\n\r\n"
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(slots=True, kw_only=True)
class Request:
    """One request as it was read; header names in lower case."""

    method: str = ""
    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    keep_alive: bool = True


class Exchange(Protocol):
    """A request that is being answered."""

    def cancel(self) -> None:
        """The client is gone."""
        ...


class Handler(Protocol):
    """What answers requests: at once by `Connection.reply`, or later, and then it returns the exchange."""

    def __call__(self, request: Request, connection: Connection) -> Exchange | None:
        """Answer, or begin to."""
        ...


class Opened(Protocol):
    """What is told of connections."""

    def __call__(self, connection: Connection, *, is_open: bool) -> None:
        """One begins, or is over."""
        ...


class Connection(asyncio.Protocol):
    """
    A client.

    Args:
        handle: what answers.
        server: of the header of that name.
        opened: told when it begins and when it is over.
    """

    def __init__(self, handle: Handler, *, server: str, opened: Opened) -> None:
        self._handle = handle
        self._opened = opened
        self._head = f"server: {server}\r\n".encode()
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request()
        self._body: list[bytes] = []
        self._url = b""
        self._size = 0
        self._head_size = 0
        self._waiting: deque[Request] = deque()
        self._exchange: Exchange | None = None
        self._busy = False
        self._keep_alive = True
        self._transport: asyncio.Transport | None = None
        self.write: Callable[[bytes], None] = _nowhere

    # -- from the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self.write = transport.write
        self._opened(self, is_open=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what was being answered."""
        del exc
        self._opened(self, is_open=False)
        self._transport = None
        self.write = _nowhere
        self._waiting.clear()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.cancel()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            # Not the client's mistake but ours, and not to be taken for its own.
            raise (error.__context__ or error) from None
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse(400)

    # -- from the parser

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._request = Request()
        self._body = []
        self._url = b""
        self._size = self._head_size = 0

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        self._url += url
        self._grow_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._grow_head(len(name) + len(value))
        self._request.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Ask for the body where the client waits to be asked."""
        if self._request.headers.get("expect", "").lower() == "100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._size += len(body)
        if self._size > BODY_BYTES_MAX:
            self._refuse(413)
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Answer it, or have it wait for its turn."""
        if not self.is_open:
            return
        request = self._request
        request.method = self._parser.get_method().decode("ascii", "replace")
        request.path = self._url.partition(b"?")[0].decode("latin-1")
        request.body = b"".join(self._body)
        request.keep_alive = self._parser.should_keep_alive()
        if not self._busy:
            self._answer(request)
        elif len(self._waiting) < PIPELINED_MAX:
            self._waiting.append(request)
        else:
            self._refuse(503)

    # -- to the server

    @property
    def is_open(self) -> bool:
        """Whether the client is there."""
        return self._transport is not None and not self._transport.is_closing()

    def reply(self, status: int, body: bytes, *, content_type: str = "application/json", headers: str = "") -> None:
        """Answer whole, and go on to the next request."""
        head = f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n"
        self.write(head.encode() + headers.encode() + self._head + b"\r\n" + body)
        self.done()

    def stream_head(self) -> bytes:
        """What stands before a stream of events."""
        return (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
            b"transfer-encoding: chunked\r\n" + self._head + b"\r\n"
        )

    def done(self) -> None:
        """The answer is complete: the next request, or the end."""
        self._exchange = None
        self._busy = False
        if not self._keep_alive:
            self.close()
        elif self._waiting:
            self._answer(self._waiting.popleft())

    def close(self) -> None:
        """End when all is written."""
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """End at once, with a reset."""
        if self._transport is not None:
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self._transport.abort()

    def _answer(self, request: Request) -> None:
        self._busy = True
        self._keep_alive = request.keep_alive
        exchange = self._handle(request, self)
        # It may have been answered, and the next one begun, before this returns.
        if exchange is not None and self._busy:
            self._exchange = exchange

    def _grow_head(self, size: int) -> None:
        self._head_size += size
        if self._head_size > HEAD_BYTES_MAX:
            self._refuse(431)

    def _refuse(self, status: int) -> None:
        """What cannot be read ends the connection: nobody knows where the next request would begin."""
        if self.is_open:
            self._waiting.clear()
            self._keep_alive = False
            if not self._busy:
                self.reply(status, b"", content_type="text/plain")
            self.close()


def _nowhere(data: bytes) -> None:
    del data


def chunk(data: bytes) -> bytes:
    """Data framed as a chunk of HTTP."""
    return b"%x\r\n%b\r\n" % (len(data), data)

"""HTTP/1.1 framing: a request's head in bytes, and a recorded answer taken apart by llhttp; no I/O, no clock."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import httptools

from pytest_inferbench.errors import LoadError


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    A recorded answer without its framing.

    Attributes:
        status: HTTP status; 0 where not even the head came.
        headers: names in lower case; of repeated ones the last.
        pieces: pieces of the body and the time of the read that brought each.
        complete: the message ended as its own framing says.
        until_close: only the end of the connection ends this answer (no length, not chunked).
        problem: what could not be read (by llhttp, or of its compression), or None.
    """

    status: int
    headers: dict[str, str]
    pieces: list[tuple[bytes, int]]
    complete: bool
    until_close: bool
    problem: str | None

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(piece for piece, _ in self.pieces)


class _Reader:
    """
    Collects what llhttp reports of one answer; ``time_ns`` is set before each read is fed.

    An interim answer (1xx) is forgotten when it ends: the real one follows. Nothing after the real one's end is taken in.
    """

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.headers: dict[str, str] = {}
        self.pieces: list[tuple[bytes, int]] = []
        self.status = 0
        self.complete = False
        self.time_ns = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers come here too, and must not hide a header.
        if not self.status:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1").strip()

    def on_headers_complete(self) -> None:
        if not self.complete:
            self.status = self.parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        if not self.complete:
            self.pieces.append((body, self.time_ns))

    def on_message_complete(self) -> None:
        if self.status >= HTTPStatus.OK:
            self.complete = True
        else:
            self.headers.clear()
            self.status = 0


def request_head(method: str, path: str, host: str, headers: Sequence[tuple[str, str]]) -> bytes:
    """
    A request's head up to where the client adds the request's own headers; ends after a header line.

    Raises:
        LoadError: a header would break the framing (a line break in it), or is not ASCII.
    """
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers)]
    if any(character in line for line in lines for character in "\r\n\0"):
        raise LoadError(
            "a header, host or path has a line break in it; check the headers and the environment variable of the key"
        )
    try:
        return ("\r\n".join(lines) + "\r\n").encode("ascii")
    except UnicodeEncodeError:
        # The header itself may be a key: say where, not what.
        raise LoadError(
            "a header, host or path is not plain ASCII; check the URL and the environment variable of the key"
        ) from None


def read_answer(times_ns: array[int], sizes: array[int], data: bytes) -> Answer:
    """Take a recorded answer apart; what was read before a problem is kept."""
    reader = _Reader()
    problem = _feed(reader, zip(times_ns, sizes, strict=True), data)
    # The parser holds the reader's methods: without this, only the garbage collector could free the answer.
    del reader.parser
    headers = reader.headers
    has_end = "content-length" in headers or "chunked" in headers.get("transfer-encoding", "").lower()
    pieces, damage = _decompressed(reader.pieces, headers.get("content-encoding", "").lower())
    return Answer(
        status=reader.status,
        headers=headers,
        pieces=pieces,
        complete=reader.complete,
        until_close=bool(reader.status) and not has_end,
        problem=problem or damage,
    )


def _feed(reader: _Reader, reads: Iterable[tuple[int, int]], data: bytes) -> str | None:
    """Give every read to llhttp, until the answer's end; returns what it could not read."""
    feed = reader.parser.feed_data
    at = 0
    try:
        for reader.time_ns, size in reads:
            feed(data[at : at + size])
            at += size
            if reader.complete:
                break
    except httptools.HttpParserUpgrade:
        return "it changes the protocol"
    except httptools.HttpParserError as error:
        # What follows a whole answer is no part of it.
        return None if reader.complete else str(error) or type(error).__name__
    return None


def _decompressed(pieces: list[tuple[bytes, int]], encoding: str) -> tuple[list[tuple[bytes, int]], str | None]:
    """Pieces as they were before gzip or deflate, and what is wrong with them."""
    if encoding in ("", "identity"):
        return pieces, None
    if encoding not in ("gzip", "x-gzip", "deflate"):
        return pieces, f"its content-encoding {encoding!r} was not asked for"
    inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    plain = []
    try:
        for piece, time_ns in pieces:
            plain.append((inflate.decompress(piece), time_ns))
    except zlib.error as error:
        return plain, f"its {encoding} is damaged: {error}"
    return plain, None

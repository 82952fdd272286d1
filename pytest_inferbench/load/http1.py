"""HTTP/1.1 framing: a request's head in bytes, and a recorded answer taken apart by llhttp; no I/O, no clock."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
        problem: what llhttp could not read, or None.
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
    """Collects what llhttp reports; ``time_ns`` is set before each read is fed."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.pieces: list[tuple[bytes, int]] = []
        self.head_done = False
        self.complete = False
        self.time_ns = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1").strip()

    def on_headers_complete(self) -> None:
        self.head_done = True

    def on_body(self, body: bytes) -> None:
        self.pieces.append((body, self.time_ns))

    def on_message_complete(self) -> None:
        self.complete = True


def request_head(method: str, path: str, host: str, headers: Sequence[tuple[str, str]]) -> bytes:
    """
    A request's head up to where the client adds the request's own headers; ends after a header line.

    Raises:
        LoadError: a header would break the framing (a line break in it).
    """
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers)]
    if any(character in line for line in lines for character in "\r\n\0"):
        raise LoadError(
            "a header, host or path has a line break in it; check the headers and the environment variable of the key"
        )
    return ("\r\n".join(lines) + "\r\n").encode("latin-1", errors="replace")


def read_answer(times_ns: array[int], sizes: array[int], data: bytes) -> Answer:
    """Take a recorded answer apart; what was read before a problem is kept."""
    reader = _Reader()
    parser = httptools.HttpResponseParser(reader)
    problem = None
    at = 0
    try:
        for time_ns, size in zip(times_ns, sizes, strict=True):
            reader.time_ns = time_ns
            parser.feed_data(data[at : at + size])
            at += size
            if reader.complete:
                break
    except httptools.HttpParserError as error:
        problem = str(error) or type(error).__name__
    headers = reader.headers
    until_close = (
        reader.head_done and "content-length" not in headers and "chunked" not in headers.get("transfer-encoding", "").lower()
    )
    return Answer(
        status=parser.get_status_code() if reader.head_done else 0,
        headers=headers,
        pieces=list(_decompressed(reader.pieces, headers.get("content-encoding", ""))),
        complete=reader.complete,
        until_close=until_close,
        problem=problem,
    )


def _decompressed(pieces: list[tuple[bytes, int]], encoding: str) -> Iterator[tuple[bytes, int]]:
    """Pieces as they were before gzip or deflate; anything else is passed on as it is."""
    if encoding.lower() not in ("gzip", "x-gzip", "deflate"):
        yield from pieces
        return
    inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    for piece, time_ns in pieces:
        try:
            yield inflate.decompress(piece), time_ns
        except zlib.error:
            return

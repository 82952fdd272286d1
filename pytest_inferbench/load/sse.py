"""
Server-sent events: bytes and times in, events and times out; no I/O, no clock.

The grammar is the HTML standard's (section 9.2.6, "Interpreting an event stream"): lines end in LF, CRLF or CR, a blank line
ends an event, lines that start with a colon are comments. Only ``data`` and ``event`` matter here.
"""

from __future__ import annotations

from typing import NamedTuple

_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event: its data, the time of the byte that completed it, and its type where it has one."""

    data: bytes
    time_ns: int
    kind: bytes = b""


class EventReader:
    """
    Turns pieces of a stream, cut anywhere, into events; the time of an event is that of the piece that ended it.

    What is held of an unfinished event is a list of pieces, joined once: an event of megabytes costs no more a byte.
    """

    __slots__ = ("_after_cr", "_at_start", "_held", "_last_ns")

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._at_start = True
        # A piece ended in CR: an LF at the start of the next one belongs to it.
        self._after_cr = False
        self._last_ns = 0

    def feed(self, piece: bytes, time_ns: int) -> list[Event]:
        """The events that this piece completes."""
        # Nearly every piece of nearly every server is exactly one event.
        if piece[:6] == b"data: " and piece.find(b"\n") == len(piece) - 2 and piece[-1] == 10 and self._is_plain(piece):
            self._at_start = False
            return [Event(piece[6:-2], time_ns)]
        return self._feed_slowly(piece, time_ns)

    def close(self) -> list[Event]:
        """The last event, where the stream ended without its blank line; its time is that of the last piece."""
        event = _event(b"".join(self._held), self._last_ns)
        self._held.clear()
        return [] if event is None else [event]

    def _is_plain(self, piece: bytes) -> bool:
        return not self._held and not self._after_cr and b"\r" not in piece

    def _feed_slowly(self, piece: bytes, time_ns: int) -> list[Event]:
        if not piece:
            return []
        self._last_ns = time_ns
        text = self._with_line_feeds(piece)
        if self._at_start:
            text = self._without_bom(text)
        if not text:
            return []
        # No other place than the seam or the piece itself can have the blank line.
        ends = b"\n\n" in text or (text[:1] == b"\n" and bool(self._held) and self._held[-1][-1:] == b"\n")
        self._held.append(text)
        if not ends:
            return []
        *blocks, rest = b"".join(self._held).split(b"\n\n")
        self._held = [rest] if rest else []
        return [event for event in (_event(block, time_ns) for block in blocks) if event is not None]

    def _with_line_feeds(self, piece: bytes) -> bytes:
        second_half = self._after_cr and piece[:1] == b"\n"
        self._after_cr = piece[-1:] == b"\r"
        return piece[second_half:].replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _without_bom(self, text: bytes) -> bytes:
        """The beginning of the stream without its byte order mark; nothing while it may still become one."""
        text = b"".join(self._held) + text
        self._held.clear()
        if len(text) < len(_BOM) and _BOM.startswith(text):
            self._held = [text] if text else []
            return b""
        self._at_start = False
        return text.removeprefix(_BOM)


def _event(block: bytes, time_ns: int) -> Event | None:
    data: list[bytes] = []
    kind = b""
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            kind = value
    return Event(b"\n".join(data), time_ns, kind) if data else None

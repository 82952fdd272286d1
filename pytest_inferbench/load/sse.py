"""
Server-sent events: bytes and times in, events and times out; no I/O, no clock.

The grammar is the HTML standard's (section 9.2.6, "Interpreting an event stream"): lines end in LF, CRLF or CR, a blank line
ends an event, lines that start with a colon are comments. Only ``data`` and ``event`` matter here.
"""

from __future__ import annotations

from typing import NamedTuple


class Event(NamedTuple):
    """One event: its data, the time of the byte that completed it, and its type where it has one."""

    data: bytes
    time_ns: int
    kind: bytes = b""


class EventReader:
    """Turns pieces of a stream, cut anywhere, into events; the time of an event is that of the piece that ended it."""

    __slots__ = ("_after_cr", "_at_start", "_held")

    def __init__(self) -> None:
        self._held = b""
        self._at_start = True
        # A piece ended in CR: an LF at the start of the next one belongs to it.
        self._after_cr = False

    def feed(self, piece: bytes, time_ns: int) -> list[Event]:
        """The events that this piece completes."""
        # Nearly every piece of nearly every server is exactly one event.
        if not self._held and piece.startswith(b"data: ") and piece.find(b"\n") == len(piece) - 2 and piece.endswith(b"\n\n"):
            self._at_start = False
            return [Event(piece[6:-2], time_ns)]
        return self._feed_slowly(piece, time_ns)

    def close(self, time_ns: int) -> list[Event]:
        """The last event, where the stream ended without its blank line."""
        if not self._held.strip():
            return []
        event = _event(self._held, time_ns)
        self._held = b""
        return [] if event is None else [event]

    def _feed_slowly(self, piece: bytes, time_ns: int) -> list[Event]:
        if self._after_cr and piece.startswith(b"\n"):
            piece = piece[1:]
        self._after_cr = piece.endswith(b"\r") if piece else self._after_cr
        text = self._held + piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if self._at_start:
            if text in b"\xef\xbb\xbf":
                self._held = text
                return []
            text = text.removeprefix(b"\xef\xbb\xbf")
            self._at_start = False
        *blocks, self._held = text.split(b"\n\n")
        return [event for event in (_event(block, time_ns) for block in blocks) if event is not None]


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

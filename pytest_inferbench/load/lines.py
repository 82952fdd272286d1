"""Streams of one JSON document a line: bytes and times in, events and times out; no I/O, no clock."""

from __future__ import annotations

from pytest_inferbench.load.sse import Event


class LineReader:
    """Turns pieces of a stream, cut anywhere, into its lines; the time of a line is that of the piece that ended it."""

    __slots__ = ("_held", "_last_ns")

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._last_ns = 0

    def feed(self, piece: bytes, time_ns: int) -> list[Event]:
        """The lines that this piece completes; blank ones are left out."""
        self._last_ns = time_ns
        self._held.append(piece)
        if b"\n" not in piece:
            return []
        *lines, rest = b"".join(self._held).split(b"\n")
        self._held = [rest] if rest else []
        return [Event(line, time_ns) for line in lines if line.strip()]

    def close(self) -> list[Event]:
        """The last line, where the stream ended without a line feed; its time is that of the last piece."""
        line = b"".join(self._held)
        self._held.clear()
        return [Event(line, self._last_ns)] if line.strip() else []

"""
What the wire client keeps of a request: bytes and the times they came, in a file.

Rule: nothing is understood here. A recording is appended in one piece, so that a load process which is killed leaves every
earlier one readable.
"""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from pytest_inferbench.errors import LoadError

_HEAD = struct.Struct("<4sqqqqqqBBII")
_MAGIC = b"REC3"


class Ending(IntEnum):
    """How the exchange on the wire ended, before anybody looked at what was said."""

    COMPLETE = 0
    CLOSED = 1
    RESET = 2
    NOT_HTTP = 3
    CONNECT_FAILED = 4
    CONNECT_TIMEOUT = 5
    FIRST_TOKEN_TIMEOUT = 6
    STALL_TIMEOUT = 7
    TOTAL_TIMEOUT = 8
    CANCELLED = 9
    TLS_FAILED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """
    One request as it went over the wire.

    Attributes:
        row: its place in the plan.
        intended_send_ns: when it was to be sent.
        send_ns: when its first byte was handed to the kernel; -1 where it never was.
        end_ns: the last byte of the answer, or when it was given up.
        ending: how the exchange ended.
        resends: times it was sent again on a new connection.
        cap_wait_ns: how long it waited, after it was to be sent, for its turn under the cap on requests in flight.
        connect_wait_ns: how long the connection took that was opened for it, until it could be sent; 0 where it took an open one.
        times_ns: time of each read.
        sizes: bytes of each read.
        data: all bytes of the answer, one after the other.
        note: the operating system's words, where it failed.
    """

    row: int
    intended_send_ns: int
    send_ns: int
    end_ns: int
    ending: Ending
    resends: int
    times_ns: array[int]
    sizes: array[int]
    data: bytes
    note: str = ""
    cap_wait_ns: int = 0
    connect_wait_ns: int = 0


def pack(recording: Recording) -> bytes:
    """The recording as one piece of bytes."""
    note = recording.note.encode()[:255]
    head = _HEAD.pack(
        _MAGIC,
        recording.row,
        recording.intended_send_ns,
        recording.send_ns,
        recording.end_ns,
        recording.cap_wait_ns,
        recording.connect_wait_ns,
        recording.ending,
        len(note),
        recording.resends << 24 | len(recording.times_ns),
        len(recording.data),
    )
    return b"".join((head, note, recording.times_ns.tobytes(), recording.sizes.tobytes(), recording.data))


class Readable(Protocol):
    """What recordings are read from."""

    def read(self, size: int, /) -> bytes:
        """Up to so many bytes; fewer at the end."""
        ...

    def tell(self) -> int:
        """The place of the next byte."""
        ...


class Tail:
    """
    What is appended to a file by somebody else, read while that one goes on.

    A load process writes where its descriptor stands, and shares that place with the one who gave it the file: so nothing here
    moves it.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._at = 0

    def read(self, size: int, /) -> bytes:
        """Up to so many bytes; fewer at what is the end now."""
        data = os.pread(self.descriptor, size, self._at)
        self._at += len(data)
        return data

    def tell(self) -> int:
        """The place of the next byte."""
        return self._at

    def seek(self, at: int) -> None:
        """Go on from another place."""
        self._at = at

    def recordings(self) -> Iterator[Recording]:
        """
        Every whole recording that came since; one that is being written is left for the next time.

        Raises:
            LoadError: as for `read_recordings`.
        """
        whole = self._at
        try:
            for recording in read_recordings(self):
                whole = self._at
                yield recording
        finally:
            self._at = whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Glimpse:
    """A recording that was not read: its place in its file, its row, and when its request ended."""

    descriptor: int
    at: int
    row: int
    end_ns: int


def glimpses(tail: Tail) -> list[Glimpse]:
    """
    The whole recordings that came since, each by its first bytes only; what is damaged is not looked at any more.

    The tail moves on behind them.
    """
    found = []
    size = os.fstat(tail.descriptor).st_size
    while len(head := os.pread(tail.descriptor, _HEAD.size, at := tail.tell())) == _HEAD.size:
        magic, row, _, _, end_ns, _, _, _, note_size, counts, data_size = _HEAD.unpack(head)
        after = at + _HEAD.size + note_size + (counts & 0xFFFFFF) * 12 + data_size
        if magic != _MAGIC or after > size:
            break
        found.append(Glimpse(descriptor=tail.descriptor, at=at, row=row, end_ns=end_ns))
        tail.seek(after)
    return found


def read_glimpse(glimpse: Glimpse) -> Recording:
    """The recording itself."""
    tail = Tail(glimpse.descriptor)
    tail.seek(glimpse.at)
    return next(read_recordings(tail))


def read_recordings(file: Readable) -> Iterator[Recording]:
    """
    Every whole recording of a file, in the order of their ends; a last one that was cut is left out.

    Raises:
        LoadError: the file is damaged; what follows the damage would be lost from the books.
    """
    while len(head := file.read(_HEAD.size)) == _HEAD.size:
        magic, row, intended, send, end, cap_wait, connect_wait, ending, note_size, counts, data_size = _HEAD.unpack(head)
        reads = counts & 0xFFFFFF
        rest = file.read(note_size + reads * 12 + data_size)
        if magic != _MAGIC:
            raise LoadError(f"the recordings are damaged at byte {file.tell() - len(rest) - _HEAD.size}; run again")
        if len(rest) < note_size + reads * 12 + data_size:
            return
        times_at = note_size
        sizes_at = times_at + reads * 8
        data_at = sizes_at + reads * 4
        yield Recording(
            row=row,
            intended_send_ns=intended,
            send_ns=send,
            end_ns=end,
            ending=Ending(ending),
            resends=counts >> 24,
            times_ns=array("q", rest[times_at:sizes_at]),
            sizes=array("i", rest[sizes_at:data_at]),
            data=rest[data_at:],
            note=rest[:note_size].decode(errors="replace"),
            cap_wait_ns=cap_wait,
            connect_wait_ns=connect_wait,
        )

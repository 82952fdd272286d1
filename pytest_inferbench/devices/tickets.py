"""
A queue of this host: first come, first served, among processes of all users.

Rule: a place in the queue is a lock of the kernel's on one byte of a shared file, so that whoever dies leaves the queue.
Nothing is written: byte *n* is place *n*, and the lowest byte that is locked is the head. Two processes that come in the same
instant may both think for a moment that they are the head, so the queue makes the order fair, and does not guard anything.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

from pytest_inferbench.devices.lock_file import open_file
from pytest_inferbench.errors import DeviceError

# struct flock of Linux on 64 bits (fcntl(2)): type, whence, start, length, process; the kernel wants 0 for the process here.
_FLOCK = struct.Struct("hhqqi4x")
# Locks of an open file and not of a process: two threads are two places in the queue. Only Linux has them; elsewhere nobody
# queues, and whoever asks at the right moment is next.
_HAS_QUEUES = hasattr(fcntl, "F_OFD_SETLK")
_TO_THE_END = 0
_PLACES_MAX = 1_000_000


class Ticket:
    """
    A place in a queue, at its end; left with `close`, at the end of a ``with`` block, or by dying.

    Raises:
        DeviceError: the queue's file cannot be opened or locked, or cannot be trusted.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = open_file(path)
        try:
            self._place = self._last_place() if _HAS_QUEUES else 0
        except BaseException:
            os.close(self._fd)
            raise

    def is_first(self) -> bool:
        """Whether nobody is ahead."""
        return self._place == 0 or self._taken(start=0, length=self._place) is None

    def close(self) -> None:
        """Leave the queue."""
        if _HAS_QUEUES:
            fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, 0, _TO_THE_END, 0))
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _last_place(self) -> int:
        place = 0
        while place < _PLACES_MAX:
            taken = self._taken(start=place, length=_TO_THE_END)
            if taken is not None:
                place = taken + 1
            elif self._try_take(place):
                return place
        raise DeviceError(f"the queue {self._path} has no end; remove the file, if it is nobody's")

    def _taken(self, *, start: int, length: int) -> int | None:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
        try:
            kind, _, found, *_ = _FLOCK.unpack(fcntl.fcntl(self._fd, fcntl.F_OFD_GETLK, asked))
        except OSError as error:
            raise self._trouble(error) from error
        return None if kind == fcntl.F_UNLCK else int(found)

    def _try_take(self, place: int) -> bool:
        try:
            fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0))
        except OSError as error:
            if error.errno in {errno.EAGAIN, errno.EACCES}:
                return False
            raise self._trouble(error) from error
        return True

    def _trouble(self, error: OSError) -> DeviceError:
        return DeviceError(f"{self._path} cannot be locked: {error.strerror}; it must lie on a local file system")

"""
What to send next, and when: the plan's rows handed out to one load process.

Rule: a schedule never waits and never looks at answers; in an open loop its instants are those of the plan, come what may.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from typing import Protocol

from pytest_inferbench.load.clock import monotonic_ns
from pytest_inferbench.load.row import ROW

_BLOCK = 4096
_STARVED_RETRY_NS = 1_000_000


class Rows:
    """
    The rows of a plan that belong to one of several load processes: every ``stride``-th from ``first``, up to ``end``.

    ``end`` moves up while the plan grows; ``complete`` says that it will not any more. ``closed``: no more are handed out, though
    there are some.
    """

    def __init__(self, descriptors: tuple[int, int], *, first: int, stride: int, end: int, complete: bool) -> None:
        self._rows_fd, self._bodies_fd = descriptors
        self.next = first
        self._stride = stride
        self.end = end
        self.complete = complete
        self.closed = False
        self._block = b""
        self._block_first = 0

    @property
    def available(self) -> bool:
        """There is a next row now."""
        return self.next < self.end

    @property
    def exhausted(self) -> bool:
        """There is no next row, and there never will be."""
        return self.complete and self.next >= self.end

    def close(self) -> None:
        """Hand out no more: what was begun ends, and nothing begins."""
        self.closed = self.complete = True
        self.end = 0

    def due_ns(self) -> int:
        """When the next row is to be sent, from the start of the load."""
        return self.row(self.next)[0]

    def take(self) -> tuple[int, bytes]:
        """The next row's number and its body; moves on."""
        number = self.next
        self.next += self._stride
        return number, self.body(number)

    def body(self, number: int) -> bytes:
        """The body of any row that is there."""
        _, offset, size, *_ = self.row(number)
        return os.pread(self._bodies_fd, size, offset)

    def row(self, number: int) -> tuple[int, ...]:
        """Any row that is there, as `row.ROW` has it."""
        at = (number - self._block_first) * ROW.size
        # The file may end in half a row while its writer is at work.
        if not 0 <= at <= len(self._block) - ROW.size:
            self._block_first = number
            self._block = os.pread(self._rows_fd, _BLOCK * ROW.size, number * ROW.size)
            at = 0
        return ROW.unpack_from(self._block, at)


class Schedule(Protocol):
    """Says what to send next."""

    def next_ns(self) -> int | None:
        """When the next request may go (perhaps in the past), or None when there is nothing to send now or ever."""
        ...

    def take(self) -> tuple[int, bytes, int]:
        """The next request: row number, body, intended send time."""
        ...

    def over(self) -> bool:
        """Nothing more will be sent."""
        ...


class OpenSchedule:
    """An open loop: each row at its own instant after ``start_ns``."""

    def __init__(self, rows: Rows, start_ns: int) -> None:
        self._rows = rows
        self._start_ns = start_ns

    def next_ns(self) -> int | None:
        """The next row's instant."""
        return self._start_ns + self._rows.due_ns() if self._rows.available else None

    def take(self) -> tuple[int, bytes, int]:
        """The next row, intended for its instant."""
        due_ns = self._rows.due_ns()
        number, body = self._rows.take()
        return number, body, self._start_ns + due_ns

    def over(self) -> bool:
        """All rows are sent."""
        return self._rows.exhausted


class CappedSchedule(OpenSchedule):
    """
    An open loop with so many slots: a row that is due waits until one is free.

    ``freed_ns`` holds the instant at which each free slot became so; a row still counts from its own instant. ``waits_ns`` says
    of each row that had to wait how long that was; whoever keeps the row's recording takes it out.
    """

    def __init__(self, rows: Rows, start_ns: int, freed_ns: deque[int]) -> None:
        super().__init__(rows, start_ns)
        self._freed_ns = freed_ns
        self.waits_ns: dict[int, int] = {}

    def next_ns(self) -> int | None:
        """The next row's instant, or that at which a slot became free for it."""
        due_ns = super().next_ns() if self._freed_ns else None
        return None if due_ns is None else max(due_ns, self._freed_ns[0])

    def take(self) -> tuple[int, bytes, int]:
        """The next row, intended for its instant."""
        number, body, due_ns = super().take()
        freed_ns = self._freed_ns.popleft()
        if freed_ns > due_ns:
            self.waits_ns[number] = freed_ns - due_ns
        return number, body, due_ns


class ClosedSchedule:
    """
    A closed loop: a user sends when it is free; ``freed_ns`` holds the instant at which each free user became so.

    ``starts_ns`` are the instants at which further users begin, ascending. Nothing is sent from ``stop_ns`` on. ``starved_ns``
    counts the time in which a user was free and the plan had no row yet.
    """

    def __init__(self, rows: Rows, freed_ns: deque[int], *, stop_ns: int | None, starts_ns: Iterable[int] = ()) -> None:
        self._rows = rows
        self._freed_ns = freed_ns
        self._starts_ns = deque(starts_ns)
        self._stop_ns = stop_ns
        self._starved_since_ns = 0
        self._starved_ns = 0

    @property
    def starved_ns(self) -> int:
        """How long a free user has waited for the plan, up to now."""
        since_ns = self._starved_since_ns
        return self._starved_ns + (monotonic_ns() - since_ns if since_ns else 0)

    def next_ns(self) -> int | None:
        """The instant at which the first free user became free; a little later while the plan has no row for it."""
        users_ns = self._first()
        if not users_ns:
            return None
        if self.over():
            self._fed()
            return None
        if self._rows.available:
            self._fed()
            return users_ns[0]
        now_ns = monotonic_ns()
        if users_ns[0] > now_ns:
            self._fed()
            return users_ns[0]
        self._starved_since_ns = self._starved_since_ns or now_ns
        return now_ns + _STARVED_RETRY_NS

    def take(self) -> tuple[int, bytes, int]:
        """The next row, intended for the instant at which its user became free."""
        number, body = self._rows.take()
        return number, body, self._first().popleft()

    def over(self) -> bool:
        """All rows are sent, or the time is up."""
        return self._rows.exhausted or (self._stop_ns is not None and monotonic_ns() >= self._stop_ns)

    def _first(self) -> deque[int]:
        """Of those that begin and those that are free again the ones of whom the first is the earlier; empty where nobody is."""
        starts_ns, freed_ns = self._starts_ns, self._freed_ns
        if starts_ns and (not freed_ns or starts_ns[0] <= freed_ns[0]):
            return starts_ns
        return freed_ns

    def _fed(self) -> None:
        self._starved_ns = self.starved_ns
        self._starved_since_ns = 0

"""
How bytes get from an exchange to its connection: at once, or held back as a fault wants it.

Rule: whatever is held back keeps its order; the step model does not know that it is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Protocol

from pytest_inferbench.simulator.faults import RequestFault
from pytest_inferbench.simulator.server.connection import Connection


class Delivery(Protocol):
    """What writes to a connection."""

    @property
    def write(self) -> Callable[[bytes], None]:
        """Write bytes."""
        ...

    def reply(self, status: int, body: bytes) -> None:
        """Answer whole."""
        ...

    def then(self, do: Callable[[], None]) -> None:
        """Do something when all before is written."""
        ...

    def hold(self, pause_s: float) -> None:
        """Write nothing more for so long; infinite: ever."""
        ...


class Direct:
    """All at once."""

    def __init__(self, connection: Connection) -> None:
        self.write = connection.write
        self.reply = connection.reply

    def then(self, do: Callable[[], None]) -> None:
        """Now."""
        do()

    def hold(self, pause_s: float) -> None:
        """Hold nothing: what a fault wants goes through `Slow`."""
        raise NotImplementedError(f"a direct delivery cannot wait {pause_s:g} s")


class Slow:
    """
    Each write after the pause that its size takes, and after whatever holds it back.

    Args:
        connection: written to.
        fault: how slow.
        loop: whose timers wait.
    """

    def __init__(self, connection: Connection, fault: RequestFault, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection
        self._fault = fault
        self._loop = loop
        self._queue: deque[tuple[float, Callable[[], None]]] = deque()
        self._waits = False

    def write(self, data: bytes) -> None:
        """Write bytes when it is their turn."""
        self._put(self._fault.write_pause_s(len(data)), lambda: self._connection.write(data))

    def reply(self, status: int, body: bytes) -> None:
        """Answer whole when it is its turn."""
        self._put(self._fault.write_pause_s(len(body)), partial(self._connection.reply, status, body))

    def then(self, do: Callable[[], None]) -> None:
        """Do something when it is its turn."""
        self._put(0.0, do)

    def hold(self, pause_s: float) -> None:
        """Let the next turn come so much later."""
        self._put(pause_s, lambda: None)

    def _put(self, pause_s: float, do: Callable[[], None]) -> None:
        self._queue.append((pause_s, do))
        if not self._waits:
            self._next()

    def _next(self) -> None:
        while self._queue and not self._waits:
            pause_s, do = self._queue.popleft()
            if pause_s == inf:
                self._waits = True
            elif pause_s > 0:
                self._waits = True
                self._loop.call_later(pause_s, self._turn, do)
            else:
                do()

    def _turn(self, do: Callable[[], None]) -> None:
        self._waits = False
        if self._connection.is_open:
            do()
            self._next()

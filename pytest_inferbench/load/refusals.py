"""
Connections that the server refuses: how long a user rests before the next try, and when there is no point in any.

Rule: no clock and no socket; the wire client says what happened when.
"""

from __future__ import annotations

_FIRST_PAUSE_NS = 1_000_000
_LONGEST_PAUSE_NS = 1_000_000_000
_DOUBLINGS_MAX = 10


class Refusals:
    """
    Refusals without anything else between them.

    Each user whose connection is refused rests, 1 ms at first and twice as long after every further one, up to a second; with
    several ``users`` a round of refusals counts as one. Without users (an open loop sends at its own instants) nobody rests.
    """

    def __init__(self, users: int | None = None) -> None:
        self._users = users
        self._count = 0
        self._since_ns = 0

    def refused(self, now_ns: int) -> int:
        """One more; returns how long its user rests, in ns."""
        if not self._count:
            self._since_ns = now_ns
        self._count += 1
        if not self._users:
            return 0
        rounds = (self._count - 1) // self._users
        return min(_LONGEST_PAUSE_NS, _FIRST_PAUSE_NS << min(rounds, _DOUBLINGS_MAX))

    def heard(self) -> None:
        """The server took a connection, or answered on one."""
        self._count = 0

    def lasted_ns(self, now_ns: int) -> int:
        """For how long nothing but refusals came, up to now; 0 where the last thing was none."""
        return now_ns - self._since_ns if self._count else 0

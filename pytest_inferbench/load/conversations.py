"""
What to send next where requests are turns of conversations: each user's next turn comes some time after the last one has ended.

Rule: as in `schedule`: nothing waits here, and answers are not looked at; that a turn has ended, and when, is all that counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush

from pytest_inferbench.load.clock import monotonic_ns
from pytest_inferbench.load.row import FIRST
from pytest_inferbench.load.schedule import Rows

_STARVED_RETRY_NS = 1_000_000


class ConversationSchedule:
    """
    Conversations of one load process; ``rows`` hands out their first turns, and is asked for the others by number.

    Args:
        rows: steps from the first turn of a conversation of this process to that of the next; a plan grows by
            whole ones.
        ended: rows that have ended, with the instant of that; taken from here as they come.
        start_ns: the load's start.
        users_ns: in a closed loop, the instants at which users begin, ascending; each goes on to a new conversation when its last
            one is over. None: an open loop, in which conversations begin at their own instants.
        stop_ns: in a closed loop, the instant from which on nothing is sent. An open loop ends its conversations.
    """

    def __init__(
        self,
        rows: Rows,
        ended: deque[tuple[int, int]],
        *,
        start_ns: int,
        users_ns: Iterable[int] | None = None,
        stop_ns: int | None = None,
    ) -> None:
        self._rows = rows
        self._ended = ended
        self._start_ns = start_ns
        self._closed = users_ns is not None
        self._stop_ns = stop_ns
        self._free_ns = list(users_ns or ())
        self._turns: list[tuple[int, int]] = []
        self._starved_since_ns = 0
        self._starved_ns = 0

    @property
    def starved_ns(self) -> int:
        """How long a free user has waited for the plan, up to now."""
        since_ns = self._starved_since_ns
        return self._starved_ns + (monotonic_ns() - since_ns if since_ns else 0)

    def next_ns(self) -> int | None:
        """When the next turn is due, or a conversation begins; a little later while the plan has no row for it."""
        self._take_ended()
        if self._stopped():
            self._fed()
            return None
        begins_ns = self._begins_ns()
        if begins_ns is None or self._rows.available:
            self._fed()
        else:
            now_ns = monotonic_ns()
            if begins_ns <= now_ns:
                self._starved_since_ns = self._starved_since_ns or now_ns
                begins_ns = now_ns + _STARVED_RETRY_NS
        return min((each for each in (begins_ns, self._turn_ns()) if each is not None), default=None)

    def take(self) -> tuple[int, bytes, int]:
        """The next request: row number, body, intended send time."""
        begins_ns = self._begins_ns() if self._rows.available else None
        turn_ns = self._turn_ns()
        if turn_ns is not None and (begins_ns is None or turn_ns <= begins_ns):
            _, number = heappop(self._turns)
            return number, self._rows.body(number), turn_ns
        if begins_ns is None:
            raise IndexError("there is no request to take")
        if self._closed:
            heappop(self._free_ns)
        number, body = self._rows.take()
        return number, body, begins_ns

    def over(self) -> bool:
        """Nothing more will be sent, unless what is on the wire is followed by another turn."""
        self._take_ended()
        return self._stopped() or (self._rows.exhausted and not self._turns)

    def _stopped(self) -> bool:
        return self._rows.closed or (self._stop_ns is not None and monotonic_ns() >= self._stop_ns)

    def _take_ended(self) -> None:
        """Put the next turn of every conversation whose last one has ended on the list; a user without one is free."""
        while self._ended:
            number, end_ns = self._ended.popleft()
            think_ns = self._think_ns(number + 1)
            if think_ns is not None:
                heappush(self._turns, (end_ns + think_ns, number + 1))
            elif self._closed:
                heappush(self._free_ns, end_ns)

    def _think_ns(self, number: int) -> int | None:
        """The time before a row that follows the one before it; None where it begins another conversation, or is not there."""
        if number >= self._rows.end:
            return None
        due_ns, _, _, _, _, after, _ = self._rows.row(number)
        return None if after == FIRST else due_ns

    def _turn_ns(self) -> int | None:
        return self._turns[0][0] if self._turns else None

    def _begins_ns(self) -> int | None:
        """When the next conversation begins, whether its row is there yet or not; None where there is none, or no user for it."""
        if self._rows.exhausted:
            return None
        if self._closed:
            return self._free_ns[0] if self._free_ns else None
        return self._start_ns + self._rows.due_ns() if self._rows.available else None

    def _fed(self) -> None:
        self._starved_ns = self.starved_ns
        self._starved_since_ns = 0

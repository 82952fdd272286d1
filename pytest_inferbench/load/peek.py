"""
What load processes have recorded so far, understood while they go on.

Rule: those that measure are not disturbed. They write whole recordings and know nothing of this; what is read here is read from
their files, in small portions, and not on a core that one of them has to itself. Where it falls behind, it sees less.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from math import inf

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.errors import LoadError
from pytest_inferbench.load.decode import Decoder, Known
from pytest_inferbench.load.recording import Recording, Tail
from pytest_inferbench.load.trace import Ints


class Peek:
    """
    The recordings of all load processes of a load, read as they come; each is read once.

    Args:
        descriptors: of the files of recordings, one a load process in their order.
        decoder: what understands them.
    """

    def __init__(self, descriptors: Sequence[int], decoder: Decoder) -> None:
        self.decoder = decoder
        self._tails = [Tail(each) for each in descriptors]
        self._turn = 0
        self._damaged = False

    @property
    def processes(self) -> int:
        """How many load processes write."""
        return len(self._tails)

    def take(self, *, limit_s: float) -> None:
        """
        Understand what came since, for about ``limit_s`` seconds at most.

        Damage is not told here: the load goes on, and `take_all` tells it when it is over.
        """
        if self._damaged:
            return
        # Another one first each time, so that none waits for ever behind a busy one.
        self._turn = (self._turn + 1) % len(self._tails)
        try:
            for tail in (*self._tails[self._turn :], *self._tails[: self._turn]):
                self._feed(tail.recordings(), limit_s / len(self._tails))
        except LoadError:
            self._damaged = True

    def take_all(self) -> None:
        """
        Understand all that is left.

        Raises:
            LoadError: a file is damaged.
        """
        for tail in self._tails:
            self._feed(tail.recordings(), inf)

    def _feed(self, recordings: Iterator[Recording], limit_s: float) -> None:
        deadline_s = time.monotonic() + limit_s
        for recording in recordings:
            self.decoder.add(recording)
            if time.monotonic() >= deadline_s:
                return


class Settled:
    """
    The longest beginning of a load in which every request has ended.

    Those that are quick are known before those that are not: were all that ended judged, slow ones would be missing. So the first
    request that may still run ends the beginning; whatever was to be sent after it does not count yet. Nobody says which requests
    run. But a load process hands its rows out in order, and the turns of a conversation come one after the other: of each
    process, and of each conversation, the first row without a recording is the next that can end, and it was to be sent no
    earlier than the row before it (a turn: than the end of the one before it).

    Attributes:
        places: of its requests among those that are known, in the order of the plan.
        until_ns: nothing that was to be sent before is missing; 0 where nobody can say yet.
    """

    def __init__(self, known: Known, *, processes: int, turns: int) -> None:
        bound_ns, number = _first_missing(known, processes=processes, turns=turns)
        before = known.intended_send_ns < bound_ns
        before |= (known.intended_send_ns == bound_ns) & (known.requests < number)
        places = np.flatnonzero(before)
        self.places: NDArray[np.intp] = places[np.argsort(known.requests[places], kind="stable")]
        self.until_ns = bound_ns


def _first_missing(known: Known, *, processes: int, turns: int) -> tuple[int, int]:
    """The earliest instant at which a request that has not ended may have been sent, and its number; 0 where nobody can say."""
    talks = known.requests // turns
    ended = np.bincount(talks)
    begin_ns, last_ns = np.zeros(len(ended), np.int64), np.zeros(len(ended), np.int64)
    first = np.equal(known.requests % turns, 0)
    begin_ns[talks[first]] = known.intended_send_ns[first]
    np.maximum.at(last_ns, talks, known.end_ns)
    candidates = [_next_of(ended, begin_ns, process, processes, turns) for process in range(processes)]
    halfway = np.flatnonzero((ended > 0) & (ended < turns))
    candidates += zip(last_ns[halfway].tolist(), (halfway * turns + ended[halfway]).tolist(), strict=True)
    return min(candidates)


def _next_of(ended: Ints, begin_ns: Ints, process: int, processes: int, turns: int) -> tuple[int, int]:
    """The first conversation of a process of which nothing has ended, and when the one before it began."""
    own = ended[process::processes]
    missing = int(np.argmin(own > 0)) if len(own) and not (own > 0).all() else len(own)
    talk = process + missing * processes
    return (int(begin_ns[talk - processes]) if missing else 0, talk * turns)


@contextlib.contextmanager
def kept_off(cores: frozenset[int]) -> Iterator[None]:
    """Stay off these cores, where there are others."""
    own = os.sched_getaffinity(0) if cores and hasattr(os, "sched_getaffinity") else set()
    others = own - cores
    if not others or others == own:
        yield
        return
    # A core may be taken away from this process at any time: then it runs where it can.
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, others)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, own)

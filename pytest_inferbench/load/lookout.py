"""
Looking at a load while it runs: whether enough was seen, and what it is like now.

Rule: nothing here is a figure of the case. Whoever ends a load by it judges all of it again, once it is over.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.load.clock import monotonic_ns
from pytest_inferbench.load.peek import Peek, Settled, kept_off
from pytest_inferbench.load.stopped import Stopped, Stopper
from pytest_inferbench.load.trace import Traces

_EVERY_NS = 250_000_000
_PORTION_S = 0.05
_REST = 4
"""After each look it rests for so many times as long as that took, at least."""


class Lookout:
    """
    Shows a load to a stopper while it runs.

    Args:
        peek: the recordings.
        stopper: who says when enough was seen.
        traces: makes traces of requests, by their places among those that are known.
        turns: requests of a conversation.
        cores: those that load processes have to themselves.
    """

    def __init__(
        self, peek: Peek, stopper: Stopper, *, traces: Callable[[NDArray[np.intp]], Traces], turns: int, cores: frozenset[int]
    ) -> None:
        self._peek = peek
        self._stopper = stopper
        self._traces = traces
        self._turns = turns
        self._cores = cores
        self._next_ns = 0

    def look(self, began_ns: int) -> Stopped | None:
        """Why a load that began then may end now; None where it is to go on. Looks a few times a second, however often asked."""
        now_ns = monotonic_ns()
        if now_ns < self._next_ns:
            return None
        with kept_off(self._cores):
            self._peek.take(limit_s=_PORTION_S)
            found = self._shown(began_ns, now_ns)
        took_ns = monotonic_ns() - now_ns
        self._next_ns = now_ns + max(_EVERY_NS, (1 + _REST) * took_ns)
        return found

    def _shown(self, began_ns: int, now_ns: int) -> Stopped | None:
        stopper, decoder = self._stopper, self._peek.decoder
        # More than this it cannot be; to find out how many it is costs more.
        if not stopper.ready(requests=len(decoder), seconds=(now_ns - began_ns) / 1e9):
            return None
        settled = Settled(decoder.known(), processes=self._peek.processes, turns=self._turns)
        seconds = max(0.0, (settled.until_ns - began_ns) / 1e9)
        if not stopper.ready(requests=len(settled.places), seconds=seconds):
            return None
        return stopper.look(self._traces(settled.places), seconds=seconds)

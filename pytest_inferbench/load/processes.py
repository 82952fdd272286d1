"""
The load processes of one load from the outside: heard and told together, so that one that breaks stops all.

Each has a share of the rows and users (`workers.py`) and a file of its own for what it records; none knows of the others.
"""

from __future__ import annotations

import contextlib
import selectors
import time
from collections.abc import Sequence
from typing import Any

from pytest_inferbench.errors import LoadError
from pytest_inferbench.load.process import LoadProcess
from pytest_inferbench.load.selfcheck import WorkerCounts

_LAST_WORDS_MAX = 10


class LoadProcesses:
    """
    Running load processes, at least one.

    ``warm``: all have ended their warm-up and wait for the word to go. ``done``: nobody will say anything more.
    """

    def __init__(self, processes: Sequence[LoadProcess]) -> None:
        self._processes = processes
        self._each = [WorkerCounts()] * len(processes)
        self._warm: set[int] = set()
        self._awaited = set(range(len(processes)))
        self._spoken: set[int] = set()
        self._heard_s = [time.monotonic()] * len(processes)
        self._selector = selectors.DefaultSelector()
        for number, process in enumerate(processes):
            self._selector.register(process, selectors.EVENT_READ, number)

    @property
    def counts(self) -> WorkerCounts:
        """What all have counted so far."""
        return WorkerCounts.together(self._each)

    @property
    def warm(self) -> bool:
        """All have ended their warm-up."""
        return len(self._warm) == len(self._processes)

    @property
    def done(self) -> bool:
        """All have said their last."""
        return not self._awaited

    @property
    def furthest(self) -> int:
        """The row up to which a plan must be known, for the one who has sent the most to have its next."""
        return max(each.sent for each in self._each) * len(self._processes)

    def hear(self, limit_s: float) -> bool:
        """
        Take in what they say, waiting up to ``limit_s`` seconds for something; False where nobody said anything.

        Raises:
            LoadError: one has ended, cannot go on, or said something that is no message.
        """
        ready = [key.data for key, _ in self._selector.select(limit_s)]
        for number in ready:
            self._hear_one(number)
        return bool(ready)

    def check_silence(self, *, start_limit_s: float, limit_s: float) -> None:
        """
        Find one that should have said something since.

        Raises:
            LoadError: one has been silent for longer than it may, at its start or later.
        """
        now_s = time.monotonic()
        # Those that are warm wait for the others, and have nothing to say.
        for number in self._awaited if self.warm else self._awaited - self._warm:
            most_s = limit_s if number in self._spoken else start_limit_s
            if now_s - self._heard_s[number] > most_s:
                raise LoadError(f"the load process has said nothing for {most_s:g} s; is this machine overloaded?")

    def go(self, at_ns: int) -> None:
        """
        Start the load of all at one instant.

        Raises:
            LoadError: one has ended.
        """
        self.tell(do="go", at_ns=at_ns)
        self._heard_s = [time.monotonic()] * len(self._processes)

    def drain(self) -> None:
        """
        Have all send nothing more, and wait for what is on the wire.

        Raises:
            LoadError: one has ended.
        """
        self.tell(do="drain")

    def tell(self, **what: Any) -> None:
        """
        Send a line to all that are at work.

        Raises:
            LoadError: one has ended.
        """
        for number in sorted(self._awaited):
            try:
                self._processes[number].tell(**what)
            except LoadError:
                self._hear_last(number)
                if number in self._awaited:
                    raise

    def stop(self, limit_s: float) -> None:
        """Have all give up what is on the wire and keep what they have; waits for that up to ``limit_s`` seconds."""
        deadline_s = time.monotonic() + limit_s
        for number in sorted(self._awaited):
            try:
                self._processes[number].tell(do="stop")
            except LoadError:
                self._part_with(number)
        while not self.done and (left_s := deadline_s - time.monotonic()) > 0:
            for key, _ in self._selector.select(left_s):
                try:
                    self._hear_one(key.data)
                except LoadError:
                    # It broke; what it had written is read all the same, and the others go on stopping.
                    self._part_with(key.data)

    def end(self) -> None:
        """End all of them, whatever happens to one; safe to call twice."""
        self._selector.close()
        with contextlib.ExitStack() as stack:
            for process in self._processes:
                stack.callback(process.end)

    def _hear_one(self, number: int) -> None:
        for said in self._processes[number].hear(0):
            self._spoken.add(number)
            self._heard_s[number] = time.monotonic()
            self._take(number, said)

    def _hear_last(self, number: int) -> None:
        """What one that cannot be told anything had to say before; that it is done, perhaps, which is no fault."""
        for _ in range(_LAST_WORDS_MAX):
            if number in self._awaited:
                self._hear_one(number)

    def _take(self, number: int, said: dict[str, Any]) -> None:
        state = said["state"]
        if state == "broken":
            raise LoadError(said["why"])
        if state == "warm":
            self._warm.add(number)
        elif state in ("progress", "done"):
            self._each[number] = WorkerCounts.of(said)
            if state == "done":
                self._part_with(number)

    def _part_with(self, number: int) -> None:
        """Wait for this one no more."""
        if number in self._awaited:
            self._awaited.remove(number)
            self._selector.unregister(self._processes[number])

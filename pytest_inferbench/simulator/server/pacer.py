"""
Runs a batcher's steps at the instants at which they are due, and hands their tokens out.

Rule: the schedule is absolute. A step begins when the one before was due to end, not when that was noticed, so that a late
server's delays never become part of the simulated times; they are counted instead.

A step's tokens leave one after the other, as those of any server do: one connection, one write. The i-th of a step (from 0) is
due ``step end + i * HANDOUT_S``, and late where it leaves more than `LATE_S` after that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from pytest_inferbench.simulator.batching import Batcher, Job, Step
from pytest_inferbench.simulator.server.figures import LATE_S, Figures

HANDOUT_S = 40e-6
"""
What one token may take to leave: 25,000 a second. A bare event through uvicorn and Starlette, with which most engines answer,
took 29 µs of a CPU where this was written, and engines do more for each; `tests/benchmarks/simulated_server.py` measures ours.
"""


class Receiver(Protocol):
    """Whom a job's tokens are for."""

    def token(self, now_s: float) -> None:
        """Take the next token."""
        ...

    def finished(self, now_s: float) -> None:
        """The job is done; its last token has been taken."""
        ...

    def admitted(self, now_s: float) -> None:
        """The job was let into the batch for the first time."""
        ...


class Alarm(Protocol):
    """Something that calls back at an instant."""

    def set(self, at_s: float) -> None:
        """Call at that instant of the clock, or soon where it has passed; an instant set before is forgotten."""
        ...


class Pacer:
    """
    A batcher in real time.

    Args:
        batcher: whose steps are run.
        figures: where lateness is counted.
        clock: the time in seconds, which never goes back.
        factor: by what a step takes longer than it should, at an instant of the clock.
        step_s: what every step takes in place of the model's figure; for rehearsals of this server itself.
    """

    def __init__(
        self,
        batcher: Batcher,
        figures: Figures,
        *,
        clock: Callable[[], float],
        factor: Callable[[float], float],
        step_s: float | None = None,
    ) -> None:
        self.batcher = batcher
        self.busy_s = 0.0
        self._figures = figures
        self._clock = clock
        self._factor = factor
        self._step_s = step_s
        self._receivers: dict[str, Receiver] = {}
        self._unseen: deque[str] = deque()
        self._step: Step | None = None
        self._due_s = 0.0
        self._hands_out = False
        self._alarm: Alarm | None = None

    def use(self, alarm: Alarm) -> None:
        """Be woken by this alarm, which calls `wake`."""
        self._alarm = alarm

    def add(self, job: Job, receiver: Receiver) -> None:
        """
        Begin a job; where nothing runs, its first step begins now.

        Raises:
            ContextTooLong: the deployment cannot hold it.
        """
        self.batcher.add(job)
        self._receivers[job.id] = receiver
        self._unseen.append(job.id)

    def begin(self) -> None:
        """Begin a step if none is under way; called when the jobs of a request have been added."""
        if self._step is None:
            self._begin(self._clock())

    def abort(self, job_id: str) -> None:
        """Forget a job: its slot and blocks are free at once. One that has ended is no error."""
        if self._receivers.pop(job_id, None) is not None:
            self.batcher.abort(job_id)
            if job_id in self._unseen:
                self._unseen.remove(job_id)

    def wake(self) -> None:
        """Hand out what is due, and begin the next step."""
        if not self.catch_up() and self._step is not None:
            self._ring(self._due_s)

    def catch_up(self) -> bool:
        """
        Hand out what is due, if anything is; True where there was.

        Called between requests as well, so that a burst of them makes no token late.
        """
        step, due_s = self._step, self._due_s
        if step is None or self._hands_out:
            return False
        now_s = self._clock()
        if now_s < due_s:
            return False
        self._begin(due_s)
        self._hands_out = True
        try:
            self._hand_out(step, due_s, now_s)
        finally:
            self._hands_out = False
        return True

    def _begin(self, at_s: float) -> None:
        step = self._step = self.batcher.begin_step()
        self._see(at_s)
        if step is None:
            return
        duration_s = (step.duration_s if self._step_s is None else self._step_s) * self._factor(at_s)
        self.busy_s += duration_s
        self._due_s = at_s + duration_s
        self._ring(self._due_s)

    def _ring(self, at_s: float) -> None:
        if self._alarm is not None:
            self._alarm.set(at_s)

    def _see(self, at_s: float) -> None:
        """
        Tell the jobs that left the queue for the first time.

        The queue is first come first served, with those that were sent back at its head: only where fewer wait than have never
        been seen can one of these have been let in.
        """
        while len(self._unseen) > self.batcher.waiting:
            receiver = self._receivers.get(self._unseen.popleft())
            if receiver is not None:
                receiver.admitted(at_s)

    def _hand_out(self, step: Step, due_s: float, now_s: float) -> None:
        receivers, clock, count = self._receivers, self._clock, self._figures.token
        late = now_s - due_s > LATE_S
        for at, job_id in enumerate(step.emitted):
            receiver = receivers.get(job_id)
            if receiver is not None:
                receiver.token(now_s)
                now_s = clock()
                late |= count(now_s - due_s, now_s - due_s - at * HANDOUT_S)
        for job_id in step.finished:
            receiver = receivers.pop(job_id, None)
            if receiver is not None:
                receiver.finished(now_s)
        self._figures.step(late=late)

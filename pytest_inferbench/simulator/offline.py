"""
A load on a deployment without a server and without waiting: when each answer begins and ends.

Rule: nothing is random, and the clock is a number; the same requests give the same times to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf

from pytest_inferbench.simulator.batching import Batcher, ContextTooLong, Job
from pytest_inferbench.simulator.deployment import Deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """
    A request of a load.

    Attributes:
        prompt_tokens, output_tokens: as `Job` has them.
        at_s: when it comes, from the start of the load. In a closed loop it comes when a user is free; then this is how long
            that user waits before it.
        prefix: chained hashes of its full blocks, as `Job` has them.
        follows: it is the next turn of the request before it, and comes ``at_s`` after that one's end.
    """

    prompt_tokens: int
    output_tokens: int
    at_s: float = 0.0
    prefix: tuple[int, ...] = ()
    follows: bool = False


@dataclass(slots=True, kw_only=True)
class Answer:
    """
    What became of a request; times in seconds from the start of the load, None for what did not happen.

    Attributes:
        arrival_s: when it came.
        first_token_s, last_token_s: of its answer; of an embedding only the end is there, as ``last_token_s``.
        output_tokens: that it got.
        refused: it was longer than the deployment takes.
    """

    arrival_s: float
    first_token_s: float | None = None
    last_token_s: float | None = None
    output_tokens: int = 0
    refused: bool = False

    @property
    def ttft_s(self) -> float | None:
        """Time to first token: first token - arrival."""
        return None if self.first_token_s is None else self.first_token_s - self.arrival_s

    @property
    def tpot_s(self) -> float | None:
        """Mean time per token after the first: (last token - first token) / (tokens - 1)."""
        if self.first_token_s is None or self.last_token_s is None or self.output_tokens < 2:
            return None
        return (self.last_token_s - self.first_token_s) / (self.output_tokens - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """
    What came of a load.

    Attributes:
        answers: one for each request that came, in the order of the requests.
        duration_s: from the start to the end of the last step.
        steps: of the engine.
        prompt_tokens, generation_tokens: read to the end of a prompt, and given out.
        preemptions: jobs that were sent back.
        prefix_queries, prefix_hits: tokens that were looked up in the cache, and those that were found.
        kv_usage_max: the largest part of the cache that was held in a step.
        running_max, waiting_max: the most jobs that ran in a step, and that waited after one.
    """

    answers: tuple[Answer, ...]
    duration_s: float
    steps: int
    prompt_tokens: int
    generation_tokens: int
    preemptions: int
    prefix_queries: int
    prefix_hits: int
    kv_usage_max: float
    running_max: int
    waiting_max: int


def simulate(deployment: Deployment, requests: Iterable[Arrival], *, users: int | None = None, until_s: float = inf) -> Outcome:
    """
    Run requests through a deployment.

    Args:
        deployment: who answers.
        requests: in the order in which they come; read as they are needed, so that a closed loop may have no end of them.
        users: of a closed loop: so many requests at a time, the next one as soon as one ends. None is an open loop: each at its
            own instant.
        until_s: no request comes at this instant or later; those that are there are answered. Needed where requests have no end.

    Raises:
        DoesNotFit: the model does not fit on the device.
        ConfigError: the engine's limits contradict each other.
        ValueError: the number of users makes no sense.
    """
    if users is not None and users < 1:
        raise ValueError(f"a closed loop needs at least 1 user, not {users}")
    return _Run(Batcher(deployment), _conversations(requests), users=users, until_s=until_s).outcome()


_Turns = tuple[tuple[int, Arrival], ...]


def _conversations(requests: Iterable[Arrival]) -> Iterator[_Turns]:
    """Requests with their numbers, each with the turns that follow it."""
    turns: list[tuple[int, Arrival]] = []
    for number, request in enumerate(requests):
        if turns and not request.follows:
            yield tuple(turns)
            turns = []
        turns.append((number, request))
    if turns:
        yield tuple(turns)


class _Run:
    """One simulation; the clock stands at the end of the step that was run last, or at the next arrival where nothing runs."""

    def __init__(self, batcher: Batcher, conversations: Iterator[_Turns], *, users: int | None, until_s: float) -> None:
        self._batcher = batcher
        self._conversations = conversations
        self._open = users is None
        self._until_s = until_s
        self._now_s = 0.0
        self._due: list[tuple[float, int, _Turns]] = []
        self._drawn = -1
        self._answers: dict[int, Answer] = {}
        self._turns: dict[str, _Turns] = {}
        self._running_max = self._waiting_max = 0
        for _ in range(users or 1):
            self._draw()

    def outcome(self) -> Outcome:
        """Run until nothing is left to come and nothing to do."""
        while True:
            self._arrive()
            if not self._step():
                if not self._due:
                    break
                self._now_s = self._due[0][0]
        batcher = self._batcher
        return Outcome(
            answers=tuple(self._answers[number] for number in sorted(self._answers)),
            duration_s=self._now_s,
            steps=batcher.steps,
            prompt_tokens=batcher.prompt_tokens,
            generation_tokens=batcher.generation_tokens,
            preemptions=batcher.preemptions,
            prefix_queries=batcher.prefix_queries,
            prefix_hits=batcher.prefix_hits,
            kv_usage_max=batcher.kv_usage_max,
            running_max=self._running_max,
            waiting_max=self._waiting_max,
        )

    def _draw(self) -> None:
        """The next conversation, if there is one, gets its instant: its own in an open loop, from now on in a closed one."""
        turns = next(self._conversations, None)
        if turns:
            self._drawn = turns[0][0]
            self._expect(turns, 0.0 if self._open else self._now_s)

    def _expect(self, turns: _Turns, from_s: float) -> None:
        number, request = turns[0]
        at_s = from_s + request.at_s
        if at_s < self._until_s:
            heappush(self._due, (at_s, number, turns))

    def _arrive(self) -> None:
        """Hand all to the batcher that have come by now."""
        while self._due and self._due[0][0] <= self._now_s:
            at_s, number, turns = heappop(self._due)
            request = turns[0][1]
            self._answers[number] = Answer(arrival_s=at_s)
            if self._open and number == self._drawn:
                self._draw()
            job = Job(
                id=str(number), prompt_tokens=request.prompt_tokens, output_tokens=request.output_tokens, prefix=request.prefix
            )
            try:
                self._batcher.add(job)
            except ContextTooLong:
                self._answers[number].refused = True
                self._go_on(turns, at_s)
            else:
                self._turns[job.id] = turns

    def _go_on(self, turns: _Turns, at_s: float) -> None:
        """After a request: the next turn, or the next conversation of the same user."""
        if len(turns) > 1:
            self._expect(turns[1:], at_s)
        elif not self._open:
            self._draw()

    def _step(self) -> bool:
        """One step, or a stretch of steps in which nobody comes or goes; False where there is nothing to do."""
        batcher = self._batcher
        began_s = self._now_s
        self._now_s = batcher.coast(began_s, self._due[0][0] if self._due else inf)
        if self._now_s > began_s:
            return True
        step = batcher.begin_step()
        if step is None:
            return False
        self._now_s += step.duration_s
        for job_id in step.emitted[step.decode_tokens :]:
            answer = self._answers[int(job_id)]
            answer.first_token_s = self._now_s if answer.first_token_s is None else answer.first_token_s
        for job_id in step.finished:
            self._end(job_id)
        self._running_max = max(self._running_max, batcher.running + len(step.finished))
        self._waiting_max = max(self._waiting_max, batcher.waiting)
        return True

    def _end(self, job_id: str) -> None:
        turns = self._turns.pop(job_id)
        number, request = turns[0]
        answer = self._answers[number]
        answer.last_token_s, answer.output_tokens = self._now_s, request.output_tokens
        self._go_on(turns, self._now_s)


def answered(answers: Sequence[Answer]) -> list[Answer]:
    """Those that were answered to their end."""
    return [answer for answer in answers if answer.last_token_s is not None]

"""
Continuous batching: which sequences are in the next step, and how far each of them comes.

Rule: as the scheduler of vLLM V1 does it (``vllm/v1/core/sched/scheduler.py``). There is one budget of tokens for prompts and
answers. What runs comes first, then whoever waits, first come first served. A prompt that is too long for the budget is spread
over steps. Where the cache is full, whoever was let in last goes back to the head of the queue and is computed again.

A step costs as much as what changes in it, not as much as what runs. All sequences that are past their prompt get one token in
each round, so a sequence's length is its ``offset`` plus the number of rounds. When it ends, and when its window is full, is
known on entering and stands in a calendar by round; it needs a block every so many rounds, together with others of its group.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from pytest_inferbench.errors import ConfigError, InferbenchError
from pytest_inferbench.simulator.deployment import Deployment
from pytest_inferbench.simulator.kv_cache import BlockPool, Holding, capacity_blocks, context_tokens, window_blocks
from pytest_inferbench.simulator.roofline import Chunk, Pace, StepWork


class ContextTooLong(InferbenchError):
    """A request is longer than the deployment can hold; carries the numbers for the engine's own words."""

    def __init__(self, *, prompt_tokens: int, output_tokens: int, context_tokens: int) -> None:
        self.prompt_tokens = prompt_tokens
        self.output_tokens = output_tokens
        self.context_tokens = context_tokens
        super().__init__(
            f"This model's maximum context length is {context_tokens} tokens. However, you requested "
            f"{prompt_tokens + output_tokens} tokens ({prompt_tokens} in the prompt, {output_tokens} in the completion). "
            "Please reduce the length of the prompt or the completion."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """
    One sequence to compute.

    Attributes:
        id: its name, of which there is one at a time.
        prompt_tokens: at least 1.
        output_tokens: of the answer; 0 for an embedding, which ends with its prompt.
        prefix: chained hashes of the full blocks of the prompt, and of the answer behind it as far as they are known.
    """

    id: str
    prompt_tokens: int
    output_tokens: int
    prefix: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """
    What one step does.

    Attributes:
        duration_s: how long it takes.
        emitted: jobs that get a token at its end, one each, in the order in which they run.
        finished: jobs that are done with it.
        preempted: jobs that went back to the queue before it.
        prompt_tokens, decode_tokens: computed in it.
    """

    duration_s: float
    emitted: tuple[str, ...]
    finished: tuple[str, ...]
    preempted: tuple[str, ...]
    prompt_tokens: int
    decode_tokens: int


@dataclass(slots=True, eq=False)
class _Sequence:
    """
    A job on its way; whoever is sent back becomes a new one, so that what stands in the calendar for the old one means nothing.

    Attributes:
        target: tokens to compute before it gets its next token: the prompt, and what it had answered when it was sent back.
        extra_blocks: held from start to end: for the layers with a window, and for the answer where the engine reserves it.
        preemptions: how often it was sent back.
        computed: tokens of the target that are in the cache.
        offset: its length less the number of rounds, from the first round on.
    """

    job: Job
    target: int
    extra_blocks: int
    preemptions: int = 0
    computed: int = 0
    offset: int = 0
    holding: Holding = field(default_factory=Holding)


@dataclass(slots=True)
class _Plan:
    """What is in the step that is being put together."""

    chunks: list[Chunk] = field(default_factory=list)
    decodes: int = 0
    context: int = 0
    window_context: int = 0
    emitted: tuple[str, ...] = ()
    first_tokens: list[str] = field(default_factory=list)
    ended: list[_Sequence] = field(default_factory=list)
    preempted: list[str] = field(default_factory=list)


class _Calendar(dict[int, list[_Sequence]]):
    """Sequences by the round in which something happens to them."""

    def write(self, at_round: int, sequence: _Sequence) -> None:
        """Put it there, behind those that are there already."""
        self.setdefault(at_round, []).append(sequence)


class Batcher:
    """
    The jobs of one deployment, and its steps one after the other.

    The composition of a step is fixed when it begins, and its effects take place at once: whoever drives it waits ``duration_s``
    before it hands out the tokens and begins the next one. Not for several threads.

    Attributes:
        deployment: what is simulated.
        pool: its cache.
        preemptions: how often a job was sent back.
        prefix_queries, prefix_hits: tokens that were looked up in the cache, and those that were found.
        prompt_tokens, generation_tokens: of prompts that were read to their end, and of answers.
        steps: how many there were.
        kv_usage_max: the largest part of the cache that was held in one of them.

    Raises:
        DoesNotFit: the model does not fit on the device.
        ConfigError: the engine's limits contradict each other.
    """

    def __init__(self, deployment: Deployment) -> None:
        engine = deployment.engine
        if engine.max_batched_tokens < engine.max_running:
            raise ConfigError(
                f"max_num_batched_tokens ({engine.max_batched_tokens}) must be greater than or equal to "
                f"max_num_seqs ({engine.max_running}): each sequence that runs needs a token of the budget"
            )
        self.deployment = deployment
        self.pool = BlockPool(capacity_blocks(deployment), prefix_caching=engine.prefix_caching)
        self._engine = engine
        self._block = engine.block_tokens
        self._window = deployment.model.window_tokens if deployment.model.window_layers else 0
        self._jobs: dict[str, _Sequence] = {}
        self._queue: deque[_Sequence] = deque()
        # Those that answer, in the order in which they were let in; one more may be in its prompt, and was let in last.
        self._decoding: dict[str, _Sequence] = {}
        self._reading: _Sequence | None = None
        self._round = 0
        # Sums over those that answer, as they are after the last round.
        self._context = 0
        self._window_context = 0
        self._below_window = 0
        self._ends_due, self._windows_due = _Calendar(), _Calendar()
        # By round modulo the block's size: who needs a block then.
        self._groups: list[dict[str, _Sequence]] = [{} for _ in range(self._block)]
        self._pace = Pace(deployment)
        self._ids: tuple[str, ...] | None = None
        self.preemptions = 0
        self.prefix_queries = 0
        self.prefix_hits = 0
        self.prompt_tokens = 0
        self.generation_tokens = 0
        self.steps = 0
        self.kv_usage_max = 0.0

    @property
    def running(self) -> int:
        """Jobs that hold a slot."""
        return len(self._decoding) + (self._reading is not None)

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._queue)

    @property
    def kv_usage(self) -> float:
        """The part of the cache's blocks that is held, from 0 to 1."""
        return self.pool.usage

    def add(self, job: Job) -> None:
        """
        Put a job at the end of the queue.

        Raises:
            ContextTooLong: its prompt and answer together are longer than the model takes, or than the whole cache holds.
            ValueError: there is a job of this id already, or a number makes no sense.
        """
        if job.id in self._jobs or job.prompt_tokens < 1 or job.output_tokens < 0:
            raise ValueError(f"a job needs an id of its own, a prompt, and no less than no answer: {job}")
        extra = window_blocks(self.deployment, job.prompt_tokens + job.output_tokens)
        self._hold_to_context(job, extra)
        if self._engine.reserves_answers:
            extra += self._blocks(job.prompt_tokens + max(job.output_tokens - 1, 0)) - self._blocks(job.prompt_tokens)
        sequence = _Sequence(job, target=job.prompt_tokens, extra_blocks=extra)
        self._jobs[job.id] = sequence
        self._queue.append(sequence)

    def abort(self, job_id: str) -> None:
        """Forget a job and free its slot and its blocks at once; one that is not there (any more) is no error."""
        sequence = self._jobs.pop(job_id, None)
        if sequence is None:
            return
        if job_id in self._decoding:
            self._leave(sequence, held=sequence.offset + self._round)
            return
        if sequence is self._reading:
            self._reading = None
        else:
            self._queue.remove(sequence)
        self.pool.release(sequence.holding)

    def reset_prefix_cache(self) -> bool:
        """Forget what is in the cache; as with vLLM nothing is done, and False returned, while a job holds blocks."""
        return self.pool.forget()

    def begin_step(self) -> Step | None:
        """The next step, or None where there is nothing to do."""
        plan = _Plan()
        if self._engine.mixed_steps:
            self._decode(plan)
            self._read(plan, self._engine.max_batched_tokens - plan.decodes)
        else:
            self._read(plan, self._engine.max_batched_tokens)
            if not plan.chunks:
                self._decode(plan)
        if not plan.chunks and not plan.decodes:
            return None
        return self._step(plan)

    def coast(self, now_s: float, until_s: float) -> float:
        """
        Run the steps that only add a token to each of the same sequences, from ``now_s`` on, and say when the last of them ends.

        Exactly what as many calls of `begin_step` would do, without saying which tokens there were: it ends before a step in
        which a job comes or goes, and with the first step that ends at ``until_s`` or later.
        """
        if self._reading is not None or (self._queue and self.running < self._engine.max_running) or not self._decoding:
            return now_s
        count, grows = len(self._decoding), not self._engine.reserves_answers
        while now_s < until_s:
            at_round = self._round + 1
            if at_round in self._ends_due or at_round in self._windows_due:
                return now_s
            if grows and not self._room(len(self._groups[at_round % self._block])):
                return now_s
            self._round = at_round
            self._context += count
            self._window_context += self._below_window
            self.steps += 1
            self.generation_tokens += count
            now_s += self._pace.decode_s(count, self._context, self._window_context)
        return now_s

    def _room(self, blocks: int) -> bool:
        return not blocks or self.pool.take(blocks)

    def _step(self, plan: _Plan) -> Step:
        work = StepWork(
            prompts=tuple(plan.chunks), decodes=plan.decodes, context_tokens=plan.context, window_tokens=plan.window_context
        )
        self.kv_usage_max = max(self.kv_usage_max, self.pool.usage)
        for sequence in plan.ended:
            self._end(sequence)
        emitted = (*plan.emitted, *plan.first_tokens) if plan.first_tokens else plan.emitted
        self.steps += 1
        self.generation_tokens += len(emitted)
        return Step(
            duration_s=self._pace.step_s(work),
            emitted=emitted,
            finished=tuple(sequence.job.id for sequence in plan.ended),
            preempted=tuple(plan.preempted),
            prompt_tokens=sum(chunk.tokens for chunk in plan.chunks),
            decode_tokens=plan.decodes,
        )

    def _decode(self, plan: _Plan) -> None:
        """One more token for all that answer, less those that are sent back because the cache is full."""
        if not self._decoding:
            return
        self._round += 1
        self._context += len(self._decoding)
        self._window_context += self._below_window
        for sequence in self._windows_due.pop(self._round, ()):
            self._below_window -= self._answers(sequence)
        if not self._engine.reserves_answers:
            self._grow(plan)
        plan.decodes = len(self._decoding)
        plan.context, plan.window_context = self._context, self._window_context
        if self._ids is None:
            self._ids = tuple(self._decoding)
        plan.emitted = self._ids
        plan.ended += [sequence for sequence in self._ends_due.pop(self._round, ()) if self._answers(sequence)]

    def _grow(self, plan: _Plan) -> None:
        """One more block for each of the group whose turn it is; whoever was let in last makes room where there is none."""
        group = self._groups[self._round % self._block]
        while not self.pool.take(len(group)):
            self._send_back(plan, self._reading or next(reversed(self._decoding.values())))

    def _read(self, plan: _Plan, budget: int) -> None:
        """Pieces of prompts within the budget: of the one that is being read, then of those that wait."""
        slots = self._engine.max_running - self.running
        if self._reading is not None:
            budget -= self._advance(plan, self._reading, budget)
        while self._queue and slots and budget > 0 and self._reading is None:
            sequence = self._queue[0]
            if not self._engine.chunked_prefill and sequence.target > budget and not self._alone(plan, sequence):
                return
            if not self._let_in(sequence):
                return
            self._queue.popleft()
            slots -= 1
            budget -= self._advance(plan, sequence, budget)

    def _alone(self, plan: _Plan, sequence: _Sequence) -> bool:
        """Whether a whole prompt that is over the budget is read in this step: one that no budget would hold, without others."""
        return sequence.target > self._engine.max_batched_tokens and not plan.chunks

    def _let_in(self, sequence: _Sequence) -> bool:
        """Share the blocks that are known already, if the whole prompt fits into the cache; False where it does not."""
        prefix = sequence.job.prefix
        # The last token is computed in any case, since the next one comes from it.
        known = self.pool.known(prefix, blocks_max=(sequence.target - 1) // self._block)
        blocks = self._blocks(sequence.target) + sequence.extra_blocks
        if not self.pool.admits(prefix, known=known, blocks=blocks):
            return False
        self.pool.share(sequence.holding, prefix, known=known)
        self._take(sequence, sequence.extra_blocks)
        sequence.computed = known * self._block
        if self._engine.prefix_caching and not sequence.preemptions:
            self.prefix_queries += sequence.target
            self.prefix_hits += sequence.computed
        return True

    def _advance(self, plan: _Plan, sequence: _Sequence, budget: int) -> int:
        """Read on in a prompt; how many tokens of the budget that took."""
        self._reading = sequence
        tokens = sequence.target - sequence.computed
        if self._engine.chunked_prefill:
            tokens = min(tokens, budget)
        computed = sequence.computed + tokens
        held = sequence.holding.blocks - sequence.extra_blocks
        if not self._take(sequence, self._blocks(computed) - held):
            self._send_back(plan, sequence)
            return 0
        plan.chunks.append(Chunk(tokens, sequence.computed))
        sequence.computed = computed
        self.pool.fill(sequence.holding, sequence.job.prefix, full=computed // self._block)
        if computed == sequence.target:
            self._reading = None
            self._begin_answer(plan, sequence)
        return tokens

    def _begin_answer(self, plan: _Plan, sequence: _Sequence) -> None:
        """Its prompt is read: it gets a token, and is in the rounds from the next one on if it wants more."""
        job, length = sequence.job, sequence.target
        # Whoever was sent back later has tokens of its answer to read again, too; whoever was while it was read has not.
        if length == job.prompt_tokens:
            self.prompt_tokens += job.prompt_tokens
        if job.output_tokens:
            plan.first_tokens.append(job.id)
        self._decoding[job.id] = sequence
        self._ids = None
        self._context += length
        self._window_context += min(length, self._window)
        sequence.offset = length - self._round
        self._below_window += length < self._window
        left = job.output_tokens - (length - job.prompt_tokens + 1)
        if left <= 0:
            plan.ended.append(sequence)
            return
        self._ends_due.write(self._round + left, sequence)
        self._group(sequence)[job.id] = sequence
        if length < self._window:
            self._windows_due.write(self._window - sequence.offset, sequence)

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // self._block)

    def _take(self, sequence: _Sequence, blocks: int) -> bool:
        taken = self.pool.take(blocks)
        sequence.holding.own += blocks if taken else 0
        return taken

    def _group(self, sequence: _Sequence) -> dict[str, _Sequence]:
        """Those that need a block in the same rounds: when the token that is computed is the first of a block."""
        return self._groups[(1 - sequence.offset) % self._block]

    def _answers(self, sequence: _Sequence) -> bool:
        """Whether it is in the rounds: not ended, aborted or sent back since something was written into a calendar."""
        return self._decoding.get(sequence.job.id) is sequence

    def _leave(self, sequence: _Sequence, *, held: int) -> None:
        """Out of the rounds, out of the sums, and what it holds is let go; its blocks are those of so many tokens."""
        length, job = sequence.offset + self._round, sequence.job
        del self._decoding[job.id]
        self._group(sequence).pop(job.id, None)
        self._ids = None
        self._context -= length
        self._window_context -= min(length, self._window)
        self._below_window -= length < self._window
        if not self._engine.reserves_answers:
            sequence.holding.own += self._blocks(held) - self._blocks(sequence.target)
        self.pool.fill(sequence.holding, job.prefix, full=held // self._block)
        self.pool.release(sequence.holding)

    def _end(self, sequence: _Sequence) -> None:
        self._leave(sequence, held=sequence.offset + self._round)
        del self._jobs[sequence.job.id]

    def _send_back(self, plan: _Plan, sequence: _Sequence) -> None:
        """To the head of the queue; its blocks are free, and all its tokens are to be computed again."""
        job, target = sequence.job, sequence.target
        if sequence is self._reading:
            self._reading = None
            self.pool.release(sequence.holding)
        else:
            # It has no place in this round: in the cache are its tokens up to the last round, and one more is to be computed.
            target = sequence.offset + self._round
            self._leave(sequence, held=target - 1)
        again = _Sequence(job, target=target, extra_blocks=sequence.extra_blocks, preemptions=sequence.preemptions + 1)
        self._jobs[job.id] = again
        self._queue.appendleft(again)
        plan.preempted.append(job.id)
        self.preemptions += 1

    def _hold_to_context(self, job: Job, extra_blocks: int) -> None:
        longest = min(context_tokens(self.deployment), (self.pool.capacity - extra_blocks) * self._block)
        if job.prompt_tokens + job.output_tokens > longest:
            raise ContextTooLong(prompt_tokens=job.prompt_tokens, output_tokens=job.output_tokens, context_tokens=longest)

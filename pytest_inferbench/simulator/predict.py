"""
What a case would roughly give and cost, computed without a server and without waiting.

Rule: the figures come from simulated times by the very metrics that measured ones go through, and objectives are held against
them by the very judge. What the model of the server cannot know is left out and said, never made up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from math import inf
from time import perf_counter_ns

import numpy as np

from pytest_inferbench.cases.case import Case
from pytest_inferbench.errors import ConfigError, InferbenchError
from pytest_inferbench.load.trace import MISSING, Ints, Traces
from pytest_inferbench.load.trace import Outcome as Ended
from pytest_inferbench.metrics.summarise import summarise
from pytest_inferbench.metrics.summary import Summary
from pytest_inferbench.objectives.judge import Sureness, judge
from pytest_inferbench.objectives.limits import goodput_limits
from pytest_inferbench.objectives.slo import parse_objectives
from pytest_inferbench.objectives.verdict import Verdict
from pytest_inferbench.simulator.asked import Ask, measured_of, warmup_of
from pytest_inferbench.simulator.deployment import Deployment
from pytest_inferbench.simulator.hardware import accelerator
from pytest_inferbench.simulator.kv_cache import DoesNotFit, capacity_blocks
from pytest_inferbench.simulator.offline import Answer, Arrival, Outcome, simulate
from pytest_inferbench.simulator.profiles import deployed
from pytest_inferbench.simulator.roofline import weight_bytes
from pytest_inferbench.simulator.shapes import shape

_PER_TOKEN = ("itl", "inter_chunk", "steady_output_throughput", "steady_window")
_REFUSED = "longer than the model's context, or than the whole cache"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """
    What is predicted of a case.

    Attributes:
        fits: whether the model and its cache fit on the hardware; None where that is not known either.
        summary, verdict: None where there is nothing to predict, which ``trouble`` says why.
        startup_s: until its server would answer.
        case_s: from there to the end of the case, warm-up included.
        kv_capacity_tokens: room of the cache.
        kv_usage_max: the largest part of it that was held, from 0 to 1.
        preemptions: requests that were sent back to the queue because it was full.
        notes: what the figures leave out.
        took_s: to compute.
    """

    case: Case
    fits: bool | None = None
    summary: Summary | None = None
    verdict: Verdict | None = None
    startup_s: float = 0.0
    case_s: float = 0.0
    kv_capacity_tokens: int | None = None
    kv_usage_max: float | None = None
    preemptions: int | None = None
    trouble: str | None = None
    notes: tuple[str, ...] = ()
    took_s: float = 0.0


def predict(case: Case, *, seed: int = 0) -> Prediction:
    """
    What the case would roughly give; the same seed gives the same prediction, and the lengths of a measured run of that seed.

    Whatever stands in the way (unknown hardware, model or traffic; a model that does not fit) is in ``trouble``.
    """
    began_ns = perf_counter_ns()
    try:
        deployment = deployment_of(case)
        predicted = _predicted(case, deployment, seed)
    except DoesNotFit as error:
        predicted = Prediction(case=case, fits=False, trouble=str(error))
    except InferbenchError as error:
        predicted = Prediction(case=case, trouble=str(error))
    return replace(predicted, took_s=(perf_counter_ns() - began_ns) / 1e9)


def deployment_of(case: Case) -> Deployment:
    """
    What the case runs on, as far as the simulator knows it.

    Raises:
        ConfigError: hardware, model, engine or one of the engine's options is not known.
    """
    return deployed(
        accelerator(case.hardware),
        shape(case.model),
        engine=case.engine.name,
        arguments=case.engine.args,
        tensor_parallel=case.tensor_parallel,
    )


def total_s(predictions: Sequence[Prediction]) -> float:
    """How long all cases take one after the other, in seconds: each server started once, then its cases."""
    return servers_s(predictions) + sum(each.case_s for each in predictions if each.summary is not None)


def servers_s(predictions: Sequence[Prediction]) -> float:
    """How long starting all servers takes, in seconds."""
    return sum(each.startup_s for each in _one_a_server(predictions))


def gpu_hours(predictions: Sequence[Prediction]) -> float:
    """GPUs x time / 3600, of all servers' starts and all cases."""
    starts = sum(each.case.gpus * each.startup_s for each in _one_a_server(predictions))
    return (starts + sum(each.case.gpus * each.case_s for each in predictions if each.summary is not None)) / 3600


def _one_a_server(predictions: Sequence[Prediction]) -> Iterable[Prediction]:
    return {each.case.server_key: each for each in predictions if each.summary is not None}.values()


# --- one case ---------------------------------------------------------------------------------------------------------------


def _predicted(case: Case, deployment: Deployment, seed: int) -> Prediction:
    if case.tool is not None:
        raise ConfigError(f"its load is that of {case.tool.name}, a tool of its own, which is not known beforehand")
    engine = deployment.engine
    capacity = capacity_blocks(deployment) * engine.block_tokens
    run = _run(case, deployment, seed)
    traces = traces_of(run.asks, run.outcome.answers[run.warmup :], open_loop=case.load.open_loop)
    objectives = parse_objectives([each for each in case.slo if not each.strip().startswith(_PER_TOKEN)])
    summary = summarise(traces, goodput_limits=goodput_limits(objectives))
    return Prediction(
        case=case,
        fits=True,
        summary=summary,
        # A model of a server gives no sample that one could be more or less sure of.
        verdict=judge(objectives, traces, summary=summary, sureness=Sureness(confidence=0.0)),
        startup_s=engine.start_s + weight_bytes(deployment.model) / engine.load_bytes_per_s,
        case_s=run.before_s + run.outcome.duration_s,
        kv_capacity_tokens=capacity,
        kv_usage_max=run.outcome.kv_usage_max,
        preemptions=run.outcome.preemptions,
        notes=tuple(_notes(case)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A simulated load: its measured requests, how many warm-up answers stand before theirs, and what went before it alone."""

    asks: Sequence[Ask]
    outcome: Outcome
    warmup: int = 0
    before_s: float = 0.0


def _run(case: Case, deployment: Deployment, seed: int) -> _Run:
    """
    Warm-up, then the load; in one simulation where the cache is to remember the warm-up, else each in its own.

    Warm-up goes as `load` sends it: in a closed loop by as many users, in an open one by one.
    """
    load, hashes = case.load, _Hashes(deployment.engine.block_tokens)
    users, until_s = load.concurrency, load.duration_s or inf
    warm = [_arrival(each._replace(due_s=0.0), hashes) for each in warmup_of(case, seed=seed)]
    measured, asks = _kept(measured_of(case, seed=seed))
    first_s = _user_starts(case)
    arrivals = (replace(_arrival(each, hashes), at_s=each.due_s + next(first_s)) for each in measured)
    before_s = simulate(deployment, warm, users=users or 1).duration_s if warm else 0.0
    if not warm or not (case.traffic.wants_cache or case.traffic.prefix):
        return _Run(asks=asks, outcome=simulate(deployment, arrivals, users=users, until_s=until_s), before_s=before_s)
    chain = warm if users else [replace(each, follows=place > 0) for place, each in enumerate(warm)]
    later = arrivals if users else (each if each.follows else replace(each, at_s=each.at_s + before_s) for each in arrivals)
    outcome = simulate(deployment, _chained(chain, later), users=users, until_s=until_s + before_s)
    return _Run(asks=asks, outcome=outcome, warmup=len(warm))


def _chained(first: Iterable[Arrival], then: Iterable[Arrival]) -> Iterator[Arrival]:
    yield from first
    yield from then


def _kept(asks: Iterator[Ask]) -> tuple[Iterator[Ask], list[Ask]]:
    """The requests as they are read, and the list of those that were."""
    read: list[Ask] = []

    def reading() -> Iterator[Ask]:
        for each in asks:
            read.append(each)
            yield each

    return reading(), read


def _user_starts(case: Case) -> Iterator[float]:
    """How much later than at once each request comes: the users of a closed loop start over the ramp-up, evenly."""
    load = case.load
    users = load.concurrency or 0
    if load.ramp_up_s and case.traffic.turns == 1:
        yield from (load.ramp_up_s * user / users for user in range(users))
    yield from (0.0 for _ in count())


def _notes(case: Case) -> Iterator[str]:
    load, traffic = case.load, case.traffic
    left_out = sorted({each for each in _PER_TOKEN if any(text.strip().startswith(each) for text in case.slo)})
    if left_out:
        yield f"objectives on {', '.join(left_out)} are not held: single tokens are not predicted"
    if traffic.kind == "images":
        yield "tokens of images are not counted, so this is too fast"
    if traffic.kind == "dataset":
        yield "tokens of the data set's rows are estimated, one a word"
    if load.max_in_flight is not None:
        yield f"the cap of {load.max_in_flight} requests in flight is left out"
    if load.ramp_up_s and traffic.turns > 1:
        yield "the users' ramp-up is left out"


# --- prompts' beginnings ----------------------------------------------------------------------------------------------------


class _Hashes:
    """Chained hashes of the full blocks of what requests have in common."""

    def __init__(self, block_tokens: int) -> None:
        self._block = block_tokens

    def of(self, parts: Sequence[tuple[str, int]]) -> tuple[int, ...]:
        """
        One hash for each full block of the parts; the same as another prompt's where, and as far as, both begin alike.

        A block is known by the one before it, and by which tokens of which parts are in it.
        """
        hashes: list[int] = []
        inside: list[tuple[str, int, int]] = []
        filled = before = 0
        for name, tokens in parts:
            at = 0
            while at < tokens:
                taken = min(tokens - at, self._block - filled)
                inside.append((name, at, taken))
                at, filled = at + taken, filled + taken
                if filled == self._block:
                    before = hash((before, tuple(inside)))
                    hashes.append(before)
                    inside, filled = [], 0
        return tuple(hashes)


def _arrival(ask: Ask, hashes: _Hashes) -> Arrival:
    return Arrival(
        prompt_tokens=ask.prompt_tokens,
        output_tokens=ask.output_tokens,
        at_s=ask.due_s,
        prefix=hashes.of(ask.parts) if ask.parts else (),
        follows=ask.turn > 0,
    )


# --- simulated times as traces ----------------------------------------------------------------------------------------------


def traces_of(asks: Sequence[Ask], answers: Sequence[Answer], *, open_loop: bool) -> Traces:
    """
    Simulated times as if they had been measured, so that every metric has its one formula.

    Of a request's tokens only the first and the last have a time, so what is between two of them has none of its own.
    """
    asks = asks[: len(answers)]
    arrived, first, last = (
        _ns([getattr(each, name) for each in answers]) for name in ("arrival_s", "first_token_s", "last_token_s")
    )
    got = np.array([each.output_tokens for each in answers], dtype=np.int64)
    done = np.not_equal(last, MISSING)
    events = np.where(np.not_equal(first, MISSING) & done, np.minimum(got, 2), 0)
    single = np.greater(events, 0)
    # The first token by itself, and all others with the last.
    times = np.stack([first, last], axis=1)[np.stack([single, np.equal(events, 2)], axis=1)]
    tokens = np.stack([np.ones_like(got), got - 1], axis=1)[np.stack([single, np.equal(events, 2)], axis=1)]
    none = np.full(len(answers), MISSING, dtype=np.int64)
    zero = np.zeros(len(answers), dtype=np.int64)
    prompts = np.array([each.prompt_tokens for each in asks], dtype=np.int64)
    return Traces(
        request_id=tuple(f"predicted-{number}" for number in range(len(answers))),
        intended_send_ns=arrived,
        send_ns=arrived,
        first_byte_ns=first,
        first_token_ns=first,
        last_token_ns=np.where(single, last, MISSING),
        first_content_ns=first,
        first_reasoning_ns=none,
        first_tool_ns=none,
        end_ns=np.where(done, last, arrived),
        prompt_tokens=prompts,
        prompt_tokens_asked=prompts,
        output_tokens=np.where(done, got, MISSING),
        output_tokens_asked=np.array([each.output_tokens for each in asks], dtype=np.int64),
        cached_tokens=none,
        bytes_received=zero,
        status=np.where(done, 200, 400),
        outcome=np.where(done, int(Ended.COMPLETED), int(Ended.FAILED)),
        resends=zero,
        cap_wait_ns=zero,
        errors=dict.fromkeys(np.flatnonzero(~done).tolist(), _REFUSED),
        event_offset=np.append(0, np.cumsum(events)).astype(np.int64),
        event_ns=times,
        event_tokens=tokens,
        open_loop=open_loop,
        clock="predicted",
        wall_offset_ns=0,
    )


def _ns(seconds: Sequence[float | None]) -> Ints:
    return np.array([MISSING if each is None else round(each * 1e9) for each in seconds], dtype=np.int64)

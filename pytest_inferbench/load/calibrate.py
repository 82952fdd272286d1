"""
How right the client can be on this machine: its figures held against a server that says when it sent each token.

An error is the client's time of a token minus the server's own log of that token, joined by request id: how late the server was
does not count, what the kernel, the network of this machine and the client add does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.cases.case import Case, EngineSpec, Lengths, Load, Traffic
from pytest_inferbench.engines.engine import TokenizerRef
from pytest_inferbench.errors import LoadError
from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.load.drive import Driven, Driver, Progress
from pytest_inferbench.load.floor import Floor
from pytest_inferbench.load.loopback import MODEL, Loopback, LoopbackLog, Schedule
from pytest_inferbench.load.plan import Recipe, make_plan
from pytest_inferbench.load.seeds import draw_seeds
from pytest_inferbench.load.tokens import counter_for
from pytest_inferbench.load.trace import MISSING, Traces

_NO_TOKENIZER = TokenizerRef(kind="none")
_PROMPT_TOKENS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Median, 99th percentile and largest of some errors, in milliseconds; NaN where there are none."""

    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """
    How far a client's times are from a server's, in milliseconds.

    Attributes:
        first: of the first token; positive where the client's time is later.
        last: of the last token, likewise.
        gap: of the time between two tokens, without its sign: |client's gap - server's gap|.
        requests: how many were compared.
        tokens: how many were compared.
    """

    first: Spread
    last: Spread
    gap: Spread
    requests: int
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The two short loads of a calibration, and the schedule of the server that answers them."""

    schedule: Schedule
    closed: Load
    open: Load


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """
    The floor of this machine: what a latency measured here cannot be righter than.

    Attributes:
        errors: of a closed loop of ``users`` users.
        users: of that loop.
        tokens_per_s: that it streamed.
        cpu_us_per_token: CPU time of the load process for each streamed token; its start and the decoding are not in it.
        send_lag_p50_ms, send_lag_p99_ms: actual minus intended send of an open loop.
        rate_asked_per_s, rate_achieved_per_s: of that open loop, in requests a second.
        server_late_p99_ms: how late the server itself was (the worst token of a request, 99th percentile): in no error, but a
            sign of a busy machine.
        clock: ``kernel`` or ``userspace``.
    """

    errors: Errors
    users: int
    tokens_per_s: float
    cpu_us_per_token: float
    send_lag_p50_ms: float
    send_lag_p99_ms: float
    rate_asked_per_s: float
    rate_achieved_per_s: float
    server_late_p99_ms: float
    clock: str


TRIAL = Trial(
    schedule=Schedule(ttft_ms=50, itl_ms=10, tokens=32),
    closed=Load(concurrency=64, requests=256, warmup=64),
    open=Load(rate_per_s=200, arrival="poisson", requests=None, duration_s=3.0, warmup=8),
)
"""What `calibrate` runs: about 5 seconds of load."""

_QUICK_SCHEDULE = Schedule(ttft_ms=10, itl_ms=2, tokens=16)
_QUICK_LOAD = Load(rate_per_s=250, arrival="poisson", requests=150, warmup=8)
"""Ten requests in flight and 4,000 tokens/s for 0.6 s: little for any machine, and 150 requests have a 99th percentile."""


@cache
def quick() -> Floor:
    """
    The least error of this client on this machine, as it is now; measured at the first call of a process, in 1 to 2 seconds.

    Raises:
        LoadError, EngineDied: a request did not complete, or the server's log and the client's record do not fit together.
    """
    driven, log = _against_loopback(_QUICK_SCHEDULE, _QUICK_LOAD)
    errors = errors_against(driven.measured, {name: sent.token_ns for name, sent in log.sent.items()})
    return Floor(
        first_p50_ms=errors.first.p50_ms,
        first_p99_ms=errors.first.p99_ms,
        lag_p50_ms=driven.audit.send_lag_ms_p50,
        lag_p99_ms=driven.audit.send_lag_ms_p99,
        requests=errors.requests,
        clock=driven.audit.clock,
    )


def calibrate(trial: Trial = TRIAL) -> Calibration:
    """
    Measure how right and how dear this client is on this machine, as it is now.

    Raises:
        LoadError: a request did not complete, or the server's log and the client's record do not fit together.
    """
    closed, log = _against_loopback(trial.schedule, trial.closed)
    opened, _ = _against_loopback(trial.schedule, trial.open)
    span_s = _span_s(closed.measured)
    tokens = len(closed.measured.event_ns)
    return Calibration(
        errors=errors_against(closed.measured, {name: sent.token_ns for name, sent in log.sent.items()}),
        users=trial.closed.concurrency or 0,
        tokens_per_s=tokens / span_s,
        cpu_us_per_token=closed.audit.loop_busy_share * span_s * 1e6 / tokens,
        send_lag_p50_ms=opened.audit.send_lag_ms_p50,
        send_lag_p99_ms=opened.audit.send_lag_ms_p99,
        rate_asked_per_s=trial.open.rate_per_s or 0.0,
        rate_achieved_per_s=opened.audit.rate_achieved_per_s,
        server_late_p99_ms=log.late_ms(0.99),
        clock=closed.audit.clock,
    )


def _against_loopback(schedule: Schedule, load: Load) -> tuple[Driven, LoopbackLog]:
    """Drive one load against a loopback server of its own."""
    with Loopback.start(schedule) as server:
        driven = drive_known(known_case(load, output_tokens=schedule.tokens), url=server.url)
    if lost := np.flatnonzero(~driven.measured.completed).tolist():
        why = driven.measured.errors.get(lost[0], "no reason is known")
        raise LoadError(f"{len(lost)} of {len(driven.measured)} requests to the loopback server did not complete: {why}")
    return driven, server.log


def known_case(load: Load, *, output_tokens: int) -> Case:
    """A case for a server whose schedule is known: ``D(32, output_tokens)`` at this load."""
    return Case(
        id=f"loopback-{load.label}",
        suite="calibrate",
        hardware="cpu",
        engine=EngineSpec(name="openai"),
        model=MODEL,
        tensor_parallel=1,
        traffic=Traffic(
            text=f"D({_PROMPT_TOKENS},{output_tokens})",
            input_tokens=Lengths(kind="fixed", first=_PROMPT_TOKENS),
            output_tokens=Lengths(kind="fixed", first=output_tokens),
        ),
        load=load,
    )


def drive_known(
    case: Case, *, url: str, on_progress: Callable[[Progress], None] = lambda _: None, workers: int | None = None
) -> Driven:
    """
    Drive a case of `known_case` at a server, with prompts of estimated length; the rest as for `Driver`.

    Raises:
        LoadError: the load could not be planned or driven.
    """
    endpoint = Endpoint(url=url, model=case.model, engine="loopback", tokenizer=_NO_TOKENIZER)
    recipe = Recipe(case=case, model=case.model, seeds=draw_seeds(0), counter=counter_for(_NO_TOKENIZER))
    plan = make_plan(recipe)
    try:
        return Driver(case, endpoint, plan, id_prefix="calibrate", on_progress=on_progress).run(workers=workers)
    finally:
        plan.close()


def errors_against(traces: Traces, sent_ns: Mapping[str, Sequence[int]]) -> Errors:
    """
    Hold every token of every completed request against a server's log.

    ``sent_ns`` maps a request's id to the instant at which the server sent each of its tokens (CLOCK_MONOTONIC nanoseconds).

    Raises:
        LoadError: a completed request is not in the log, or has more or fewer content events than the server sent.
    """
    rows = np.flatnonzero(traces.completed & (traces.first_token_ns != MISSING)).tolist()
    truth = [_sent(traces, row, sent_ns) for row in rows]
    late_ms = _events_of(traces, rows) - np.fromiter(chain.from_iterable(truth), np.int64)
    errors_ms = late_ms / 1e6
    ends = np.cumsum([len(each) for each in truth], dtype=np.int64)
    first = np.append(0, ends[:-1])[: len(ends)]
    gaps_ms = np.delete(np.diff(errors_ms), ends[:-1] - 1) if len(rows) else errors_ms
    return Errors(
        first=_spread(errors_ms[first]),
        last=_spread(errors_ms[ends - 1]),
        gap=_spread(np.abs(gaps_ms)),
        requests=len(rows),
        tokens=len(errors_ms),
    )


def _sent(traces: Traces, row: int, sent_ns: Mapping[str, Sequence[int]]) -> Sequence[int]:
    """What the server says of a request, as long as it is as many tokens as the client has events."""
    name = traces.request_id[row]
    found = sent_ns.get(name)
    if found is None:
        raise LoadError(f"request {name} completed, and is not in the server's log")
    events = int(traces.event_offset[row + 1] - traces.event_offset[row])
    if len(found) != events:
        raise LoadError(f"request {name} has {events} content events, and the server sent {len(found)} tokens")
    return found


def _events_of(traces: Traces, rows: Sequence[int]) -> NDArray[np.int64]:
    """Times of the events of these requests, one after the other."""
    parts = [traces.event_ns[traces.event_offset[row] : traces.event_offset[row + 1]] for row in rows]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _spread(errors_ms: NDArray[np.float64]) -> Spread:
    if not len(errors_ms):
        return Spread(p50_ms=np.nan, p99_ms=np.nan, max_ms=np.nan)
    p50, p99 = np.percentile(errors_ms, [50, 99])
    return Spread(p50_ms=float(p50), p99_ms=float(p99), max_ms=float(errors_ms.max()))


def _span_s(traces: Traces) -> float:
    """From the first send to the last end, in seconds."""
    return float(traces.end_ns.max() - traces.send_ns.min()) / 1e9

"""
Drives one load from the outside: starts its load processes, feeds them the plan, watches them, and reads what they recorded.

Rule: nothing measured here is a figure; this side may be as late as it likes.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import IO
from urllib.parse import SplitResult

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.cases.case import Case
from pytest_inferbench.errors import EngineDied, LoadError
from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.launch.headers import filled_headers
from pytest_inferbench.load.address import bearer_key, head_of_requests, path_of, request_headers, resolve, url_parts
from pytest_inferbench.load.api import api_named
from pytest_inferbench.load.audit import Audit
from pytest_inferbench.load.clock import monotonic_ns, wall_offset_ns
from pytest_inferbench.load.decode import Decoder, Facts
from pytest_inferbench.load.lookout import Lookout
from pytest_inferbench.load.peek import Peek, kept_off
from pytest_inferbench.load.plan import PlanFile
from pytest_inferbench.load.process import LoadProcess
from pytest_inferbench.load.processes import LoadProcesses
from pytest_inferbench.load.recent import Latest, Recent
from pytest_inferbench.load.selfcheck import WorkerCounts, audit_of, steal_ticks
from pytest_inferbench.load.stopped import Stopped, Stopper
from pytest_inferbench.load.trace import Traces
from pytest_inferbench.load.worker import Job
from pytest_inferbench.load.workers import WARMUP_USERS, cores_of_their_own, share, warmup_users, workers_for
from pytest_inferbench.redaction import MASK

_START_LIMIT_S = 60.0
_SILENCE_LIMIT_S = 60.0
_TICK_S = 0.25
_LEAD_NS = 20_000_000
_STOP_LIMIT_S = 10.0
_RATE_NS = 400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """
    How far a load is: measured requests done and sent, reads (about one a token) a second of late.

    ``draining``: enough was seen, so nothing more is sent, and what is on the wire ends. The last three are for people who watch
    and asked for them, and None otherwise: see `recent.Latest`.
    """

    phase: str
    done: int
    sent: int
    reads_per_s: float
    elapsed_s: float
    draining: bool = False
    ttft_ms_recent: float | None = None
    tpot_ms_recent: float | None = None
    output_tokens_per_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """
    What a load gave.

    Attributes:
        stopped: it was broken off, and some requests with it.
        sure: why it ended early, with an answer to all that was sent; None where it did not.
        looks: into how many parts the chance of an error is divided: 1 where nobody looked before it was over.
    """

    measured: Traces
    warmup: Traces
    audit: Audit
    stopped: bool
    sure: Stopped | None = None
    looks: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before:
    """What was read before the load, to be held against the same afterwards."""

    steal: tuple[int, int] | None
    offset_ns: int


class Driver:
    """
    Drives one plan at one endpoint.

    Requests go straight to the endpoint: ``http_proxy`` and its like are not followed, since a proxy's own waits would be
    measured as the server's. A request counts as attempted once it was sent, or was to be sent and found no connection; rows
    that were due and never handed out, because the load was stopped, are not. Where a load process itself is killed, the
    answers that were on their way to it are lost with it; all that had ended are kept, and the other processes stop.

    Args:
        case: what is measured.
        endpoint: where.
        plan: what is sent; stays open.
        id_prefix: beginning of every request id.
        on_progress: called about four times a second while the load runs; whatever it raises stops the load and is raised
            again by `run`, after everything recorded so far was read (see ``driven``).
    """

    def __init__(
        self, case: Case, endpoint: Endpoint, plan: PlanFile, *, id_prefix: str, on_progress: Callable[[Progress], None]
    ) -> None:
        self._case = case
        self._endpoint = endpoint
        self._plan = plan
        self._id_prefix = id_prefix
        self._on_progress = on_progress
        self._api = api_named(case.api, case.api_options)
        self._secrets: tuple[str, ...] = ()
        self._phase = "warm-up"
        self._started_ns = monotonic_ns()
        self._last = (0, 0)
        self._reads_per_s = 0.0
        self._counts = WorkerCounts()
        self._records: list[IO[bytes]] = []
        self._cores: frozenset[int] = frozenset()
        self._decoder = Decoder(api=self._api, warmup=plan.warmup)
        self._peek: Peek | None = None
        self._recent: Recent | None = None
        self._lookout: Lookout | None = None
        self._latest = Latest()
        self._sure: Stopped | None = None
        self._looks = 1
        self.driven: Driven | None = None
        """What was measured; set also where `run` raises, as long as the load had started."""

    def run(self, *, workers: int | None = None, stopper: Stopper | None = None, live: bool = False) -> Driven:
        """
        Drive the load to its end, with ``workers`` load processes or as many as it needs; to be called once.

        Where a ``stopper`` has seen enough, nothing more is sent; what is on the wire by then ends as it would have. ``live``:
        progress tells what the newest requests were like.

        Raises:
            LoadError: a load process could not start, or broke.
            EngineDied: for as long as a connection may take to open (``limits.connect_s``) the server took none, and answered
                nobody; what was measured until then is in ``driven``.
            KeyboardInterrupt: Ctrl-C; what was measured until then is in ``driven``.
        """
        before = _Before(steal=steal_ticks(), offset_ns=wall_offset_ns())
        with contextlib.ExitStack() as files:
            processes = LoadProcesses(_started(self._jobs(workers, files)))
            try:
                self._look_on(stopper, live=live, offset_ns=before.offset_ns)
                self._watch(processes)
            except BaseException:
                self._halt(processes)
                # What was measured must not hide why the load stopped, should it be unreadable.
                with contextlib.suppress(LoadError):
                    self.driven = self._read(before, stopped=True)
                raise
            finally:
                processes.end()
            gave_up = self._counts.gave_up
            self.driven = self._read(before, stopped=gave_up)
        if gave_up:
            raise self._obituary(self.driven.measured)
        return self.driven

    def _obituary(self, measured: Traces) -> EngineDied:
        """The server as it looked from here: its last refusal, in the system's words."""
        words = measured.errors[max(measured.errors)] if measured.errors else "it took no connection"
        done = int(measured.completed.sum())
        return EngineDied(
            f"the load gave up: for {self._case.limits.connect_s:g} s nothing but refused connections came ({words}), "
            f"after {done} completed requests; is the server still running?"
        )

    def _jobs(self, asked: int | None, files: contextlib.ExitStack) -> list[Job]:
        """A job for each load process, with its share of users and slots, and a file for what it records."""
        load, whole, usable = self._case.load, self._job(), usable_cores()
        workers = workers_for(self._case, self._plan.read_rows, warmup=whole.warmup, cores=len(usable), asked=asked)
        cap = load.max_in_flight
        jobs = []
        for number, cpu in enumerate(cores_of_their_own(workers, usable)):
            self._records.append(files.enter_context(_record_file()))
            job = replace(
                whole,
                record_fd=self._records[-1].fileno(),
                first=number,
                stride=workers,
                warmup_users=warmup_users(whole.warmup_users, number, workers, warmup=whole.warmup),
                users=None if whole.users is None else share(whole.users, number, workers),
                max_in_flight=None if cap is None else share(cap, number, workers),
                cpu=cpu,
            )
            jobs.append(job)
        self._cores = frozenset(job.cpu for job in jobs if job.cpu is not None)
        return jobs

    def _look_on(self, stopper: Stopper | None, *, live: bool, offset_ns: int) -> None:
        """Make ready what looks at the recordings while the load runs, as far as anybody asked for it."""
        descriptors = [file.fileno() for file in self._records]
        self._peek = Peek(descriptors, self._decoder)
        if live:
            open_loop = self._case.load.open_loop
            self._recent = Recent(descriptors, api=self._api, warmup=self._plan.warmup, open_loop=open_loop)
        if stopper is None:
            return

        def traces(places: NDArray[np.intp]) -> Traces:
            return self._decoder.some(places, plan_rows=self._plan.read_rows(), facts=self._facts(offset_ns))

        self._looks = stopper.looks
        self._lookout = Lookout(self._peek, stopper, traces=traces, turns=self._case.traffic.turns, cores=self._cores)

    def _job(self) -> Job:
        """What one process would have to do if it were the only one; it has no file yet."""
        load, limits = self._case.load, self._case.limits
        parts = url_parts(self._endpoint.url)
        family, address = resolve(parts)
        users = None if load.open_loop else load.concurrency
        seconds = (limits.connect_s, limits.first_token_s, limits.stall_s, limits.total_s)
        return Job(
            host=parts.hostname or "",
            family=family,
            address=list(address),
            tls=parts.scheme == "https",
            ca_file=self._case.api_options.ca_file or self._endpoint.ca_file,
            head=self._head(parts),
            api=self._case.api,
            api_options=asdict(replace(self._case.api_options, headers=())),
            id_prefix=self._id_prefix,
            limits_ns=[round(limit * 1e9) for limit in seconds],
            rows_fd=self._plan.descriptors[0],
            bodies_fd=self._plan.descriptors[1],
            record_fd=-1,
            first=0,
            stride=1,
            turns=self._case.traffic.turns,
            warmup=self._plan.warmup,
            rows=self._plan.rows,
            complete=self._plan.complete,
            warmup_users=min(self._plan.warmup, load.concurrency or WARMUP_USERS),
            users=users,
            duration_ns=None if load.duration_s is None else round(load.duration_s * 1e9),
            user_gap_ns=round(load.ramp_up_s * 1e9 / load.concurrency) if load.concurrency else 0,
            max_in_flight=load.max_in_flight,
        )

    def _head(self, parts: SplitResult) -> str:
        """What every request begins with; from here on its secrets are known, and hidden in what is kept."""
        key = bearer_key(self._endpoint)
        own = filled_headers(self._case.api_options.headers, environ=os.environ)
        self._secrets = (*own.secrets.values, *([] if key is None else [key]))
        headers = request_headers(self._api, key, own.headers)
        return head_of_requests(parts, path_of(self._api, self._endpoint.model), headers).decode("ascii")

    # -- watching -----------------------------------------------------------------------------------------------------

    def _watch(self, processes: LoadProcesses) -> None:
        """Listen until the load is over, feeding it rows."""
        while not processes.done:
            if processes.hear(_TICK_S):
                self._count(processes.counts)
            if self._phase == "warm-up" and processes.warm:
                self._phase = "measuring"
                self._started_ns = monotonic_ns() + _LEAD_NS
                processes.go(self._started_ns)
            processes.check_silence(start_limit_s=_START_LIMIT_S, limit_s=_SILENCE_LIMIT_S)
            self._feed(processes)
            if self._phase == "measuring":
                self._look(processes)
            self._on_progress(self._progress())

    def _look(self, processes: LoadProcesses) -> None:
        """See what was recorded since, and have nothing more sent if that is enough."""
        if self._recent is not None:
            with kept_off(self._cores):
                self._latest = self._recent.look(monotonic_ns())
        if self._lookout is not None and self._sure is None and not processes.done:
            self._sure = self._lookout.look(self._started_ns)
            if self._sure is not None:
                processes.drain()

    def _count(self, counts: WorkerCounts) -> None:
        self._counts = counts
        now_ns = monotonic_ns()
        before_ns, reads = self._last
        # Processes tell in turn, and what one has read since is no rate of all.
        if now_ns - before_ns >= _RATE_NS:
            if before_ns:
                self._reads_per_s = (counts.reads - reads) * 1e9 / (now_ns - before_ns)
            self._last = (now_ns, counts.reads)

    def _feed(self, processes: LoadProcesses) -> None:
        """Keep the plan well ahead of what is sent."""
        if self._sure is not None:
            return
        plan = self._plan
        lead = 2 * (self._case.load.concurrency or 0) * self._case.traffic.turns + 1000
        if not processes.done and not plan.complete and plan.rows - processes.furthest < lead:
            plan.extend()
            processes.tell(do="rows", rows=plan.rows, complete=plan.complete)

    def _halt(self, processes: LoadProcesses) -> None:
        """Have the load processes give up what is on the wire and keep what they have; then end them."""
        try:
            processes.stop(_STOP_LIMIT_S)
            self._counts = processes.counts
        finally:
            # Nobody may write any more when the recordings are read.
            processes.end()

    def _progress(self) -> Progress:
        warmup, counts = self._plan.warmup, self._counts
        past = self._phase == "measuring"
        return Progress(
            phase=self._phase,
            done=max(0, counts.done - warmup) if past else counts.done,
            sent=max(0, counts.sent - warmup) if past else counts.sent,
            reads_per_s=self._reads_per_s,
            elapsed_s=max(0.0, (monotonic_ns() - self._started_ns) / 1e9),
            draining=self._sure is not None,
            ttft_ms_recent=self._latest.ttft_ms,
            tpot_ms_recent=self._latest.tpot_ms,
            output_tokens_per_s=self._latest.output_tokens_per_s,
        )

    # -- reading ------------------------------------------------------------------------------------------------------

    def _read(self, before: _Before, *, stopped: bool) -> Driven:
        if self._peek is not None:
            self._peek.take_all()
        decoded = self._decoder.decoded(plan_rows=self._plan.read_rows(), facts=self._facts(before.offset_ns))
        steal = (before.steal, steal_ticks())
        audit = audit_of(self._case, decoded, self._counts, token_source=self._plan.tokens.source, steal=steal)
        measured, warmup = self._without_secrets(decoded.measured), self._without_secrets(decoded.warmup)
        sure = None if self._sure is None or stopped else replace(self._sure, at=len(measured))
        return Driven(measured=measured, warmup=warmup, audit=audit, stopped=stopped, sure=sure, looks=self._looks)

    def _facts(self, offset_ns: int) -> Facts:
        """What holds for all requests, as far as it is known."""
        counts = self._counts
        clock = "kernel" if counts.reads and not counts.userspace_reads else "userspace"
        return Facts(id_prefix=self._id_prefix, open_loop=self._case.load.open_loop, clock=clock, wall_offset_ns=offset_ns)

    def _without_secrets(self, traces: Traces) -> Traces:
        """The traces, should a server have repeated a key in what it says of a request."""
        return replace(traces, errors={row: self._hidden(error) for row, error in traces.errors.items()})

    def _hidden(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text


def _record_file() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(prefix="inferbench-record-")
    except OSError as error:
        raise LoadError(f"no file for what is measured can be made: {error}; set TMPDIR to a folder that has room") from error


def _started(jobs: Sequence[Job]) -> list[LoadProcess]:
    """A load process for each job; none where one cannot be started."""
    with contextlib.ExitStack() as stack:
        processes = []
        for job in jobs:
            processes.append(LoadProcess(job))
            stack.callback(processes[-1].end)
        stack.pop_all()
    return processes


def usable_cores() -> frozenset[int]:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))

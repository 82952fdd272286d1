"""
Drives one load from the outside: starts the load process, feeds it the plan, watches it, and reads what it recorded.

Rule: nothing measured here is a figure; this side may be as late as it likes.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import IO, Any
from urllib.parse import SplitResult

from pytest_inferbench.cases.case import Case
from pytest_inferbench.errors import LoadError
from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.launch.headers import filled_headers
from pytest_inferbench.load.address import bearer_key, head_of_requests, path_of, request_headers, resolve, url_parts
from pytest_inferbench.load.api import api_named
from pytest_inferbench.load.audit import Audit
from pytest_inferbench.load.clock import monotonic_ns, wall_offset_ns
from pytest_inferbench.load.decode import Decoded, Facts, decode
from pytest_inferbench.load.plan import PlanFile
from pytest_inferbench.load.process import LoadProcess
from pytest_inferbench.load.recording import read_recordings
from pytest_inferbench.load.selfcheck import WorkerCounts, audit_of, steal_ticks
from pytest_inferbench.load.trace import Traces
from pytest_inferbench.load.worker import Job
from pytest_inferbench.redaction import MASK

_START_LIMIT_S = 60.0
_SILENCE_LIMIT_S = 60.0
_TICK_S = 0.25
_LEAD_NS = 20_000_000
_STOP_LIMIT_S = 10.0
_OPEN_WARMUP_USERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a load is: measured requests done and sent, reads (about one a token) a second of late."""

    phase: str
    done: int
    sent: int
    reads_per_s: float
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """What a load gave: traces, the audit, and whether it was stopped before its end."""

    measured: Traces
    warmup: Traces
    audit: Audit
    stopped: bool


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
    that were due and never handed out, because the load was stopped, are not. Where the load process itself is killed, the
    answers that were on their way at that moment are lost with it; all that had ended are kept.

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
        self._done = False
        self._record: IO[bytes]
        self.driven: Driven | None = None
        """What was measured; set also where `run` raises, as long as the load had started."""

    def run(self) -> Driven:
        """
        Drive the load to its end; to be called once.

        Raises:
            LoadError: the load process could not start, or broke.
            KeyboardInterrupt: Ctrl-C; what was measured until then is in ``driven``.
        """
        before = _Before(steal=steal_ticks(), offset_ns=wall_offset_ns())
        with _record_file() as self._record:
            process = LoadProcess(self._job())
            try:
                self._watch(process)
            except BaseException:
                self._halt(process)
                # What was measured must not hide why the load stopped, should it be unreadable.
                with contextlib.suppress(LoadError):
                    self.driven = self._read(before, stopped=True)
                raise
            finally:
                process.end()
            self.driven = self._read(before, stopped=False)
        return self.driven

    def _job(self) -> Job:
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
            record_fd=self._record.fileno(),
            first=0,
            stride=1,
            turns=self._case.traffic.turns,
            warmup=self._plan.warmup,
            rows=self._plan.rows,
            complete=self._plan.complete,
            warmup_users=min(self._plan.warmup, load.concurrency or _OPEN_WARMUP_USERS),
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

    def _watch(self, process: LoadProcess) -> None:
        """Listen until the load is over, feeding it rows."""
        limit_s = _START_LIMIT_S
        heard_s = time.monotonic()
        while not self._done:
            for said in process.hear(_TICK_S):
                self._take(said, process)
                heard_s, limit_s = time.monotonic(), _SILENCE_LIMIT_S
            if time.monotonic() - heard_s > limit_s:
                raise LoadError(f"the load process has said nothing for {limit_s:g} s; is this machine overloaded?")
            self._feed(process)
            self._on_progress(self._progress())

    def _take(self, said: dict[str, Any], process: LoadProcess) -> None:
        """Take in one message."""
        state = said["state"]
        if state == "broken":
            raise LoadError(said["why"])
        if state == "warm":
            self._phase = "measuring"
            self._started_ns = monotonic_ns() + _LEAD_NS
            process.tell(do="go", at_ns=self._started_ns)
        elif state in ("progress", "done"):
            self._count(WorkerCounts.of(said))
            self._done = state == "done"

    def _count(self, counts: WorkerCounts) -> None:
        now_ns = monotonic_ns()
        before_ns, reads = self._last
        if before_ns:
            self._reads_per_s = (counts.reads - reads) * 1e9 / max(1, now_ns - before_ns)
        self._last = (now_ns, counts.reads)
        self._counts = counts

    def _feed(self, process: LoadProcess) -> None:
        """Keep the plan well ahead of what is sent."""
        plan = self._plan
        lead = 2 * (self._case.load.concurrency or 0) + 1000
        if not self._done and not plan.complete and plan.rows - self._counts.sent < lead:
            plan.extend()
            process.tell(do="rows", rows=plan.rows, complete=plan.complete)

    def _halt(self, process: LoadProcess) -> None:
        """Have the load process give up what is on the wire and keep what it has; then end it."""
        deadline_s = time.monotonic() + _STOP_LIMIT_S
        try:
            process.tell(do="stop")
            while not self._done and (left_s := deadline_s - time.monotonic()) > 0:
                for said in process.hear(left_s):
                    if said["state"] == "done":
                        self._take(said, process)
        except LoadError:
            # It broke; what it had written is read all the same.
            pass
        finally:
            # Nobody may write any more when the recordings are read.
            process.end()

    def _progress(self) -> Progress:
        warmup, counts = self._plan.warmup, self._counts
        past = self._phase == "measuring"
        return Progress(
            phase=self._phase,
            done=max(0, counts.done - warmup) if past else counts.done,
            sent=max(0, counts.sent - warmup) if past else counts.sent,
            reads_per_s=self._reads_per_s,
            elapsed_s=max(0.0, (monotonic_ns() - self._started_ns) / 1e9),
        )

    # -- reading ------------------------------------------------------------------------------------------------------

    def _read(self, before: _Before, *, stopped: bool) -> Driven:
        decoded = self._decode(before.offset_ns)
        steal = (before.steal, steal_ticks())
        audit = audit_of(self._case, decoded, self._counts, token_source=self._plan.tokens.source, steal=steal)
        measured, warmup = self._without_secrets(decoded.measured), self._without_secrets(decoded.warmup)
        return Driven(measured=measured, warmup=warmup, audit=audit, stopped=stopped)

    def _decode(self, offset_ns: int) -> Decoded:
        self._record.seek(0)
        counts = self._counts
        clock = "kernel" if counts.reads and not counts.userspace_reads else "userspace"
        facts = Facts(id_prefix=self._id_prefix, open_loop=self._case.load.open_loop, clock=clock, wall_offset_ns=offset_ns)
        return decode(
            read_recordings(self._record),
            api=self._api,
            plan_rows=self._plan.read_rows(),
            warmup=self._plan.warmup,
            facts=facts,
        )

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

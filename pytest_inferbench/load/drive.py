"""
Drives one load from the outside: starts the load process, feeds it the plan, watches it, and reads what it recorded.

Rule: nothing measured here is a figure; this side may be as late as it likes.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import IO, Any
from urllib.parse import SplitResult, urlsplit

from pytest_inferbench.cases.case import Case
from pytest_inferbench.errors import LoadError
from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.load.api import api_named
from pytest_inferbench.load.audit import Audit
from pytest_inferbench.load.clock import monotonic_ns, wall_offset_ns
from pytest_inferbench.load.decode import Decoded, Facts, decode
from pytest_inferbench.load.http1 import request_head
from pytest_inferbench.load.plan import PlanFile
from pytest_inferbench.load.recording import read_recordings
from pytest_inferbench.load.selfcheck import WorkerCounts, audit_of, steal_ticks
from pytest_inferbench.load.trace import Traces
from pytest_inferbench.load.worker import Job

_START_LIMIT_S = 60.0
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


class Driver:
    """
    Drives one plan at one endpoint.

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
        self._record: IO[bytes] = tempfile.TemporaryFile(prefix="inferbench-record-")  # noqa: SIM115 - closed by run()
        self._phase = "warm-up"
        self._started_ns = monotonic_ns()
        self._last = (0, 0)
        self._reads_per_s = 0.0
        self._counts: WorkerCounts | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.driven: Driven | None = None
        """What was measured; set also where `run` raises, as long as the load had started."""

    def run(self) -> Driven:
        """
        Drive the load to its end.

        Raises:
            LoadError: the load process could not start, or broke.
            KeyboardInterrupt: Ctrl-C; what was measured until then is in ``driven``.
        """
        steal = steal_ticks()
        offset_ns = wall_offset_ns()
        try:
            self._start()
            self._watch()
        except BaseException:
            self._halt()
            self.driven = self._read(steal, offset_ns, stopped=True)
            raise
        finally:
            self._end_process()
        self.driven = self._read(steal, offset_ns, stopped=False)
        self._record.close()
        return self.driven

    def _start(self) -> None:
        fds = (*self._plan.descriptors, self._record.fileno())
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pytest_inferbench.load.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=fds,
            start_new_session=True,
        )
        self._tell(**asdict(self._job()))

    def _job(self) -> Job:
        load, limits = self._case.load, self._case.limits
        parts = urlsplit(self._endpoint.url)
        family, address = _resolve(parts)
        users = None if load.open_loop else load.concurrency
        seconds = (limits.connect_s, limits.first_token_s, limits.stall_s, limits.total_s)
        return Job(
            host=parts.hostname or "",
            family=family,
            address=list(address),
            tls=parts.scheme == "https",
            ca_file=None,
            head=self._head(parts),
            api=self._case.api,
            id_prefix=self._id_prefix,
            limits_ns=[round(limit * 1e9) for limit in seconds],
            rows_fd=self._plan.descriptors[0],
            bodies_fd=self._plan.descriptors[1],
            record_fd=self._record.fileno(),
            first=0,
            stride=1,
            warmup=self._plan.warmup,
            rows=self._plan.rows,
            complete=self._plan.complete,
            warmup_users=min(self._plan.warmup, load.concurrency or _OPEN_WARMUP_USERS),
            users=users,
            duration_ns=None if load.duration_s is None else round(load.duration_s * 1e9),
        )

    def _head(self, parts: SplitResult) -> str:
        headers = [("Content-Type", "application/json"), ("Accept", "text/event-stream"), ("User-Agent", "pytest-inferbench")]
        if self._endpoint.api_key_env is not None:
            key = os.environ.get(self._endpoint.api_key_env)
            if not key:
                raise LoadError(
                    f"the environment variable {self._endpoint.api_key_env}, which is to hold the server's key, is not set"
                )
            headers.append(("Authorization", f"Bearer {key}"))
        path = parts.path.rstrip("/") + api_named(self._case.api).path
        return request_head("POST", path, parts.netloc.rpartition("@")[2], headers).decode("latin-1")

    # -- watching -----------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        process = self._running()
        assert process.stdout is not None  # noqa: S101 - opened as a pipe
        held = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while self._counts is None:
                if selector.select(_TICK_S):
                    data = os.read(process.stdout.fileno(), 65536)
                    if not data:
                        self._broke()
                    *lines, held = (held + data).split(b"\n")
                    for line in lines:
                        self._hear(json.loads(line))
                self._feed()
                self._on_progress(self._progress())

    def _hear(self, said: dict[str, Any]) -> None:
        if said["state"] == "warm":
            self._phase = "measuring"
            self._started_ns = monotonic_ns() + _LEAD_NS
            self._tell(do="go", at_ns=self._started_ns)
        elif said["state"] == "progress":
            now_ns = monotonic_ns()
            before_ns, reads = self._last
            if before_ns:
                self._reads_per_s = (said["reads"] - reads) * 1e9 / max(1, now_ns - before_ns)
            self._last = (now_ns, said["reads"])
            self._sent, self._done = said["sent"], said["done"]
        elif said["state"] == "done":
            self._counts = WorkerCounts.of(said)

    def _feed(self) -> None:
        """Keep the plan well ahead of what is sent."""
        plan = self._plan
        lead = 2 * (self._case.load.concurrency or 0) + 1000
        if not plan.complete and plan.rows - self._sent < lead:
            plan.extend()
            self._tell(do="rows", rows=plan.rows, complete=plan.complete)

    def _progress(self) -> Progress:
        warmup = self._plan.warmup
        past = self._phase == "measuring"
        return Progress(
            phase=self._phase,
            done=max(0, self._done - warmup) if past else self._done,
            sent=max(0, self._sent - warmup) if past else self._sent,
            reads_per_s=self._reads_per_s,
            elapsed_s=max(0.0, (monotonic_ns() - self._started_ns) / 1e9),
        )

    _sent = 0
    _done = 0

    # -- the process --------------------------------------------------------------------------------------------------

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise LoadError("the load process was not started")
        return self._process

    def _tell(self, **what: Any) -> None:
        process = self._running()
        assert process.stdin is not None  # noqa: S101 - opened as a pipe
        try:
            process.stdin.write(json.dumps(what).encode() + b"\n")
            process.stdin.flush()
        except OSError:
            self._broke()

    def _broke(self) -> None:
        process = self._running()
        code = process.wait(_STOP_LIMIT_S)
        said = process.stderr.read().decode(errors="replace").strip() if process.stderr else ""
        raise LoadError(f"the load process ended unexpectedly (exit code {code}): {said[-2000:] or 'it said nothing'}")

    def _halt(self) -> None:
        """Ask the load process to give up what is on the wire and keep what it has."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        try:
            self._tell(do="stop")
            deadline = time.monotonic() + _STOP_LIMIT_S
            assert process.stdout is not None  # noqa: S101 - opened as a pipe
            held = b""
            while self._counts is None and time.monotonic() < deadline:
                data = os.read(process.stdout.fileno(), 65536)
                if not data:
                    return
                *lines, held = (held + data).split(b"\n")
                for said in map(json.loads, lines):
                    if said["state"] == "done":
                        self._counts = WorkerCounts.of(said)
        except (LoadError, OSError):
            # It broke; what it had written is read all the same.
            return

    def _end_process(self) -> None:
        process = self._process
        if process is None:
            return
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    # -- reading ------------------------------------------------------------------------------------------------------

    def _read(self, steal_before: tuple[int, int] | None, offset_ns: int, *, stopped: bool) -> Driven:
        counts = self._counts or WorkerCounts()
        decoded = self._decode(counts, offset_ns)
        audit = audit_of(self._case, decoded, counts, token_source=self._plan.tokens.source, steal=(steal_before, steal_ticks()))
        return Driven(measured=decoded.measured, warmup=decoded.warmup, audit=audit, stopped=stopped)

    def _decode(self, counts: WorkerCounts, offset_ns: int) -> Decoded:
        self._record.seek(0)
        clock = "kernel" if counts.reads and not counts.userspace_reads else "userspace"
        facts = Facts(id_prefix=self._id_prefix, open_loop=self._case.load.open_loop, clock=clock, wall_offset_ns=offset_ns)
        return decode(
            read_recordings(self._record),
            api=api_named(self._case.api),
            plan_rows=self._plan.read_rows(),
            warmup=self._plan.warmup,
            facts=facts,
        )


def _resolve(parts: SplitResult) -> tuple[int, tuple[Any, ...]]:
    """Address family and address of a URL's host: the first that accepts a connection."""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = parts.hostname or ""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise LoadError(f"cannot find the address of {host}: {error}") from error
    for family, _, _, _, address in found[:-1]:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.settimeout(2.0)
            if trial.connect_ex(address) == 0:
                return family, address
    return found[-1][0], found[-1][4]

"""
A load process: ``python -m pytest_inferbench.load.worker``.

It is told what to do in one line of JSON on its standard input, says on its standard output (a line of JSON each) that it is
``ready``, that the warm-up is over (``warm``), how far it is (``progress``), and what it counted (``done``), or why it cannot
go on (``broken``). Between them it obeys ``go`` (with the instant to start at), ``rows`` (the plan has grown), ``drain`` (send
nothing more, and wait for what is on the wire) and ``stop`` (give that up, too); when its input ends, whoever started it is gone,
and so is the worker. Keys of servers reach it through its input only.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import select
import signal
import socket
import tempfile
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

from pytest_inferbench.cases.case import ApiOptions
from pytest_inferbench.errors import LoadError
from pytest_inferbench.load.api import api_named
from pytest_inferbench.load.clock import hold_stamps, monotonic_ns
from pytest_inferbench.load.connection import Connection, Target
from pytest_inferbench.load.conversations import ConversationSchedule
from pytest_inferbench.load.decode import request_id
from pytest_inferbench.load.exchange import has_token
from pytest_inferbench.load.poller import make_poller
from pytest_inferbench.load.promptness import ask_for_short_turns
from pytest_inferbench.load.recording import Ending, Recording, pack
from pytest_inferbench.load.refusals import Refusals
from pytest_inferbench.load.schedule import CappedSchedule, ClosedSchedule, OpenSchedule, Rows, Schedule
from pytest_inferbench.load.tls import client_context
from pytest_inferbench.load.wire import Wire, WireLimits

_STDIN, _STDOUT = 0, 1
_SWEEP_NS = 100_000_000
_PROGRESS_NS = 500_000_000
_NEVER_NS = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """
    What a load process is told to do.

    Attributes:
        host, family, address, tls, ca_file: where to connect (``address`` is resolved), and how the server is verified.
        head: the request's head up to the request's own headers.
        api, api_options: name of the API and `cases.case.ApiOptions` (without headers), to see whether a late answer has a token.
        id_prefix: beginning of every request id.
        limits_ns: connect, first token, stall, total.
        rows_fd, bodies_fd, record_fd: the plan's files and the file for recordings, inherited.
        first, stride: which rows are this process's.
        warmup: rows of warm-up; ``rows`` all rows so far; ``complete``: there will be no more.
        warmup_users, users: users of this process; ``users`` is None in an open loop.
        user_gap_ns: in a closed loop, the time from one user's start to the next one's, over all load processes; 0: all at once.
        max_in_flight: in an open loop, the most requests of this process on the wire; None: no cap.
        turns: rows of a conversation, which one user of one process sends one after the other.
        cpu: the core to stay on; None: any.
        duration_ns: after this time a closed loop sends no more; None: until the rows end.
    """

    host: str
    family: int
    address: list[Any]
    tls: bool
    ca_file: str | None
    head: str
    api: str
    api_options: dict[str, Any]
    id_prefix: str
    limits_ns: list[int]
    rows_fd: int
    bodies_fd: int
    record_fd: int
    first: int
    stride: int
    warmup: int
    rows: int
    complete: bool
    warmup_users: int
    users: int | None
    duration_ns: int | None
    user_gap_ns: int = 0
    max_in_flight: int | None = None
    cpu: int | None = None
    turns: int = 1


class Stopped(Exception):
    """The one who started this process wants it to stop."""


class Controls:
    """The lines that come in and go out."""

    def __init__(self) -> None:
        self._held = b""
        self._rows: Rows | None = None
        self._grown: tuple[int, bool] | None = None
        self._drained = False
        self._go_ns: int | None = None

    def read_job(self) -> Job:
        """The first line; waits for it."""
        while b"\n" not in self._held:
            self._receive()
        line, _, self._held = self._held.partition(b"\n")
        return Job(**json.loads(line))

    def wait_for_go(self) -> int:
        """The instant to start at; waits for it."""
        while self._go_ns is None:
            select.select([_STDIN], [], [])
            self.obey()
        return self._go_ns

    def grow(self, rows: Rows) -> None:
        """From now on these rows grow as the plan does; also by what was said while there were no rows yet."""
        self._rows = rows
        self._apply()

    def obey(self) -> None:
        """
        Do what has been said since, without waiting.

        Raises:
            Stopped: it was ``stop``, or the input ended.
        """
        while select.select([_STDIN], [], [], 0)[0]:
            self._receive()
        while b"\n" in self._held:
            line, _, self._held = self._held.partition(b"\n")
            self._do(json.loads(line))

    def say(self, **what: Any) -> None:
        """Send a line."""
        data = json.dumps(what).encode() + b"\n"
        while data:
            data = data[os.write(_STDOUT, data) :]

    def _receive(self) -> None:
        data = os.read(_STDIN, 65536)
        if not data:
            raise Stopped
        self._held += data

    def _do(self, order: dict[str, Any]) -> None:
        if order["do"] == "stop":
            raise Stopped
        if order["do"] == "go":
            self._go_ns = order["at_ns"]
        elif order["do"] == "rows":
            self._grown = (order["rows"], order["complete"])
            self._apply()
        elif order["do"] == "drain":
            self._drained = True
            self._apply()

    def _apply(self) -> None:
        if self._rows is None:
            return
        if self._drained:
            # For good: rows that are told of later are not sent, either.
            self._rows.close()
        elif self._grown is not None:
            self._rows.end, self._rows.complete = self._grown


class Worker:
    """One load process at work."""

    def __init__(self, job: Job, controls: Controls) -> None:
        self._job = job
        self._controls = controls
        self._api = api_named(job.api, ApiOptions(**job.api_options))
        self._head = job.head.encode("latin-1")
        self._next_progress_ns = 0
        self._kept_bytes = 0
        self._since_s: tuple[float, float] | None = None
        self._gave_up = False
        self._schedule: ClosedSchedule | ConversationSchedule | None = None
        self._waits_ns: dict[int, int] = {}
        connect, first_token, stall, total = job.limits_ns
        target = Target(
            host=job.host,
            family=socket.AddressFamily(job.family),
            address=tuple(job.address),
            tls=client_context(job.ca_file) if job.tls else None,
        )
        self.wire = Wire(
            target,
            limits=WireLimits(connect_ns=connect, first_token_ns=first_token, stall_ns=stall, total_ns=total),
            poller=make_poller(),
            keep=self._keep,
            has_token=self._has_token,
        )

    def rows(self, first: int, end: int, *, complete: bool) -> Rows:
        """This process's share of the plan's rows from ``first`` to ``end``."""
        job = self._job
        # Warm-up is no conversation.
        turns = job.turns if first >= job.warmup else 1
        fds = (job.rows_fd, job.bodies_fd)
        return Rows(fds, first=first + job.first * turns, stride=job.stride * turns, end=end, complete=complete)

    def warm_up(self) -> None:
        """Send the warm-up requests, and wait for their answers."""
        rows = self.rows(0, self._job.warmup, complete=True)
        self.wire.refusals = Refusals(self._job.warmup_users)
        self.wire.freed_ns.extend([monotonic_ns()] * self._job.warmup_users)
        self._run(ClosedSchedule(rows, self.wire.freed_ns, stop_ns=None))
        self.wire.freed_ns.clear()

    def measure(self, start_ns: int) -> None:
        """Send the measured requests from ``start_ns`` on, and wait for their answers."""
        job = self._job
        self._since_s = (time.perf_counter(), time.process_time())
        rows = self.rows(job.warmup, job.rows, complete=job.complete)
        self._controls.grow(rows)
        self.wire.refusals = Refusals(job.users)
        starts_ns = None
        if job.users is not None:
            starts_ns = [start_ns + (job.first + user * job.stride) * job.user_gap_ns for user in range(job.users)]
        stop_ns = None if job.duration_ns is None or starts_ns is None else start_ns + job.duration_ns
        if job.turns > 1:
            self.wire.freed_ns = deque(maxlen=0)
            self.wire.ended_rows = ended = deque[tuple[int, int]]()
            self._schedule = ConversationSchedule(rows, ended, start_ns=start_ns, users_ns=starts_ns, stop_ns=stop_ns)
            self._run(self._schedule)
        elif starts_ns is None:
            self._run(self._open_schedule(rows, start_ns))
        else:
            self._schedule = ClosedSchedule(rows, self.wire.freed_ns, stop_ns=stop_ns, starts_ns=starts_ns)
            self._run(self._schedule)

    def _open_schedule(self, rows: Rows, start_ns: int) -> OpenSchedule:
        cap = self._job.max_in_flight
        if cap is None:
            # Nobody asks when a user became free; to keep a million instants would cost memory for nothing.
            self.wire.freed_ns = deque(maxlen=0)
            return OpenSchedule(rows, start_ns)
        self.wire.freed_ns.extend([start_ns] * cap)
        capped = CappedSchedule(rows, start_ns, self.wire.freed_ns)
        self._waits_ns = capped.waits_ns
        return capped

    def counts(self) -> dict[str, Any]:
        """What was counted so far, but for the lags of reads."""
        counts = self.wire.counts
        wall_s, busy_s = self._since_s or (time.perf_counter(), time.process_time())
        return {
            "sent": counts.sent,
            "done": counts.done,
            "reads": counts.reads,
            "resends": counts.resends,
            "userspace_reads": counts.userspace_reads,
            "starved_ns": self._schedule.starved_ns if self._schedule is not None else 0,
            "gave_up": self._gave_up,
            "drift_ns": counts.offset_ns_max - counts.offset_ns_min,
            "busy_s": time.process_time() - busy_s,
            "wall_s": time.perf_counter() - wall_s,
        }

    def _run(self, schedule: Schedule) -> None:
        """
        The loop: read first, then send one, or else keep one, or else wait.

        Ends early where the server took no connection for as long as one may take to open.
        """
        wire = self.wire
        next_sweep_ns = 0
        while True:
            now_ns = monotonic_ns()
            if now_ns >= next_sweep_ns:
                self._controls.obey()
                wire.sweep(now_ns)
                self._report(now_ns)
                self._gave_up = wire.refused_ns(now_ns) > self._job.limits_ns[0]
                if self._gave_up:
                    wire.cancel()
                    return
                next_sweep_ns = now_ns + _SWEEP_NS
            next_ns = schedule.next_ns()
            if next_ns is not None and next_ns <= now_ns:
                self._send(*schedule.take())
                wire.read_ready()
            elif wire.unwritten:
                wire.keep_one()
                wire.read_ready()
            elif next_ns is None and not wire.in_flight and schedule.over():
                return
            else:
                wire.read_until(min(next_sweep_ns, _NEVER_NS if next_ns is None else next_ns))

    def _send(self, row: int, body: bytes, intended_ns: int) -> None:
        name = request_id(self._job.id_prefix, row, self._job.warmup).encode()
        own = b"X-Request-Id: %b\r\nContent-Length: %d\r\n\r\n" % (name, len(body))
        self.wire.send(row, self._head + own + body, intended_ns)

    def _keep(self, recording: Recording) -> None:
        cap_wait_ns = self._waits_ns.pop(recording.row, 0)
        data = memoryview(pack(replace(recording, cap_wait_ns=cap_wait_ns) if cap_wait_ns else recording))
        size = len(data)
        try:
            while data:
                data = data[os.write(self._job.record_fd, data) :]
        except OSError as error:
            # Half a recording at the end would make whatever is written after it unreadable.
            with contextlib.suppress(OSError):
                os.ftruncate(self._job.record_fd, self._kept_bytes)
                os.lseek(self._job.record_fd, self._kept_bytes, os.SEEK_SET)
            raise LoadError(
                f"what was measured cannot be written to {tempfile.gettempdir()}: {error.strerror}; "
                "free some space there, or set TMPDIR to a folder that has more"
            ) from error
        self._kept_bytes += size

    def _has_token(self, connection: Connection) -> bool:
        recording = Recording(
            row=connection.row,
            intended_send_ns=connection.intended_ns,
            send_ns=connection.send_ns,
            end_ns=monotonic_ns(),
            ending=Ending.CANCELLED,
            resends=0,
            times_ns=connection.times,
            sizes=connection.sizes,
            data=b"".join(connection.data),
        )
        return has_token(recording, self._api)

    def _report(self, now_ns: int) -> None:
        if now_ns >= self._next_progress_ns:
            self._controls.say(state="progress", **self.counts())
            self._next_progress_ns = now_ns + _PROGRESS_NS


def main() -> None:
    """Do one job."""
    # Ctrl-C goes to the whole terminal; it is for the one who started this process to say stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    controls = Controls()
    # Whoever started this process may be gone, and then nobody hears.
    with contextlib.suppress(BrokenPipeError):
        try:
            job = controls.read_job()
        except Stopped:
            return
        try:
            _allow_connections()
            _stay_on(job.cpu)
            ask_for_short_turns()
            with hold_stamps():
                _work(Worker(job, controls), controls)
        except LoadError as error:
            controls.say(state="broken", why=str(error))


def _work(worker: Worker, controls: Controls) -> None:
    """Warm up, measure, and tell what was counted."""
    # No collection may fall into the load: nothing here makes circles of objects that would have to be collected.
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        controls.say(state="ready")
        worker.warm_up()
        controls.say(state="warm")
        worker.measure(controls.wait_for_go())
    except Stopped:
        worker.wire.cancel()
    except LoadError:
        worker.wire.cancel()
        with contextlib.suppress(LoadError):
            worker.wire.keep_all()
        raise
    worker.wire.keep_all()
    worker.wire.close()
    counts = worker.wire.counts
    lag = {bucket: count for bucket, count in enumerate(counts.read_lag) if count}
    controls.say(state="done", **worker.counts(), read_lag=lag, cpu_waits=worker.wire.cpu_waits.buckets)


def _allow_connections() -> None:
    """As many open connections as this system lets a process have: the usual 1024 are few for an open loop."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _stay_on(cpu: int | None) -> None:
    """Run on one core only; on any, where that is None or cannot be had any more."""
    if cpu is not None:
        with contextlib.suppress(OSError, AttributeError):
            os.sched_setaffinity(0, {cpu})


if __name__ == "__main__":
    main()

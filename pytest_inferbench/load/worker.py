"""
A load process: ``python -m pytest_inferbench.load.worker``.

It is told what to do in one line of JSON on its standard input, says on its standard output (a line of JSON each) that it is
``ready``, that the warm-up is over (``warm``), how far it is (``progress``), and what it counted (``done``). Between them it
obeys ``go`` (with the instant to start at), ``rows`` (the plan has grown) and ``stop``; when its input ends, whoever started
it is gone, and so is the worker. Keys of servers reach it through its input only.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import time
from dataclasses import dataclass
from typing import Any

from pytest_inferbench.load.api import api_named
from pytest_inferbench.load.clock import monotonic_ns
from pytest_inferbench.load.connection import Connection, Target
from pytest_inferbench.load.decode import request_id
from pytest_inferbench.load.exchange import has_token
from pytest_inferbench.load.poller import make_poller
from pytest_inferbench.load.recording import Ending, Recording, pack
from pytest_inferbench.load.schedule import ClosedSchedule, OpenSchedule, Rows, Schedule
from pytest_inferbench.load.tls import client_context
from pytest_inferbench.load.wire import Wire, WireLimits

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
        api: name of the API, to see whether a late answer has a token.
        id_prefix: beginning of every request id.
        limits_ns: connect, first token, stall, total.
        rows_fd, bodies_fd, record_fd: the plan's files and the file for recordings, inherited.
        first, stride: which rows are this process's.
        warmup: rows of warm-up; ``rows`` all rows so far; ``complete``: there will be no more.
        warmup_users, users: users of this process; ``users`` is None in an open loop.
        duration_ns: after this time a closed loop sends no more; None: until the rows end.
    """

    host: str
    family: int
    address: list[Any]
    tls: bool
    ca_file: str | None
    head: str
    api: str
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


class Stopped(Exception):
    """The one who started this process wants it to stop."""


class Controls:
    """The lines that come in and go out."""

    def __init__(self) -> None:
        self._held = b""
        self.rows: Rows | None = None
        self.go_ns: int | None = None

    def read_job(self) -> Job:
        """The first line; waits for it."""
        while b"\n" not in self._held:
            self._receive()
        line, _, self._held = self._held.partition(b"\n")
        return Job(**json.loads(line))

    def wait_for_go(self) -> int:
        """The instant to start at; waits for it."""
        while self.go_ns is None:
            select.select([0], [], [])
            self.obey()
        go_ns, self.go_ns = self.go_ns, None
        return go_ns

    def obey(self) -> None:
        """
        Do what has been said since, without waiting.

        Raises:
            Stopped: it was ``stop``, or the input ended.
        """
        while select.select([0], [], [], 0)[0]:
            self._receive()
        while b"\n" in self._held:
            line, _, self._held = self._held.partition(b"\n")
            self._do(json.loads(line))

    def say(self, **what: Any) -> None:
        """Send a line."""
        os.write(1, json.dumps(what).encode() + b"\n")

    def _receive(self) -> None:
        data = os.read(0, 65536)
        if not data:
            raise Stopped
        self._held += data

    def _do(self, order: dict[str, Any]) -> None:
        if order["do"] == "stop":
            raise Stopped
        if order["do"] == "go":
            self.go_ns = order["at_ns"]
        elif order["do"] == "rows" and self.rows is not None:
            self.rows.end, self.rows.complete = order["rows"], order["complete"]


class Worker:
    """One load process at work."""

    def __init__(self, job: Job, controls: Controls) -> None:
        self._job = job
        self._controls = controls
        self._api = api_named(job.api)
        self._head = job.head.encode("latin-1")
        self._next_progress_ns = 0
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
        return Rows((job.rows_fd, job.bodies_fd), first=first + job.first, stride=job.stride, end=end, complete=complete)

    def warm_up(self) -> None:
        """Send the warm-up requests, and wait for their answers."""
        rows = self.rows(0, self._job.warmup, complete=True)
        self.wire.freed_ns.extend([monotonic_ns()] * self._job.warmup_users)
        self._run(ClosedSchedule(rows, self.wire.freed_ns, stop_ns=None))
        self.wire.freed_ns.clear()

    def measure(self, start_ns: int) -> int:
        """Send the measured requests from ``start_ns`` on; returns the time the plan starved the users, in ns."""
        job = self._job
        rows = self.rows(job.warmup, job.rows, complete=job.complete)
        self._controls.rows = rows
        schedule: OpenSchedule | ClosedSchedule
        if job.users is None:
            schedule = OpenSchedule(rows, start_ns)
        else:
            stop_ns = None if job.duration_ns is None else start_ns + job.duration_ns
            self.wire.freed_ns.extend([start_ns] * job.users)
            schedule = ClosedSchedule(rows, self.wire.freed_ns, stop_ns=stop_ns)
        self._run(schedule)
        return schedule.starved_ns if isinstance(schedule, ClosedSchedule) else 0

    def _run(self, schedule: Schedule) -> None:
        """The loop: read first, then send one, or else keep one, or else wait."""
        wire = self.wire
        next_sweep_ns = 0
        while True:
            now_ns = monotonic_ns()
            if now_ns >= next_sweep_ns:
                self._controls.obey()
                wire.sweep(now_ns)
                self._report(now_ns)
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
        data = memoryview(pack(recording))
        while data:
            data = data[os.write(self._job.record_fd, data) :]

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
            counts = self.wire.counts
            self._controls.say(state="progress", sent=counts.sent, done=counts.done, reads=counts.reads)
            self._next_progress_ns = now_ns + _PROGRESS_NS


def main() -> None:
    """Do one job."""
    # Ctrl-C goes to the whole terminal; it is for the one who started this process to say stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    controls = Controls()
    worker: Worker | None = None
    starved_ns = 0
    busy_s = wall_s = 0.0
    try:
        job = controls.read_job()
        worker = Worker(job, controls)
        # No collection may fall into the load: nothing here makes cycles.
        gc.collect()
        gc.freeze()
        gc.disable()
        controls.say(state="ready")
        worker.warm_up()
        controls.say(state="warm")
        start_ns = controls.wait_for_go()
        wall_s, busy_s = -time.perf_counter(), -time.process_time()
        starved_ns = worker.measure(start_ns)
    except Stopped:
        if worker is not None:
            worker.wire.cancel()
    if worker is None:
        return
    worker.wire.keep_all()
    worker.wire.close()
    counts = worker.wire.counts
    lag = {bucket: count for bucket, count in enumerate(counts.read_lag) if count}
    controls.say(
        state="done",
        sent=counts.sent,
        done=counts.done,
        reads=counts.reads,
        resends=counts.resends,
        userspace_reads=counts.userspace_reads,
        starved_ns=starved_ns,
        read_lag=lag,
        drift_ns=counts.offset_ns_max - counts.offset_ns_min,
        busy_s=busy_s + time.process_time() if busy_s else 0.0,
        wall_s=wall_s + time.perf_counter() if wall_s else 0.0,
    )


if __name__ == "__main__":
    main()

"""
A server with an exact schedule, as a process on one CPU, and its own account of what it sent.

The built-in loopback server, or any program with the flags ``--port --ttft-ms --itl-ms --tokens --log FILE --times FILE``.
The log has a head line and a row a request that begins with its id and the instants of its receipt, first and last token; the
times have a row a request with its id and the instant of each token. Instants are CLOCK_MONOTONIC nanoseconds.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from urllib.request import urlopen

START_LIMIT_S = 30.0
STOP_LIMIT_S = 60.0
BUILT_IN = (sys.executable, "-m", "pytest_inferbench.load.loopback")
_KERNEL = "t_krx_ns"
"""The column of a log that says when the kernel took a request in; more right than when the server came to read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What the server says of one request, in nanoseconds."""

    received_ns: int
    first_ns: int
    last_ns: int


@dataclass(slots=True, kw_only=True)
class Truth:
    """A running server; its account is there once it was stopped, in the order of receipt. ``gaps_ms`` has a row a request."""

    url: str
    model: str
    pid: int
    served: list[Served] = field(default_factory=list)
    gaps_ms: list[Sequence[float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a server's tokens leave, and how many a request without a limit gets."""

    ttft_ms: float = 100
    itl_ms: float = 20
    tokens: int = 64


@contextmanager
def serving(program: Sequence[str], schedule: Schedule, *, cpu: int, logged: bool = True) -> Iterator[Truth]:
    """A server on this CPU; what it did can be read after the block, unless it is not to be ``logged``."""
    with tempfile.TemporaryDirectory(prefix="inferbench-truth-") as folder:
        log, times, port = Path(folder, "log.csv"), Path(folder, "times.csv"), _free_port()
        flags = ["--port", f"{port}", "--ttft-ms", f"{schedule.ttft_ms:g}", "--itl-ms", f"{schedule.itl_ms:g}"]
        flags += ["--tokens", f"{schedule.tokens}", *(("--log", str(log), "--times", str(times)) if logged else ())]
        process = _started([*program, *flags], cpu)
        try:
            _wait_for(process, port)
            truth = Truth(url=f"http://127.0.0.1:{port}", model=_model(port), pid=process.pid)
            yield truth
        finally:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_LIMIT_S)
            process.kill()
        if logged:
            truth.served, truth.gaps_ms = account(log, times)


def account(log: Path, times: Path) -> tuple[list[Served], list[Sequence[float]]]:
    """Both files of a server, requests in the order of receipt; those that were never answered are left out."""
    served = []
    with log.open(newline="") as file:
        rows = csv.reader(file)
        head = next(rows)
        received = head.index(_KERNEL) if _KERNEL in head else 1
        for row in rows:
            if int(row[2]) > 0:
                # A program that has no stamp of the kernel for a request writes 0.
                at_ns = int(row[received]) or int(row[1])
                served.append(Served(received_ns=at_ns, first_ns=int(row[2]), last_ns=int(row[3])))
    with times.open(newline="") as file:
        instants = sorted([int(cell) for cell in row[1:]] for row in csv.reader(file) if len(row) > 1)
    gaps_ms: list[Sequence[float]] = [[(after - before) / 1e6 for before, after in pairwise(each)] for each in instants]
    return sorted(served, key=lambda each: each.received_ns), gaps_ms


def _started(argv: Sequence[str], cpu: int) -> subprocess.Popen[bytes]:
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    finally:
        os.sched_setaffinity(0, own)


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    deadline_s = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"the server does not listen on port {port} after {START_LIMIT_S:g} s: {process.args!r}")


def _model(port: int) -> str:
    """The only model that the server lists."""
    with urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=START_LIMIT_S) as answer:
        return str(json.load(answer)["data"][0]["id"])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])

"""
The client's times against those of a server that writes down when it sent each token.

Client and loopback server each have a core of their own, and the two logs are joined by request id. An error is what the client
says minus what the server says of the very same token, so it does not matter whether the server was late: it knows. Other
programs on the machine do matter, for they can take the core away between the server's reading of its clock and its send; so the
best of a few tries counts, and where others computed during all of them, nothing is said. docs/fidelity.md has the figures of
quiet machines.
"""

from __future__ import annotations

import csv
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pytest_inferbench.load.loopback import Loopback, LoopbackLog, Schedule
from tests.sessions import Started, inferbench_argv

SCHEDULE = Schedule(ttft_ms=100, itl_ms=20, tokens=32)
CONCURRENCY, REQUESTS, TOKENS = 64, 256, 32
ERROR_MS_P99_MAX = 0.2
TRIES = 3
OTHERS_MAX = 0.05
"""Of one core: where other programs used more than this during every try, a large error is theirs."""

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def measured(folder: Path) -> tuple[list[dict[str, str]], LoopbackLog]:
    """The rows that a run of the command wrote, and what the server sent."""
    folder.mkdir()
    load = (f"--concurrency={CONCURRENCY}", f"--requests={REQUESTS}", f"--traffic=D(64,{TOKENS})", "--output=out", "--quiet")
    with Loopback.start(SCHEDULE, cpu=CORES[0]) as server:
        with Started(inferbench_argv("run", f"--endpoint={server.url}", *load), folder) as command:
            # Its load process, which it starts much later, inherits it.
            os.sched_setaffinity(command.process.pid, {CORES[-1]})
            code = command.end()
            # On a busy machine a run may be invalid; its times are still on record.
            assert code in (0, 3), command.output
        log = server.stop()
    with (folder / "out" / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file)), log


def busy_s() -> tuple[float, float]:
    """Seconds of CPU time that this machine has spent (what its host took from it included), and that we have."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    user, nice, system, _, _, interrupts, soft_interrupts, steal = ticks[:8]
    used = os.times()
    ours_s = used.user + used.system + used.children_user + used.children_system
    return (user + nice + system + interrupts + soft_interrupts + steal) / os.sysconf("SC_CLK_TCK"), ours_s


def error_ms_p99(rows: list[dict[str, str]], log: LoopbackLog, token: str) -> float:
    """The 99th percentile of how far the client is from the server, for the ``first_token`` or the ``last_token``."""
    errors_ns = [int(row[f"{token}_ns"]) - getattr(log.sent[row["request_id"]], f"{token}_ns") for row in rows]
    return float(np.percentile(np.abs(errors_ns), 99)) / 1e6


@pytest.mark.skipif(sys.platform != "linux", reason="kernel receive stamps are Linux's")
@pytest.mark.skipif(len(CORES) < 2, reason="needs two cores: one for the client, one for the server")
def test_first_and_last_tokens_are_right_to_a_fifth_of_a_millisecond(tmp_path: Path) -> None:
    tries, others = [], []
    for number in range(TRIES):
        before, began_s = busy_s(), time.monotonic()
        rows, log = measured(tmp_path / f"try-{number}")
        all_s, ours_s = (after - was for after, was in zip(busy_s(), before, strict=True))
        others.append((all_s - ours_s) / (time.monotonic() - began_s))
        assert len(rows) == REQUESTS
        assert {row["status"] for row in rows} == {"200"}
        assert {row["clock"] for row in rows} == {"kernel"}
        assert {row["resp_tokens"] for row in rows} == {str(TOKENS)}
        tries.append(tuple(error_ms_p99(rows, log, token) for token in ("first_token", "last_token")))
        if max(tries[-1]) < ERROR_MS_P99_MAX:
            break
    if min(map(max, tries)) >= ERROR_MS_P99_MAX and min(others) > OTHERS_MAX:
        pytest.skip(f"other programs used {min(others):.0%} of a core and more during each of {TRIES} tries: {tries} ms")
    assert min(max(errors) for errors in tries) < ERROR_MS_P99_MAX, f"p99 errors in ms, (first, last) token, of each try: {tries}"

"""Starting, stopping and losing the loopback server."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pytest_inferbench.errors import LoadError
from pytest_inferbench.load.loopback import Loopback
from tests.load.loopback.talk import (
    CHAT,
    LIMIT_S,
    QUICK,
)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback.start(QUICK) as running:
        yield running


def test_the_log_is_there_only_after_the_end(server: Loopback) -> None:
    with pytest.raises(LoadError, match=r"writes its log when it stops: call stop\(\) first"):
        _ = server.log
    assert server.stop() is server.stop() is server.log


def test_a_port_in_use_is_an_error_that_says_so(server: Loopback) -> None:
    with pytest.raises(LoadError, match=rf"did not start: .*cannot listen on 127.0.0.1:{server.port}: Address already in use"):
        Loopback.start(port=server.port)


def test_a_server_that_was_killed_is_an_error() -> None:
    server = Loopback.start(QUICK)
    os.kill(server.pid, 9)
    with pytest.raises(LoadError, match="the loopback server ended with -9: it said nothing"):
        server.stop()


def test_it_ends_when_the_process_that_started_it_ends() -> None:
    code = "import os; from pytest_inferbench.load.loopback import Loopback; print(Loopback.start().pid, flush=True); os._exit(0)"
    started = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=LIMIT_S, check=True)
    try:
        pidfd = os.pidfd_open(int(started.stdout))
    except ProcessLookupError:
        return
    ready, _, _ = select.select([pidfd], [], [], LIMIT_S)
    os.close(pidfd)
    assert ready, f"the loopback server outlived its parent by {LIMIT_S} s"


def test_as_a_program_it_says_its_port_and_writes_its_log_at_sigterm(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "pytest_inferbench.load.loopback", "--ttft-ms=1", "--itl-ms=1", "--tokens=2"]
    argv += [f"--log={tmp_path / 'log.csv'}", f"--times={tmp_path / 'times.csv'}"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        httpx.post(f"http://127.0.0.1:{port}{CHAT}", json={"stream": True}, headers={"X-Request-Id": "p"})
        process.terminate()
        assert json.loads(process.stdout.read()) == {"requests": 1, "aborted": 0, "stalls": 0}
    header, row = (tmp_path / "log.csv").read_text().splitlines()
    assert header == "request_id,received_ns,first_token_ns,last_token_ns,tokens,late_ns_max,connected_ns"
    first, last = row.split(",")[2:4]
    assert (tmp_path / "times.csv").read_text() == f"p,{first},{last}\n"


def test_it_runs_on_the_cpu_that_was_asked_for() -> None:
    cpu = max(os.sched_getaffinity(0))
    with Loopback.start(QUICK, cpu=cpu) as server:
        assert os.sched_getaffinity(server.pid) == {cpu}

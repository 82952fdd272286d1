"""What a server process gets of the host, and where it stands while it runs."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_inferbench.cases.case import HostShare
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch import ledger, marked
from pytest_inferbench.launch.process import ProcessServer, start
from tests.launch.test_process import SERVER, spec

WITH_WORKER = (
    "import subprocess, sys\n"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(120)'], start_new_session=True)\n" + SERVER
)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INFERBENCH_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ProcessServer]:
    """A server with a worker in a session of its own, on two GPUs and one core."""
    wanted = spec(
        argv=(sys.executable, "-I", "-c", WITH_WORKER, "{port}", "nothing"),
        share=HostShare(cpus=str(min(os.sched_getaffinity(0))), memory_bytes=10**9),
    )
    gpus = tuple(Gpu(index=i, uuid=f"GPU-{i}", name="h100") for i in (2, 3))
    server = start(wanted, gpus=gpus, log_path=tmp_path / "server.log", run_id="run-1")
    yield server
    server.stop()


def token_of(server: ProcessServer) -> str:
    (entry,) = ledger.entries()
    assert (entry.kind, entry.name, entry.run_id, entry.key) == ("process", str(server.endpoint.pid), "run-1", "k")
    assert entry.reach is None
    return entry.token


def test_it_gets_its_gpus_and_cores_and_no_more_memory(server: ProcessServer) -> None:
    pid = server.endpoint.pid or 0
    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert b"CUDA_VISIBLE_DEVICES=GPU-2,GPU-3" in environment
    assert os.sched_getaffinity(pid) == {min(os.sched_getaffinity(0))}
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
    assert [line.split()[3:5] for line in limits if line.startswith("Max data size")] == [["1000000000", "1000000000"]]


def test_stopping_ends_a_worker_that_left_the_group_and_strikes_the_entry_out(server: ProcessServer) -> None:
    token = token_of(server)
    assert len(marked.marked(token)) == 2
    server.stop()
    assert marked.marked(token) == frozenset()
    assert ledger.entries() == ()


def test_the_end_of_the_server_is_the_end_of_its_worker(server: ProcessServer) -> None:
    token = token_of(server)
    os.kill(server.endpoint.pid or 0, signal.SIGKILL)
    while server.died() is None:
        time.sleep(0.01)
    assert marked.marked(token) == frozenset()
    assert ledger.entries() == ()


def test_what_cannot_be_ended_is_an_error_and_stays_in_the_ledger(server: ProcessServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(marked, "end", lambda *_, **__: (7, 8))
        with pytest.raises(EngineError, match="these processes of a server are left 10 s after SIGKILL: 7, 8"):
            server.stop()
    (entry,) = ledger.entries()
    marked.end(lambda: marked.marked(entry.token), terminate_s=10, kill_s=10)


def test_a_server_that_cannot_be_started_leaves_no_entry(tmp_path: Path) -> None:
    with pytest.raises(EngineError):
        start(spec(argv=("x\0", "{port}")), log_path=tmp_path / "server.log")
    with pytest.raises(EngineError, match="this machine has no NUMA node 4000"):
        start(spec(share=HostShare(numa=4000)), log_path=tmp_path / "server.log")
    assert ledger.entries() == ()

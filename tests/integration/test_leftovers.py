"""Whatever happens to a session, nothing of it is left: not what its servers have started either, nor an entry in the ledger."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_inferbench.load.loopback import Schedule
from tests.sessions import INI, Started, inferbench_argv, pytest_argv, suite

SLOW = Schedule(ttft_ms=20, itl_ms=20, tokens=4)
# A server with a worker that leaves its session, as those of some engines do: no signal to the server or its group reaches it.
SERVER = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)  # a worker"], start_new_session=True)
if sys.argv[2] == "never ready":
    time.sleep(600)
os.execv(sys.executable, [sys.executable, "-m", "pytest_inferbench.load.loopback", "--port", sys.argv[1],
                          "--ttft-ms", "20", "--itl-ms", "20", "--tokens", "4"])
"""
# Tells the test where the run is.
CONFTEST = """
from pathlib import Path
from pytest_inferbench.session import BenchSession

show = BenchSession._show

def told(self, state):
    show(self, state)
    name = f"at-{state.phase.replace(' ', '-')}"
    if state.phase != "measuring" or state.requests_done >= 3:
        Path(name).touch()

BenchSession._show = told
"""
WORKER = "# a worker"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text(INI, encoding="utf-8")
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (tmp_path / "server.py").write_text(SERVER, encoding="utf-8")
    return tmp_path


def write(project: Path, *, how: str = "ready", load: str = "{requests: 2000, warmup: 1}", concurrency: str = "1") -> None:
    command = f"{sys.executable} {project / 'server.py'} {{port}} '{how}'"
    engine = f'{{name: command, args: {{command: "{command}", served_name: loopback}}}}'
    text = suite("a", engine=engine, load=load, concurrency=concurrency)
    (project / "a.bench.yaml").write_text(text, encoding="utf-8")


def session(project: Path, *arguments: str) -> Started:
    return Started(pytest_argv(*arguments), project, INFERBENCH_STATE=str(project / "state"))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def entries(project: Path) -> list[Path]:
    return list((project / "state").glob("*-*.json"))


def owner_of_the_server(project: Path) -> int:
    """The process that started the server: a file in the ledger begins with it."""
    kinds = {path: json.loads(path.read_text(encoding="utf-8"))["kind"] for path in entries(project)}
    (path,) = [path for path, kind in kinds.items() if kind == "process"]
    return int(path.name.partition("-")[0])


def nothing_is_left(project: Path, run: Started) -> None:
    wait_until(lambda: not run.others())
    assert entries(project) == []


@pytest.mark.parametrize(
    ("phase", "how", "load"),
    [
        ("starting-server", "never ready", "{requests: 5, warmup: 1}"),
        ("warm-up", "ready", "{requests: 5, warmup: 2000}"),
        ("measuring", "ready", "{requests: 2000, warmup: 1}"),
    ],
)
def test_kill_9_of_pytest_in_each_stage_of_a_case(project: Path, phase: str, how: str, load: str) -> None:
    write(project, how=how, load=load)
    with session(project, "-p", "no:xdist") as run:
        run.wait_for(lambda: run.others(WORKER))
        run.wait_for((project / f"at-{phase}").exists)
        os.kill(run.process.pid, signal.SIGKILL)
        run.process.wait()
        nothing_is_left(project, run)


def test_kill_9_of_a_worker_of_xdist(project: Path) -> None:
    write(project)
    with session(project, "-n1", "--max-worker-restart=0") as run:
        run.wait_for((project / "at-measuring").exists)
        os.kill(owner_of_the_server(project), signal.SIGKILL)
        assert run.end() == pytest.ExitCode.TESTS_FAILED
        nothing_is_left(project, run)


def test_kill_9_of_the_server_takes_its_worker_along(project: Path) -> None:
    write(project)
    with session(project, "-p", "no:xdist") as run:
        run.wait_for((project / "at-measuring").exists)
        (server,) = run.others("load.loopback --port")
        os.kill(server, signal.SIGKILL)
        assert run.end() == pytest.ExitCode.TESTS_FAILED
        assert "it was killed by SIGKILL (signal 9)" in run.output
        nothing_is_left(project, run)


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_once_and_twice(project: Path, presses: int) -> None:
    write(project)
    with session(project, "-p", "no:xdist") as run:
        run.wait_for((project / "at-measuring").exists)
        for _ in range(presses):
            run.interrupt()
        assert run.end() in {pytest.ExitCode.INTERRUPTED, -signal.SIGINT, 130}
        nothing_is_left(project, run)


def test_a_session_that_ends_well_leaves_nothing_and_waits_for_its_watchdog(project: Path) -> None:
    write(project, load="{requests: 3, warmup: 1}")
    with session(project, "-p", "no:xdist") as run:
        assert run.end() == 0, run.output
        assert run.others() == {}
        assert entries(project) == []


def test_what_even_the_watchdog_could_not_remove_is_shown_and_removed_by_hand(project: Path) -> None:
    write(project)
    state = {"INFERBENCH_STATE": str(project / "state")}
    with session(project, "-p", "no:xdist") as run:
        run.wait_for((project / "at-measuring").exists)
        (watchdog,) = run.others("watchdog.py")
        os.kill(watchdog, signal.SIGKILL)
        os.kill(run.process.pid, signal.SIGKILL)
        run.process.wait()
        wait_until(lambda: list(run.others()) == list(run.others(WORKER)))
        (entry,) = entries(project)
        with Started(inferbench_argv("down", "--all", "--dry-run"), project, **state) as command:
            assert command.end() == 0, command.output
            assert "left behind     server process" in command.output
        assert len(run.others(WORKER)) == 1
        assert entry.exists()
        with Started(inferbench_argv("down", "--all"), project, **state) as command:
            assert command.end() == 0, command.output
            assert "removed: 1" in command.output
        nothing_is_left(project, run)

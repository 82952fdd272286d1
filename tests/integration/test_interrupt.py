"""Ctrl-C, killed processes and crashed workers: no orphan is left, and what was measured is on disk."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.load.loopback import Loopback, Schedule
from pytest_inferbench.records.reader import read_run, read_traces
from tests.sessions import INI, LIMIT_S, QUICK, Started, only_run, own_server, pytest_argv, suite

INTERRUPTED = "interrupted; what was measured until then is kept"
SLOW = Schedule(ttft_ms=20, itl_ms=20, tokens=4)
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
# The command, which tells the test when some answers are there.
TELLING_RUN = """
import sys
from pathlib import Path
from pytest_inferbench.cli import main
from pytest_inferbench.experiment import Experiment

show = Experiment._show

def told(self, case, phase, at=None, **more):
    show(self, case, phase, at, **more)
    if phase == "measuring" and at is not None and at.done >= 3:
        Path("at-measuring").touch()

Experiment._show = told
sys.argv[0] = "inferbench"
main()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text(INI, encoding="utf-8")
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    return tmp_path


def write(project: Path, **given: str) -> None:
    (project / "a.bench.yaml").write_text(suite("a", **{"concurrency": "1", **given}), encoding="utf-8")


def interrupted_at(phase: str, session: Started, project: Path) -> str:
    """Press Ctrl-C in a phase, and return what the session says then."""
    session.wait_for((project / f"at-{phase}").exists)
    session.interrupt()
    assert session.end() == pytest.ExitCode.INTERRUPTED
    # Whatever it started had time to end: it waits for its servers.
    assert session.others() == {}
    return session.output


def results(project: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((only_run(project) / "results.json").read_text(encoding="utf-8"))["records"]
    return found


@pytest.mark.parametrize("mode", [("-p", "no:xdist"), ("-n2",)], ids=["alone", "n2"])
def test_ctrl_c_under_load_keeps_what_was_measured(project: Path, mode: tuple[str, ...]) -> None:
    # Two workers, too: both cases are for one server, and so for one of them.
    write(project, engine=own_server(SLOW), load="{requests: 2000, warmup: 1}", concurrency="[1, 2]")
    with Started(pytest_argv(*mode), project) as session:
        text = interrupted_at("measuring", session, project)
    run = only_run(project)
    records = read_run(run)
    assert {record.verdict.reasons[0] for record in records} == {INTERRUPTED}
    assert len(records) == 1
    ((record, summary),) = [(record, record.summary) for record in records if record.summary is not None]
    assert 3 <= summary.counts.completed < 2000
    assert len(read_traces(run / record.folder)) == summary.counts.attempted
    assert (run / "results.csv").exists()
    assert f"results: {run}" in text
    assert INTERRUPTED in text
    assert f"{len(records)} invalid" in text
    assert "INTERNALERROR" not in text


def test_ctrl_c_in_the_warm_up_leaves_a_record_of_the_case(project: Path) -> None:
    write(project, engine=own_server(SLOW), load="{requests: 5, warmup: 500}")
    with Started(pytest_argv("-p", "no:xdist"), project) as session:
        text = interrupted_at("warm-up", session, project)
    (record,) = results(project)
    assert record["verdict"]["outlook"] == "invalid"
    assert record["error"] == INTERRUPTED
    assert f"results: {only_run(project)}" in text


def test_ctrl_c_while_a_server_starts_ends_it(project: Path) -> None:
    command = f'{sys.executable} -c "import time; time.sleep(300)" {{port}}'
    write(project, engine=f"{{name: command, args: {{command: '{command}'}}}}")
    with Started(pytest_argv("-p", "no:xdist"), project) as session:
        session.wait_for(lambda: session.others("time.sleep(300)"))
        text = interrupted_at("starting-server", session, project)
    (record,) = results(project)
    assert record["error"] == INTERRUPTED
    assert record["served"] is None
    assert f"results: {only_run(project)}" in text


def test_cases_before_the_interrupted_one_keep_their_results(project: Path) -> None:
    text = suite("a", engine=own_server(SLOW), concurrency="1", load="{requests: 4}")
    (project / "a.bench.yaml").write_text(text + "include: [{concurrency: 2, requests: 2000}]\n", encoding="utf-8")
    with Started(pytest_argv("-p", "no:xdist"), project) as session:
        session.wait_for(lambda: list(project.glob("reports/runs/*/*-c2/manifest.json")))
        (project / "at-measuring").unlink(missing_ok=True)
        interrupted_at("measuring", session, project)
    assert [record["verdict"]["outlook"] for record in results(project)] == ["pass", "invalid"]


def test_a_session_that_is_killed_takes_its_server_with_it(project: Path) -> None:
    write(project, engine=own_server(SLOW), load="{requests: 2000}")
    with Started(pytest_argv("-p", "no:xdist"), project) as session:
        session.wait_for((project / "at-measuring").exists)
        assert session.others("load.loopback")
        os.kill(session.process.pid, signal.SIGKILL)
        session.process.wait()
        deadline_s = time.monotonic() + LIMIT_S
        while session.others() and time.monotonic() < deadline_s:
            time.sleep(0.05)
        assert session.others() == {}


def test_a_single_run_that_is_interrupted_is_130_and_keeps_what_was_measured(tmp_path: Path) -> None:
    with Loopback.start(SLOW) as server:
        flags = ("--requests=2000", "--traffic=D(8,4)", "--output=out")
        argv = [sys.executable, "-c", TELLING_RUN, "run", f"--endpoint={server.url}", *flags]
        with Started(argv, tmp_path) as command:
            command.wait_for((tmp_path / "at-measuring").exists)
            command.interrupt()
            assert command.end() == 130
            text = command.output
            assert command.others() == {}
    assert text.endswith("results: out\ninterrupted\n")
    assert INTERRUPTED in text
    (record,) = read_run(tmp_path / "out")
    assert record.summary is not None
    assert 0 < record.summary.counts.completed < 2000


def test_a_worker_that_crashes_leaves_the_others_results(project: Path) -> None:
    with Loopback.start(QUICK) as server:
        write(project, concurrency="[1, 2, 3]")
        (project / "test_crash.py").write_text("import os\n\ndef test_crash():\n    os._exit(3)\n", encoding="utf-8")
        argv = pytest_argv("-n2", f"--inferbench-endpoint={server.url}", "--max-worker-restart=1")
        with Started(argv, project) as session:
            assert session.end() == pytest.ExitCode.TESTS_FAILED
            text = session.output
    assert "worker 'gw" in text
    assert "3 cases: 3 pass" in text
    assert len(results(project)) == 3


def test_two_workers_never_measure_at_once(project: Path) -> None:
    with Loopback.start(SLOW) as server:
        write(project, concurrency="[1, 2, 3]", load="{requests: 6}")
        with Started(pytest_argv("-n2", f"--inferbench-endpoint={server.url}"), project) as session:
            assert session.end() == 0, session.output
    spans = []
    for record in read_run(only_run(project)):
        traces = read_traces(only_run(project) / record.folder)
        spans.append((int(traces.send_ns.min()), int(traces.end_ns.max())))
    spans.sort()
    assert len(spans) == 3
    assert all(end_ns < next_start_ns for (_, end_ns), (next_start_ns, _) in pairwise(spans))

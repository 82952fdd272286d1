"""kill -9 while records are written: what can be read is whole, and what is not whole cannot be read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from pytest_inferbench import load_run
from pytest_inferbench.records.reader import read_record, read_traces
from pytest_inferbench.resume import records_in
from tests.sessions import INI, Started, only_run, own_server, pytest_argv, suite

LIMIT_S = 300.0
REQUESTS = 2000
# Each moment is a process of its own, forked from one that has everything imported. It dies just before its n-th step: opening,
# renaming, linking or removing a file below the run.
DYING_WRITER = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path

from pytest_inferbench.records.manifest import write_manifest
from pytest_inferbench.records.results import write_results
from pytest_inferbench.records.run_directory import open_run
from pytest_inferbench.records.writer import write_case
from tests.records.example import RUN_ID, example_record
from tests.records.test_manifest import MANIFEST
from tests.traces import streamed, traces_of

STEPS = {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.chmod"}
root, requests = Path(sys.argv[1]), int(sys.argv[2])
traces = traces_of([streamed(100 + i % 5, 20.0, sent_ns=i * 10**6) for i in range(requests)])
record = example_record(traces)

def write(folder):
    run = open_run(RUN_ID, output=folder)
    records = []
    for _ in range(2):
        case = run.case_folder(record.case.id)
        write_manifest(case, MANIFEST)
        records.append(replace(record, folder=case.name))
        write_case(case, record=records[-1], traces=traces)
        write_results(folder, records)

def die_at(step, folder):
    seen = 0
    def look(event, arguments):
        nonlocal seen
        if event in STEPS and str(folder) in str(arguments):
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(look)

write(root / "warm-up")
for step in range(1, 1000):
    folder = root / f"step-{step}"
    child = os.fork()
    if child == 0:
        die_at(step, folder)
        write(folder)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        print(step - 1, os.WEXITSTATUS(status))
        break
"""


def hold_whole(run: Path, *, requests: int | None = None) -> int:
    """Read every file of a run that has its name; how many cases are whole."""
    for path in (path for path in run.rglob("*") if path.is_file() and not path.name.endswith(".part")):
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix == ".parquet":
            pd.read_parquet(path)
        elif path.suffix == ".csv":
            text = path.read_text(encoding="utf-8")
            assert text.endswith("\n")
            assert {line.count(",") for line in text.splitlines()[:1]} != {0}
    whole = [summary.parent for summary in run.glob("*/summary.json")]
    for folder in whole:
        record, traces = read_record(folder), read_traces(folder)
        assert record.summary is not None
        assert len(traces) == record.summary.counts.attempted == len((folder / "metrics.csv").read_text().splitlines()) - 1
        assert requests is None or len(traces) == requests
        assert (folder / "manifest.json").exists()
    assert records_in(run)[1] == ()
    return len(whole)


def test_a_writer_that_is_killed_at_any_step_leaves_only_whole_records(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", DYING_WRITER, str(tmp_path), str(REQUESTS)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    steps, code = map(int, done.stdout.split())
    assert code == 0
    # Two cases of four files each, with results after each: fewer steps would mean that nobody was killed.
    assert steps >= 30
    runs = [run for i in range(1, steps + 1) if (run := tmp_path / f"step-{i}").exists()]
    found = [hold_whole(run, requests=REQUESTS) for run in runs]
    assert found == sorted(found)
    assert set(found) == {0, 1, 2}


@pytest.mark.parametrize("wait_s", [0.0, 0.6])
def test_a_session_that_is_killed_leaves_only_whole_records_and_can_be_loaded(tmp_path: Path, wait_s: float) -> None:
    (tmp_path / "pytest.ini").write_text(INI, encoding="utf-8")
    (tmp_path / "killed.bench.yaml").write_text(suite(engine=own_server(), concurrency="[1, 2, 3, 4, 5, 6]"), encoding="utf-8")
    state = {"INFERBENCH_STATE": str(tmp_path / "state")}
    with Started(pytest_argv("-p", "no:html", "-p", "no:xdist", "-q"), tmp_path, **state) as started:
        runs = tmp_path / "reports" / "runs"
        started.wait_for(lambda: list(runs.glob("*/*/summary.json")))
        # Any moment will do: what must hold does not depend on it.
        time.sleep(wait_s)
        os.kill(started.process.pid, signal.SIGKILL)
        started.end()
    run = only_run(tmp_path)
    whole = hold_whole(run)
    assert whole >= 1
    assert len(load_run(run).cases) >= whole

"""
Whole simulated sessions, as people run them: everything that they leave behind says that it was simulated.

Rule: nothing here needs a free CPU. A simulated server that was late makes its case ``invalid``, so a case that nothing is wrong
with is ``pass`` or ``invalid``, and the session ends with 0 or 1 as its cases do.
"""

from __future__ import annotations

import csv
import json
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.records.reader import read_run
from pytest_inferbench.records.record import Record
from tests.sessions import INI, Started, only_run, pytest_argv

SESSION_LIMIT_S = 600.0
SUITE = """
suite: chat
hardware: h100
engine: vllm
matrix: {model: [llama-3.1-8b, llama-2-13b], traffic: ["D(32,4)"], concurrency: [2]}
load: {requests: 6, warmup: 1}
slo: ["ttft_p50 <= 60s"]
confidence: observed
"""
MARKED = """
import pytest

@pytest.mark.inferbench(
    hardware="a10", engine="sglang", model=["qwen2.5-7b"], traffic=["D(16,4)"], concurrency=[1], requests=4,
    slo=["ttft_p50 <= 60s"], confidence="observed",
)
def test_marked(case, measure):
    result = measure(case)
    assert result.meets_slo, result.explain()
"""
IDS = {
    "a10-sglang-qwen2.5-7b-tp1-d16x4-c1-simulated",
    "h100-vllm-llama-2-13b-tp1-d32x4-c2-simulated",
    "h100-vllm-llama-3.1-8b-tp1-d32x4-c2-simulated",
}
FLAGS = ("--inferbench-simulate", "--inferbench-inventory=2xh100+1xa10", "--inferbench-no-calibration", "--junitxml=junit.xml")
MODES = {"xdist_zero": ("-n0",), "xdist_two": ("-n2",)}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pytest.ini").write_text(INI, encoding="utf-8")
    (folder / "chat.bench.yaml").write_text(SUITE, encoding="utf-8")
    return folder


def run(folder: Path, *flags: str) -> tuple[int, str]:
    """The exit code and the output of a session, of which no process is left."""
    with Started(pytest_argv(*FLAGS, *flags), folder) as session:
        code = session.process.wait(SESSION_LIMIT_S)
        assert not session.others(), session.output
        return code, session.output


def records(folder: Path) -> Mapping[str, Record]:
    return {record.case.id: record for record in read_run(only_run(folder))}


def measured(project: Path, case: str) -> Path:
    return only_run(project) / case


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES.keys())
def test_all_that_a_session_leaves_says_that_it_was_simulated(project: Path, mode: tuple[str, ...]) -> None:
    (project / "test_marked.py").write_text(MARKED, encoding="utf-8")
    code, output = run(project, *mode)
    found = records(project)
    outlooks = {record.verdict.outlook for record in found.values()}
    assert set(found) == IDS, output
    assert outlooks <= {Outlook.PASS, Outlook.INVALID}, output
    assert code == (0 if outlooks == {Outlook.PASS} else 1), output
    assert "SIMULATED: 3 of 3 cases; none of their figures was measured on real hardware" in output
    assert all(record.simulated and "--inferbench-simulate" in record.again for record in found.values())
    assert {record.summary.counts.completed for record in found.values() if record.summary is not None} == {4, 6}
    _every_file_says_so(only_run(project))
    assert (project / "junit.xml").read_text(encoding="utf-8").count('<property name="simulated" value="true"') == len(IDS)
    _gpus_are_simulated(project)


def _every_file_says_so(run_dir: Path) -> None:
    with (run_dir / "results.csv").open(newline="") as file:
        assert [row["simulated"] for row in csv.DictReader(file)] == ["true"] * 3
    assert [each["simulated"] for each in json.loads((run_dir / "results.json").read_text())["records"]] == [True] * 3
    for case in IDS:
        assert json.loads((run_dir / case / "summary.json").read_text())["simulated"] is True
        assert json.loads((run_dir / case / "manifest.json").read_text())["simulated"] is True
    html = (run_dir / "report.html").read_text(encoding="utf-8")
    assert html.count("SIMULATED") >= len(IDS)


def _gpus_are_simulated(project: Path) -> None:
    """Each case of two H100s and an A10 has a GPU of its own kind: the weights fill 90 % of what such a GPU has."""
    for case, total in (
        ("h100-vllm-llama-3.1-8b-tp1-d32x4-c2-simulated", 80),
        ("a10-sglang-qwen2.5-7b-tp1-d16x4-c1-simulated", 24),
    ):
        with (measured(project, case) / "gpu_memory.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert {row["simulated"] for row in rows} == {"True"}
        assert {round(int(row["memory_total_bytes"]) / 10**9 / total, 1) for row in rows} <= {0.9, 1.0, 1.1}


def test_a_server_that_is_made_to_crash_is_named_with_its_last_words(project: Path) -> None:
    code, output = run(project, "-p", "no:xdist", "-k", "llama-3.1-8b", "--inferbench-fault=crash-after-requests=4")
    (record,) = records(project).values()
    assert code == 1
    assert record.verdict.outlook is Outlook.FAIL, output
    assert "it exited with code 1; the last lines of its log" in (record.error or "")
    assert "crashed on demand after 4 requests" in (record.error or "")
    assert "crashed on demand after 4 requests" in output
    assert "--inferbench-fault=crash-after-requests=4" in record.again


def test_a_fault_that_nobody_knows_is_refused_with_those_that_are_known(project: Path) -> None:
    code, output = run(project, "-n0", "-k", "llama-3.1-8b", "--inferbench-fault=crash-after-dinner=1")
    assert code != 0
    assert "'crash-after-dinner' is no fault" in output
    assert "crash-after-requests" in output


def test_ctrl_c_leaves_no_simulated_server(project: Path) -> None:
    (project / "chat.bench.yaml").write_text(SUITE.replace("requests: 6", "requests: 100000"), encoding="utf-8")
    with Started(pytest_argv(*FLAGS, "-n0"), project) as session:
        session.wait_for(lambda: session.others("pytest_inferbench.simulator"))
        session.interrupt()
        assert session.process.wait(SESSION_LIMIT_S) in {2, -signal.SIGINT}, session.output
        assert not session.others("pytest_inferbench.simulator"), session.output


def test_a_dry_run_starts_nothing_and_has_the_simulated_ids(project: Path) -> None:
    code, output = run(project, "-p", "no:xdist", "--inferbench-dry-run")
    assert code == 0, output
    assert "h100-vllm-llama-3.1-8b-tp1-d32x4-c2-simulated" in output
    assert "Nothing was started." in output

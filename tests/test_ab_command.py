"""The command line of A/B, with servers that are only pretended."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pytest_inferbench.ab import Side, Slot
from pytest_inferbench.ab_command import ab
from pytest_inferbench.ab_session import Session
from pytest_inferbench.errors import EngineError
from pytest_inferbench.records.baselines import Measured
from tests.records.example import example_record
from tests.sessions import INI, own_server, suite
from tests.traces import streamed, traces_of

SUITE = "a.bench.yaml"
FEW = ["--blocks", "3", "--fail-on", "tpot_p50:5%", "-q"]
Measure = Callable[[Session, Slot, str], Measured]


def pretended(session: Session, slot: Slot, case_id: str) -> Measured:
    """A run whose tokens take as long as its side's command line says."""
    case = session.case(slot.side, case_id)
    itl_ms = float(dict(case.engine.env).get("ITL_MS", "20")) + 0.01 * (slot.pair % 3)
    traces = traces_of([streamed(100 + i % 5, itl_ms, sent_ns=i * 10**9) for i in range(20)])
    record = replace(example_record(traces), run_id=f"run-{slot.side}", case=case)
    return Measured(record=record, traces=traces, environment={"cpu_model": "A CPU", "cores_usable": 4})


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").write_text(INI, encoding="utf-8")
    (tmp_path / SUITE).write_text(suite("a", engine=own_server(), concurrency="[1, 2]"), encoding="utf-8")
    monkeypatch.setattr(Session, "measure", pretended)
    return tmp_path


def invoke(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(ab, arguments, env={"GITHUB_STEP_SUMMARY": None, "GITHUB_ACTIONS": None, **environment})


def only_run(project: Path) -> Path:
    (run,) = (project / "reports" / "runs").iterdir()
    return run


def test_a_slower_b_exits_with_1_and_is_shown() -> None:
    done = invoke("base", "env.ITL_MS=25", SUITE, *FEW, "-k", "c1")
    assert done.exit_code == 1
    assert "↑ tpot_p50 regression" in done.stdout
    assert "note: engine.env.ITL_MS not given -> 25" in done.stdout
    assert done.stdout.splitlines()[-2] == "1 figure compared: 1 regression; B against A (base)"


def test_the_same_on_both_sides_exits_with_0_and_says_that_it_is() -> None:
    done = invoke("base", "base", SUITE, *FEW)
    assert done.exit_code == 0
    assert "note: A and B are the same: this is an A/A comparison" in done.stdout
    assert "2 figures compared: 2 no change" in done.stdout


def test_json_is_all_there_is_on_standard_output_and_lies_beside_the_records(project: Path) -> None:
    done = invoke("base", "env.ITL_MS=15", SUITE, *FEW, "-k", "c1", "--json")
    found = json.loads(done.stdout)
    assert (found["comparisons"][0]["change"], found["exit_code"], done.exit_code) == ("improvement", 0, 0)
    run = only_run(project)
    assert found["run"] == str(run.relative_to(project))
    plan, kept = (json.loads((run / name).read_text()) for name in ("ab.json", "comparison.json"))
    assert (plan["a"], plan["b"], plan["blocks"]) == ("base", "env.ITL_MS=15", 3)
    assert plan["differs"] == ["engine.env.ITL_MS not given -> 15"]
    assert kept == found


def test_progress_says_where_it_is_and_what_is_known(project: Path) -> None:
    done = invoke("base", "env.ITL_MS=25", SUITE, *FEW[:-1], "-k", "c1")
    assert "block 1 of 3: A (run 1 of 12)" in done.stderr
    assert "block 2 of 3: B (run 5 of 12, about " in done.stderr
    assert "so far: tpot_p50 +" in done.stderr


def test_ctrl_c_reports_on_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def until_block_two(session: Session, slot: Slot, case_id: str) -> Measured:
        if slot.block == 2:
            raise KeyboardInterrupt
        return pretended(session, slot, case_id)

    monkeypatch.setattr(Session, "measure", until_block_two)
    done = invoke("base", "env.ITL_MS=25", SUITE, *FEW, "-k", "c1")
    assert done.exit_code == 130
    assert "↑ tpot_p50 regression" in done.stdout
    assert "fewer than 3 whole blocks" in done.stdout


def test_a_server_that_does_not_start_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(session: Session, slot: Slot, case_id: str) -> Measured:
        if slot.side is Side.B:
            raise EngineError("out of memory")
        return pretended(session, slot, case_id)

    monkeypatch.setattr(Session, "measure", broken)
    done = invoke("base", "env.ITL_MS=25", SUITE, *FEW, "-k", "c1")
    assert done.exit_code == 3
    assert "B in block 1: out of memory" in done.stdout


def test_github_gets_a_summary_and_annotations(project: Path) -> None:
    done = invoke("base", "env.ITL_MS=25", SUITE, *FEW, GITHUB_STEP_SUMMARY=str(project / "summary.md"), GITHUB_ACTIONS="true")
    assert "Compared with A &#40;base&#41;" in (project / "summary.md").read_text()
    assert done.stderr.count("::error") == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["base", "threads=1", SUITE], "'threads=1' changes nothing that is known"),
        (["base", "commit=nothing", SUITE, "--repo", "."], "git"),
        (["base", "base", SUITE, "-k", "nothing"], "no case is selected"),
        (["base", "base", SUITE, "--fail-on", "tpto:5%"], "'tpto' is not a metric"),
        (["base", "base", SUITE, "--lease-timeout", "soon"], "soon"),
        (["base", "base"], "Missing argument 'SUITE...'"),
    ],
)
def test_wrong_usage_exits_with_2_and_words(arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", "/")
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert words in done.stderr


def test_a_folder_of_another_run_is_not_written_into(project: Path) -> None:
    arguments = ["base", "base", SUITE, *FEW, "--output", "out"]
    assert invoke(*arguments).exit_code == 0
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert "choose another folder with --output" in done.stderr


def test_secrets_are_nowhere(project: Path) -> None:
    done: Any = invoke("base", "env.MY_API_KEY=verySecret1234567", SUITE, *FEW, "-k", "c1")
    everything = [path.read_text() for path in only_run(project).glob("*.json")]
    assert not any("verySecret" in text for text in (*everything, done.stdout, done.stderr))

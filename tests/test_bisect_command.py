"""The command line of bisection, with servers that are only pretended."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pytest_inferbench.ab import Side, Slot
from pytest_inferbench.ab_session import Session
from pytest_inferbench.bisect_command import bisect
from pytest_inferbench.errors import EngineError
from pytest_inferbench.records.baselines import Measured
from tests.sessions import INI, own_server, suite
from tests.test_ab_command import only_run, pretended

FLAG = "env.ITL_MS=20,20.1,20.2,20.3,25,25.1,25.2,25.3"
ARGUMENTS = ["a.bench.yaml", "--over", "flags", "--flag", FLAG, "--blocks", "3", "--fail-on", "tpot_p50:5%", "-q"]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").write_text(INI, encoding="utf-8")
    (tmp_path / "a.bench.yaml").write_text(suite("a", engine=own_server(), concurrency="[1]"), encoding="utf-8")
    monkeypatch.setattr(Session, "measure", pretended)
    return tmp_path


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(bisect, arguments)


def speed(session: Session, case_id: str) -> str:
    return dict(session.case(Side.B, case_id).engine.env)["ITL_MS"]


def measuring(monkeypatch: pytest.MonkeyPatch, change: Callable[[str, Slot], None]) -> None:
    """Let what ``change`` raises come of a run of B with that speed."""

    def measure(session: Session, slot: Slot, case_id: str) -> Measured:
        if slot.side is Side.B:
            change(speed(session, case_id), slot)
        return pretended(session, slot, case_id)

    monkeypatch.setattr(Session, "measure", measure)


def test_the_first_slow_value_is_found(project: Path) -> None:
    done = invoke(*ARGUMENTS)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "good         env.ITL_MS=20"
    assert lines[1].startswith("worse        env.ITL_MS=25.3 (12 runs): tpot_p50 +26.5 % (+")
    assert "the first that is worse: env.ITL_MS=25 (" in done.stdout
    found = json.loads((only_run(project) / "bisect.json").read_text())
    assert (found["first_worse"], found["sure"], len(found["candidates"])) == (["env.ITL_MS=25"], True, 8)
    assert found["runs"] == 12 * len(found["questions"])
    assert len(found["questions"]) <= 5
    assert found["confidence"] >= 0.95


def test_json_is_all_there_is_on_standard_output() -> None:
    found = json.loads(invoke(*ARGUMENTS, "--json", "--good", "20.3").stdout)
    assert found["candidates"][0] == "env.ITL_MS=20.3"
    assert found["first_worse"] == ["env.ITL_MS=25"]


def test_one_that_does_not_start_leaves_a_range(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(itl_ms: str, _: Slot) -> None:
        if itl_ms == "20.3":
            raise EngineError("out of memory")

    measuring(monkeypatch, broken)
    done = invoke(*ARGUMENTS)
    assert done.exit_code == 0
    assert "broken       env.ITL_MS=20.3 (1 runs): " in done.stdout
    assert "is one of these, which cannot be told apart: env.ITL_MS=20.3, env.ITL_MS=25 (" in done.stdout


def test_without_a_slow_down_nothing_is_found() -> None:
    done = invoke("a.bench.yaml", *ARGUMENTS[1:3], "--flag", "env.ITL_MS=20,20.1,20.2", *ARGUMENTS[5:])
    assert done.exit_code == 3
    assert "none of them is worse than env.ITL_MS=20 (" in done.stdout


def test_what_cannot_be_told_is_repeated_and_then_said() -> None:
    done = invoke(*ARGUMENTS[:-3], "--fail-on", "ttft_tool_p50:5%", "-q", "--repeats", "2")
    assert done.exit_code == 3
    assert "cannot tell  env.ITL_MS=25.3 (24 runs)" in done.stdout
    assert "env.ITL_MS=25.3 cannot be held against env.ITL_MS=20, so nothing can be found" in done.stdout


def test_a_good_one_that_does_not_start_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(session: Session, slot: Slot, case_id: str) -> Measured:
        raise EngineError("no such model")

    monkeypatch.setattr(Session, "measure", measure)
    done = invoke(*ARGUMENTS)
    assert done.exit_code == 3
    assert "env.ITL_MS=20, which is to be good, could not be measured" in done.stderr


def test_ctrl_c_says_what_is_known(monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    def interrupted(itl_ms: str, _: Slot) -> None:
        if itl_ms != "25.3":
            raise KeyboardInterrupt

    measuring(monkeypatch, interrupted)
    done = invoke(*ARGUMENTS)
    assert done.exit_code == 130
    assert "1 questions, 12 runs" in done.stdout
    assert json.loads((only_run(project) / "bisect.json").read_text())["interrupted"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.bench.yaml", "--over", "flags"], "needs the values in their order"),
        (["a.bench.yaml", "--over", "commits"], "needs --good and --bad"),
        (["a.bench.yaml"], "Missing option '--over'"),
        (["a.bench.yaml", "--over", "image-tags", "--good", "a", "--bad", "b", "--tags", "a,b"], "--image"),
        (["none.bench.yaml", "--over", "flags", "--flag", FLAG], "none.bench.yaml"),
    ],
)
def test_wrong_usage_exits_with_2_and_words(arguments: list[str], words: str) -> None:
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert words in done.stderr

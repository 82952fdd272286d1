"""When a session fails for what came of a comparison."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_inferbench.compare_command import Compared
from pytest_inferbench.gate import misses, tell_github
from pytest_inferbench.objectives.gates import Change, Comparison
from pytest_inferbench.objectives.tolerance import parse_fail_on
from tests.records.example import example_record


def compared(*changes: Change, waived: str = "") -> Compared:
    (tolerance,) = parse_fail_on("tpot_p50:5%")
    found = tuple(Comparison(case_id="c", tolerance=tolerance, change=each, reason="", waived=waived) for each in changes)
    return Compared(baseline="main", comparisons=found, notes=())


@pytest.mark.parametrize("inconclusive", ["fail", "skip", "pass"])
def test_a_regression_fails_whatever_becomes_of_what_cannot_be_told(inconclusive: str) -> None:
    assert misses(compared(Change.NO_CHANGE, Change.REGRESSION), inconclusive=inconclusive)
    assert not misses(compared(Change.NO_CHANGE, Change.IMPROVEMENT), inconclusive=inconclusive)
    assert not misses(compared(Change.REGRESSION, waived="known"), inconclusive=inconclusive)


def test_what_cannot_be_told_fails_unless_it_may_be() -> None:
    assert misses(compared(Change.CANNOT_TELL), inconclusive="fail")
    assert misses(compared(), inconclusive="fail")
    assert not misses(compared(Change.CANNOT_TELL), inconclusive="skip")
    assert not misses(compared(Change.CANNOT_TELL), inconclusive="pass")


def test_github_is_told_where_it_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert tell_github([example_record()], None) == []
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step.md"))
    assert tell_github([], None) == []
    assert not (tmp_path / "step.md").exists()
    assert tell_github([example_record()], compared(Change.REGRESSION)) == []
    text = (tmp_path / "step.md").read_text(encoding="utf-8")
    assert "Inference benchmarks" in text
    assert "Compared with main" in text
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    lines = tell_github([example_record()], compared(Change.REGRESSION))
    assert any("regression of tpot_p50" in line for line in lines)
    assert all(line.startswith(("::error ", "::warning ")) for line in lines)

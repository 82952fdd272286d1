"""Whole sessions that are held against a baseline, measured several times, or not sure of what they saw."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from pytest_inferbench.load.loopback import Loopback, Schedule
from tests.sessions import INI, only_run, suite

pytest_plugins = ["pytester"]

FAST, SLOW = Schedule(ttft_ms=10, itl_ms=4, tokens=4), Schedule(ttft_ms=40, itl_ms=40, tokens=4)
CASE = "cpu-openai-loopback-tp1-d8x4-c4"
TPOT = "--inferbench-fail-on=tpot_p50:150%"
"""A machine that is busy with something else must not look like a slower server."""


@pytest.fixture(scope="module")
def fast() -> Iterator[Loopback]:
    with Loopback.start(FAST) as running:
        yield running


@pytest.fixture(scope="module")
def slow() -> Iterator[Loopback]:
    with Loopback.start(SLOW) as running:
        yield running


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini(INI)
    write(pytester)
    return pytester


def write(project: pytest.Pytester, **more: str) -> None:
    text = suite(concurrency="4", load="{requests: 120, warmup: 1}", **more)
    (project.path / "quick.bench.yaml").write_text(text, encoding="utf-8")


def run(project: pytest.Pytester, server: Loopback, *arguments: str) -> pytest.RunResult:
    return project.runpytest("-p", "no:xdist", "--inferbench-no-calibration", f"--inferbench-endpoint={server.url}", *arguments)


def newest(root: Path) -> Path:
    return max((path for path in (root / "reports" / "runs").iterdir() if path.is_dir()), key=lambda path: path.name)


def test_a_run_is_saved_and_the_same_server_is_no_regression_of_it(project: pytest.Pytester, fast: Loopback) -> None:
    saved = run(project, fast, "--inferbench-save=main")
    assert saved.ret == 0
    path = project.path / "reports" / "baselines" / "main.json"
    assert f"note: saved as a baseline: {path}" in saved.stdout.str()
    assert list(json.loads(path.read_text(encoding="utf-8"))["cases"]) == [CASE]
    again = run(project, fast, "--inferbench-compare=main", TPOT, "--junitxml=junit.xml")
    text = again.stdout.str()
    assert again.ret == 0, text
    assert "compared with main" in text
    assert "1 figure compared: 1 no change" in text
    found = json.loads((newest(project.path) / "comparison.json").read_text(encoding="utf-8"))
    assert [(each["case"], each["figure"], each["change"]) for each in found["comparisons"]] == [(CASE, "tpot_p50", "no change")]
    said = {each.get("name"): each.get("value") for each in ET.parse(project.path / "junit.xml").iter("property")}  # noqa: S314 - our own
    assert said[f"{CASE}.compared_tpot_p50"] == "no change"


def test_a_slower_server_fails_the_session_and_says_by_how_much(
    project: pytest.Pytester, fast: Loopback, slow: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(project, fast, "--inferbench-save=main")
    step = project.path / "step.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    worse = run(project, slow, "--inferbench-compare=main", TPOT)
    text = worse.stdout.str()
    assert worse.ret == pytest.ExitCode.TESTS_FAILED
    assert "1 passed" in text
    assert "regression" in text
    assert "1 figure compared: 1 regression" in text
    assert f",title={CASE}%3A regression of tpot_p50::" in text
    assert "### Compared with main" in step.read_text(encoding="utf-8")


def test_tolerances_may_stand_in_the_suite(project: pytest.Pytester, fast: Loopback, slow: Loopback) -> None:
    run(project, fast, "--inferbench-save=main")
    write(project, fail_on="['tpot_p50:150%', 'e2e_p50:3000%']")
    text = run(project, slow, "--inferbench-compare=main").stdout.str()
    assert "2 figures compared: 1 regression, 1 no change" in text


def test_repeats_are_runs_of_one_case(project: pytest.Pytester, fast: Loopback) -> None:
    result = run(project, fast, "--inferbench-repeats=3", "--inferbench-save=main", "-v")
    result.assert_outcomes(passed=3)
    assert f"quick.bench.yaml::{CASE}-rep3" in result.stdout.str()
    saved = json.loads((project.path / "reports" / "baselines" / "main.json").read_text(encoding="utf-8"))
    assert len(saved["cases"][CASE]["figures"]["tpot_ms_p50"]["runs"]) == 3
    again = run(project, fast, "--inferbench-repeats=2", "--inferbench-compare=main", TPOT)
    assert "1 figure compared: 1 no change" in again.stdout.str()


def test_a_baseline_that_is_not_there_is_named_before_anything_is_measured(project: pytest.Pytester, fast: Loopback) -> None:
    result = run(project, fast, "--inferbench-compare=nowhere")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--inferbench-compare: there is no baseline nowhere: looked in" in result.stderr.str()
    assert not (project.path / "reports").exists()


def test_a_case_that_is_new_cannot_be_told_which_is_not_green_unless_asked(project: pytest.Pytester, fast: Loopback) -> None:
    run(project, fast, "--inferbench-save=main")
    write(project, traffic="D(9,4)")
    result = run(project, fast, "--inferbench-compare=main", TPOT)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "cpu-openai-loopback-tp1-d9x4-c4 is not in main; save it there to compare it next time" in result.stdout.str()
    assert run(project, fast, "--inferbench-compare=main", TPOT, "--inferbench-inconclusive=pass").ret == 0


@pytest.mark.parametrize(("asked", "outcome"), [("fail", "failed"), ("skip", "skipped"), ("pass", "passed")])
def test_what_is_not_sure_becomes_what_was_asked_for(project: pytest.Pytester, fast: Loopback, asked: str, outcome: str) -> None:
    (project.path / "quick.bench.yaml").write_text(suite(concurrency="1", confidence="0.95"), encoding="utf-8")
    result = run(project, fast, f"--inferbench-inconclusive={asked}", "-rs")
    result.assert_outcomes(**{outcome: 1})
    (record,) = json.loads((only_run(project.path) / "results.json").read_text(encoding="utf-8"))["records"]
    assert record["verdict"]["outlook"] == "inconclusive"
    if asked != "pass":
        assert "INCONCLUSIVE: ttft_p99 <= 30000ms: " in result.stdout.str()
        assert "4 requests count as" in result.stdout.str()


def test_the_command_line_may_take_figures_as_they_are_seen(project: pytest.Pytester, fast: Loopback) -> None:
    (project.path / "quick.bench.yaml").write_text(suite(concurrency="1", confidence="0.99"), encoding="utf-8")
    run(project, fast, "--inferbench-confidence=observed").assert_outcomes(passed=1)
    (record,) = json.loads((only_run(project.path) / "results.json").read_text(encoding="utf-8"))["records"]
    assert [each["confidence"] for each in record["verdict"]["judgements"]] == [0.0, 0.0]

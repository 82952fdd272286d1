from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from pytest_inferbench.baseline_command import baseline
from pytest_inferbench.compare_command import FAIL_ON, compare
from pytest_inferbench.objectives.tolerance import parse_fail_on
from pytest_inferbench.objectives.waivers import read_waivers
from tests.records.example import CASE
from tests.records.test_baseline_files import run_in

ARGUMENTS = ["--fail-on", "tpot_p50:5%"]


def renamed(run: Path, run_id: str) -> Path:
    """The run with an id of its own."""
    for path in (run / "results.json", *run.glob("*/summary.json")):
        path.write_text(path.read_text().replace("20261122-074501-3f9c", run_id))
    return run


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a baseline of one run, and a run that is 25 % slower in ``slow``, another one as fast in ``same``."""
    monkeypatch.chdir(tmp_path)
    run_in(tmp_path / "first")
    renamed(run_in(tmp_path / "slow", itl_ms=25), "slow-run")
    renamed(run_in(tmp_path / "same"), "same-run")
    assert CliRunner().invoke(baseline, ["save", "main", "first"]).exit_code == 0
    return tmp_path


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(compare, arguments, env={"GITHUB_STEP_SUMMARY": None, "GITHUB_ACTIONS": None})


def test_a_baseline_is_saved_and_says_how_to_compare(root: Path) -> None:
    done = CliRunner().invoke(baseline, ["save", "five", "first", "same"])
    assert done.stdout.splitlines() == ["reports/baselines/five.json", "compare with: inferbench compare five RUN"]


def test_what_cannot_be_saved_is_wrong_usage(root: Path) -> None:
    done = CliRunner().invoke(baseline, ["save", "../x", "first"])
    assert done.exit_code == 2
    assert "'../x' cannot name a baseline" in done.stderr
    done = CliRunner().invoke(baseline, ["save", "x", "gone"])
    assert (done.exit_code, "there is no run gone" in done.stderr) == (2, True)


def test_a_regression_exits_with_1_and_is_shown(root: Path) -> None:
    done = invoke("main", "slow", *ARGUMENTS)
    assert done.exit_code == 1
    assert "↑ tpot_p50 regression" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 figure compared: 1 regression; baseline main"


def test_no_regression_exits_with_0(root: Path) -> None:
    done = invoke("main", "same", *ARGUMENTS, "--noise", "1%")
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "1 figure compared: 1 no change; baseline main")


def test_what_cannot_be_told_exits_with_3(root: Path) -> None:
    done = invoke("main", "same", *ARGUMENTS, "--noise", "20%")
    assert done.exit_code == 3
    assert "runs on each side would tell" in done.stdout


def test_a_regression_beside_what_cannot_be_told_is_a_regression(root: Path) -> None:
    assert invoke("main", "slow", "--fail-on", "tpot_p50:5%,ttft_tool_p50:5%").exit_code == 1


def test_no_case_in_common_is_never_green(root: Path) -> None:
    for path in (root / "same").rglob("*.json"):
        path.write_text(path.read_text().replace(CASE.id, "another-case"))
    done = invoke("main", "same", *ARGUMENTS)
    assert done.exit_code == 3
    assert "note: no case of same is in main, so nothing was compared" in done.stdout


def test_a_run_is_not_compared_with_itself(root: Path) -> None:
    done = invoke("main", "first", *ARGUMENTS)
    assert done.exit_code == 2
    assert "main was made of run 20261122-074501-3f9c itself" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["main", "slow", "--fail-on", "tpto_p50:5%"], "'tpto' is not a metric; did you mean tpot"),
        (["main", "slow", "--noise", "0%"], "is no noise between runs"),
        (["mian", "slow"], "there is no baseline mian"),
        (["main", "gone"], "there is no run gone"),
        (["main"], "Missing argument 'RUN...'"),
    ],
)
def test_wrong_usage_exits_with_2_and_words(root: Path, arguments: list[str], words: str) -> None:
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert words in done.stderr


def test_json_says_the_same(root: Path) -> None:
    done = invoke("main", "slow", *ARGUMENTS, "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["exit_code"], found["baseline"]) == (1, 1, "main")
    (comparison,) = found["comparisons"]
    assert (comparison["case"], comparison["figure"], comparison["change"]) == (CASE.id, "tpot_p50", "regression")
    assert comparison["effect_low"] < comparison["effect"] < comparison["effect_high"]


def test_json_of_what_was_not_measured_is_null(root: Path) -> None:
    (comparison,) = json.loads(invoke("main", "slow", "--fail-on", "ttft_tool_p50:5%", "--json").stdout)["comparisons"]
    assert (comparison["effect"], comparison["change"]) == (None, "cannot tell")


@pytest.mark.parametrize(("days", "code"), [(1, 0), (-1, 1)])
def test_a_waiver_counts_until_its_day_and_is_named_afterwards(root: Path, days: int, code: int) -> None:
    until = (datetime.now().astimezone() + timedelta(days=days)).date()
    waiver = f"waivers:\n  - case: 'cpu-*'\n    metric: tpot_p50\n    reason: a new sampler\n    until: {until}\n"
    (root / "reports" / "baselines" / "waivers.yaml").write_text(waiver)
    done = invoke("main", "slow", *ARGUMENTS)
    assert done.exit_code == code
    assert "a new sampler" in done.stdout
    assert ("ran out on" in done.stdout) == (days < 0)


def test_several_runs_on_both_sides_need_no_assumption(root: Path) -> None:
    assert CliRunner().invoke(baseline, ["save", "two", "first", "same"]).exit_code == 0
    renamed(run_in(root / "slow2", itl_ms=25), "slow-run-2")
    done = invoke("two", "slow", "slow2", *ARGUMENTS)
    assert done.exit_code == 1
    assert "assumed" not in done.stdout


def test_github_gets_a_summary_and_annotations_where_it_says_so(root: Path) -> None:
    environment = {"GITHUB_STEP_SUMMARY": str(root / "summary.md"), "GITHUB_ACTIONS": "true"}
    done = CliRunner().invoke(compare, ["main", "slow", *ARGUMENTS], env=environment)
    assert "### Compared with main" in (root / "summary.md").read_text()
    assert "::error title=cpu-" in done.stderr
    assert "::error" not in done.stdout


def test_elsewhere_there_are_none(root: Path) -> None:
    done = CliRunner().invoke(compare, ["main", "slow", *ARGUMENTS], env={"GITHUB_STEP_SUMMARY": None, "GITHUB_ACTIONS": None})
    assert done.stderr == ""


def test_what_is_gated_by_default_can_be_read() -> None:
    assert [each.name for each in parse_fail_on(FAIL_ON)] == ["tpot_p50", "ttft_p99", "output_throughput"]


DOCS = (Path(__file__).parent.parent / "docs" / "ci.md").read_text("utf-8")


def blocks_of(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)


def test_the_workflows_of_the_docs_are_yaml_and_have_flags_that_exist() -> None:
    options = {name for each in compare.params for name in each.opts}
    for block in blocks_of("yaml"):
        assert isinstance(yaml.safe_load(block), dict)
    plugin = (Path(__file__).parent.parent / "pytest_inferbench" / "option_flags.py").read_text("utf-8")
    for flag in set(re.findall(r"--inferbench-[a-z-]+", DOCS)):
        assert f'"{flag}"' in plugin
    own = set(re.findall(r"(?<![\w-])--(?!inferbench|junitxml|style|context)[a-z][a-z-]+", DOCS))
    assert {"--fail-on", "--noise"} <= own <= options


def test_the_tolerances_and_waivers_of_the_docs_can_be_read(tmp_path: Path) -> None:
    for text in re.findall(r'--fail-on "([^"]+)"', DOCS):
        assert parse_fail_on(text)
    (waivers,) = [block for block in blocks_of("yaml") if block.startswith("# reports/baselines/waivers.yaml")]
    path = tmp_path / "waivers.yaml"
    path.write_text(waivers)
    assert [each.metric for each in read_waivers(path)] == ["tpot_p50"]

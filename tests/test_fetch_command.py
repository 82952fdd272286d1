"""A run that was uploaded is used as one that was measured here."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pytest_inferbench import load_run
from pytest_inferbench.baseline_command import baseline
from pytest_inferbench.compare_command import compare
from pytest_inferbench.fetch_command import fetch
from pytest_inferbench.records.artifacts import upload_run
from pytest_inferbench.records.baseline_files import measured
from pytest_inferbench.resume import plan, run_at
from tests.records.example import CASE, RUN_ID
from tests.records.test_baseline_files import run_in


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run that was measured, uploaded and lost."""
    monkeypatch.chdir(tmp_path)
    run = run_in(tmp_path / "measured")
    (run / "run.json").write_text(f'{{"run_id": "{RUN_ID}"}}')
    url = (tmp_path / "store").as_uri()
    upload_run(run, url)
    return url


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(fetch, arguments)


def test_a_run_comes_back_to_where_runs_lie(url: str) -> None:
    done = invoke(url)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"run {RUN_ID} is in reports/runs/{RUN_ID}: ")
    assert done.stdout.endswith("every SHA-256 as in its manifest\n")
    assert "nothing to do" in invoke(f"{url}/{RUN_ID}").stdout


def test_a_fetched_run_is_compared_loaded_and_gone_on_with(url: str, tmp_path: Path) -> None:
    assert invoke(url, "back").exit_code == 0
    (case,) = measured(tmp_path / "back")
    assert case.traces is not None
    assert case.environment["cpu_model"] == "A CPU"
    assert CliRunner().invoke(baseline, ["save", "main", "measured"]).exit_code == 0
    text = (tmp_path / "back" / "results.json").read_text().replace(RUN_ID, "another-run")
    (tmp_path / "back" / "results.json").write_text(text)
    done = CliRunner().invoke(
        compare, ["main", "back", "--fail-on", "tpot_p50:5%", "--noise", "1%"], env={"GITHUB_ACTIONS": None}
    )
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "1 figure compared: 1 no change; baseline main")
    assert len(load_run("back").requests) == 100
    assert run_at(Path("back")).run_id == RUN_ID
    assert [case_id for _, case_id in plan(Path("back")).stored] == [CASE.id]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["{url}/gone"], 1, "holds no complete run: there is no artifact.json"),
        (["{url}", "measured"], 1, "is there, and is not the run as it was uploaded"),
        (["{url}", "--max-gb", "0.000001"], 1, "allow more with --max-gb"),
        (["{url}", "--max-gb", "0"], 2, "Invalid value for '--max-gb'"),
        (["nope://x"], 2, "is no address that files can be sent to"),
    ],
)
def test_what_is_wrong_is_said(url: str, arguments: list[str], code: int, words: str) -> None:
    Path("measured", "more").write_text("more")
    done = invoke(*(each.format(url=url) for each in arguments))
    assert (done.exit_code, words in done.stderr) == (code, True), done.stderr

"""What is done with a run at its end: every step by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.closing import Closing
from pytest_inferbench.gathering import Gathering
from pytest_inferbench.library import load_history
from pytest_inferbench.options import Options
from pytest_inferbench.records.results import write_results
from pytest_inferbench.records.run_directory import open_run
from pytest_inferbench.records.writer import write_case
from tests.records.example import example_record, example_traces

OPTIONS = Options(
    endpoint=None,
    endpoint_model=None,
    api_key_env=None,
    tokenizer=None,
    output=None,
    seed=None,
    replay=None,
    slo=(),
    lease_timeout_s=1.0,
    store="none",
)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    run = open_run(example_record().run_id, output=tmp_path / "run")
    record = example_record()
    (run.path / record.folder).mkdir()
    write_case(run.path / record.folder, record=record, traces=example_traces())
    write_results(run.path, [record])
    return run.path


def closed(run_dir: Path, **asked: Any) -> Gathering:
    config: Any = None
    gathering = Gathering(config, is_worker=False, run_folder=lambda: run_dir)
    gathering._records = {"a": example_record()}
    options = replace(OPTIONS, **asked)
    Closing(options=options, gathering=gathering, run_dir=run_dir, root=run_dir.parent, exit_code=0).close()
    return gathering


def test_a_run_gets_a_summary_and_nothing_is_said_where_all_is_well(run_dir: Path) -> None:
    found = closed(run_dir)
    assert (found.troubles, found.notices) == ([], [])
    assert "# Run" in (run_dir / "summary.md").read_text(encoding="utf-8")


def test_a_run_goes_into_the_history_that_was_asked_for(run_dir: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/history.sqlite"
    found = closed(run_dir, store=url)
    assert (found.troubles, found.notices) == ([], [])
    assert list(load_history(url)["run_id"]) == [example_record().run_id]


def test_a_database_that_is_away_is_a_notice_and_no_trouble(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    found = closed(run_dir, store=f"sqlite:///{tmp_path}/nowhere/\0/history.sqlite")
    assert found.troubles == []
    assert found.notices


def test_a_run_is_uploaded_where_that_was_asked_for(run_dir: Path, tmp_path: Path) -> None:
    found = closed(run_dir, upload=f"file://{tmp_path}/there")
    assert found.troubles == []
    (said,) = found.notices
    assert f"run {example_record().run_id} is in file://{tmp_path}/there" in said
    assert (tmp_path / "there" / example_record().run_id / "summary.md").exists()


def test_an_upload_that_fails_is_a_trouble_and_takes_nothing_with_it(run_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("a file", encoding="utf-8")
    found = closed(run_dir, upload=f"file://{tmp_path}/there", save="main")
    (trouble,) = found.troubles
    assert trouble.startswith("the run was not uploaded: ")
    assert f"inferbench upload {run_dir}" in trouble
    assert (tmp_path / "reports" / "baselines" / "main.json").exists()
    assert (run_dir / "summary.md").exists()

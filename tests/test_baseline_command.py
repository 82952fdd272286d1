from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from pytest_inferbench.baseline_command import baseline
from tests.records.test_baseline_files import run_in


def test_a_run_is_saved_where_the_repository_keeps_baselines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(baseline, ["save", "main", str(run_in(tmp_path / "run"))])
    assert (done.exit_code, (tmp_path / "reports" / "baselines" / "main.json").is_file()) == (0, True)


def test_a_run_whose_case_broke_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(baseline, ["save", "main", str(run_in(tmp_path / "run", broken=True))])
    assert done.exit_code == 2
    assert "main was not saved, since a baseline must be sound: " in done.stderr

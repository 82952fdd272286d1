from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from pytest_inferbench.export_command import export, export_finished_run
from pytest_inferbench.records.export.registry import FORMATS
from tests.records.export.measured import several, write_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", several(1, 2))


def test_files_that_were_written_are_listed(run: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(export, [str(run), "--format", "gie,lpg", "--output", str(tmp_path / "out")])
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == 4
    assert all(Path(line).is_file() for line in done.stdout.splitlines())


def test_what_could_not_be_written_is_told_and_the_rest_is_written(run: Path) -> None:
    (run / "case-c1" / "requests.parquet").unlink()
    done = CliRunner().invoke(export, [str(run), "--format", "gie"])
    assert done.exit_code == 1
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr.startswith("not written: case-c1: ")


def test_wrong_usage_is_told(run: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(export, [str(run), "--format", "vlm"])
    assert done.exit_code == 2
    assert "'vlm' is not a format that can be written; did you mean vllm" in done.stderr
    done = CliRunner().invoke(export, [str(tmp_path / "gone"), "--format", "vllm"])
    assert done.exit_code == 2
    assert "holds no results" in done.stderr


def test_the_help_names_every_format() -> None:
    text = " ".join(CliRunner().invoke(export, ["--help"]).stdout.split())
    assert f"Formats: {', '.join(FORMATS)}." in text


def test_the_file_that_stands_for_a_link_to_the_newest_run_is_followed(run: Path, tmp_path: Path) -> None:
    (tmp_path / "latest").write_text("run\n")
    done = CliRunner().invoke(export, [str(tmp_path / "latest"), "--format", "gie"])
    assert (done.exit_code, len(list((run / "exports").rglob("*.pbtxt")))) == (0, 2)


def test_a_finished_run_is_written_and_troubles_are_sentences(run: Path, tmp_path: Path) -> None:
    files, troubles = export_finished_run(run, "gie")
    assert (len(files), troubles) == (2, ())
    files, troubles = export_finished_run(tmp_path / "gone", "gie")
    assert files == ()
    assert "holds no results" in troubles[0]
    assert "is not a format" in export_finished_run(run, "zzz")[1][0]

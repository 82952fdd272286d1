from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from pytest_inferbench.import_command import import_results
from pytest_inferbench.records.reader import read_run
from tests.records.export.measured import exportable
from tests.records.imports.exported import written


def test_results_become_a_run(tmp_path: Path) -> None:
    plain = written(tmp_path / "vllm", "vllm")[0]
    simulated = written(tmp_path / "gie", "gie", exportable(simulated=True))[0]
    done = CliRunner().invoke(import_results, [str(plain), str(simulated.parent), "-o", str(tmp_path / "run")])
    assert done.exit_code == 0
    first, second, folder = done.stdout.splitlines()
    assert f"(vllm, 3 requests) from {plain}" in first
    assert "(simulated, gie, 0 requests)" in second
    assert folder == str(tmp_path / "run")
    assert [record.simulated for record in read_run(tmp_path / "run")] == [False, True]


def test_a_file_that_cannot_be_read_stops_before_anything_is_written(tmp_path: Path) -> None:
    plain = written(tmp_path / "vllm", "vllm")[0]
    (tmp_path / "broken.json").write_text("{")
    done = CliRunner().invoke(import_results, [str(plain), str(tmp_path / "broken.json"), "-o", str(tmp_path / "run")])
    assert done.exit_code == 2
    assert "broken.json:1: it is not JSON" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_a_run_is_never_overwritten(tmp_path: Path) -> None:
    plain = written(tmp_path / "vllm", "vllm")[0]
    arguments = [str(plain), "-o", str(tmp_path / "run")]
    assert CliRunner().invoke(import_results, arguments).exit_code == 0
    done = CliRunner().invoke(import_results, arguments)
    assert done.exit_code == 2
    assert "which is never overwritten" in done.stderr

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_inferbench.errors import RecordError
from pytest_inferbench.records.export.exportable import Export, Exportable, ExportFile
from pytest_inferbench.records.export.registry import FORMATS
from pytest_inferbench.records.export.write import export_run
from pytest_inferbench.records.record import Imported
from pytest_inferbench.records.results import write_results
from pytest_inferbench.records.telemetry import GPU_FILE
from pytest_inferbench.records.writer import write_case
from tests.records.example import broken_record, example_record
from tests.records.export.measured import exportable, several, write_run
from tests.traces import lost, traces_of


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", several(1, 2))


def test_each_format_has_a_folder_in_the_run(run: Path) -> None:
    done = export_run(run, ["vllm", "lpg"])
    assert done.troubles == ()
    assert {path.relative_to(run / "exports").parts[0] for path in done.files} == {"vllm", "lpg"}
    assert all(path.is_file() for path in done.files)
    assert len(done.files) == 6


def test_another_folder_can_be_asked_for(run: Path, tmp_path: Path) -> None:
    done = export_run(run, ["gie"], output=tmp_path / "out")
    assert sorted(path.relative_to(tmp_path / "out").as_posix() for path in done.files) == [
        "gie/case-c1/benchmark.pbtxt",
        "gie/case-c2/benchmark.pbtxt",
    ]


def test_every_format_can_be_written_from_a_runs_folder(run: Path) -> None:
    done = export_run(run, tuple(FORMATS))
    assert done.troubles == ()
    for path in done.files:
        if path.suffix == ".json":
            json.loads(path.read_text())


def fails(_: Sequence[Exportable]) -> Export:
    raise ZeroDivisionError("nothing to divide by")


def test_a_format_that_fails_takes_no_other_one_with_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "broken", fails)
    done = export_run(run, ["broken", "vllm"])
    assert len(done.files) == 4
    assert done.troubles == ("broken: ZeroDivisionError: nothing to divide by; please report this",)


def test_a_folder_that_cannot_be_made_is_a_sentence(run: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    done = export_run(run, ["vllm"], output=tmp_path / "taken")
    assert done.files == ()
    assert len(done.troubles) == 1
    assert "could not be written" in done.troubles[0]


def test_cases_without_figures_are_told_and_left_out(tmp_path: Path) -> None:
    broken, nothing = broken_record(), example_record(traces_of([lost()]))
    records = [broken, replace(nothing, folder="nothing")]
    (tmp_path / "nothing").mkdir()
    write_case(tmp_path / "nothing", record=records[1], traces=traces_of([lost()]))
    write_results(tmp_path, records)
    done = export_run(tmp_path, ["vllm"])
    assert done.files == ()
    assert done.troubles == (
        f"{broken.case.id}: it broke before it was measured",
        f"{broken.case.id}: no request of it completed, so there is no figure to write",
        f"{tmp_path}: no case was measured, so nothing was written",
    )


def test_a_case_whose_requests_are_gone_is_told(run: Path) -> None:
    (run / "case-c1" / "requests.parquet").unlink()
    done = export_run(run, ["gie"])
    assert len(done.files) == 1
    assert "case-c1: " in done.troubles[0]
    assert "is not there" in done.troubles[0]


def test_what_was_imported_is_not_written_as_if_it_had_been_measured(tmp_path: Path) -> None:
    record = replace(example_record(), imported=Imported(tool="vllm", version=None, file="a.json"))
    write_results(tmp_path, [record])
    done = export_run(tmp_path, ["vllm"])
    assert done.files == ()
    assert done.troubles[0].endswith("it was imported from vllm, and its requests are not there")


def test_readings_of_gpus_are_found(run: Path) -> None:
    (run / "case-c1" / GPU_FILE).write_text("timestamp_ns,gpu\n1,0\n")
    assert any(path.name == GPU_FILE for path in export_run(run, ["inferx"]).files)


def test_what_a_format_has_no_place_for_is_told(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half = Export(files=(ExportFile(path="a/b.txt", content="x"),), left_out=("case-c2: too large",))
    monkeypatch.setitem(FORMATS, "half", lambda _: half)
    done = export_run(run, ["half"])
    assert done.troubles == ("half: case-c2: too large",)
    assert (run / "exports" / "half" / "a" / "b.txt").read_text() == "x"


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="holds no results"):
        export_run(tmp_path, ["vllm"])


def test_a_simulated_run_says_so(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [exportable(simulated=True)])
    assert all("simulated" in path.read_text().lower() + path.as_posix() for path in export_run(run, tuple(FORMATS)).files)


def test_a_long_name_loses_its_end(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = Export(files=(ExportFile(path=f"case-{'ä' * 300}.json", content={}),))
    monkeypatch.setitem(FORMATS, "long", lambda _: long)
    (path,) = export_run(run, ["long"]).files
    assert path.name.startswith("case-ä")
    assert path.suffix == ".json"
    assert len(path.name.encode()) <= 200

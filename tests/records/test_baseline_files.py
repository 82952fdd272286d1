from __future__ import annotations

import json
import re
from math import isnan
from pathlib import Path

import pytest

from pytest_inferbench.errors import ConfigError, RecordError
from pytest_inferbench.objectives.gates import Change, compare
from pytest_inferbench.objectives.tolerance import Tolerated, parse_fail_on
from pytest_inferbench.records import baseline_files
from pytest_inferbench.records.baseline_files import baseline_text, find, measured, path_of, read_baseline, run_folder, save
from pytest_inferbench.records.baselines import baseline_of, match
from pytest_inferbench.records.results import write_results
from pytest_inferbench.records.writer import write_case
from tests.records.example import CASE, RUN_ID, broken_record, example_record
from tests.traces import streamed, traces_of

ALL = Tolerated(usual=parse_fail_on("tpot_p50:5%,ttft_p99:5%,output_throughput:5%,error_rate:5%"))


def run_in(folder: Path, *, itl_ms: float = 20.0, broken: bool = False) -> Path:
    """The folder of a run with one case."""
    traces = traces_of([streamed(100 + i % 5, itl_ms + i % 3, sent_ns=i * 10**9) for i in range(100)])
    record = broken_record() if broken else example_record(traces)
    (folder / record.folder).mkdir(parents=True)
    write_case(folder / record.folder, record=record, traces=None if broken else traces)
    manifest = {"environment": {"cpu_model": "A CPU", "cores": 8, "cores_usable": 4}}
    (folder / record.folder / "manifest.json").write_text(json.dumps(manifest))
    write_results(folder, [record])
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    save("main", [run_in(tmp_path / "run")], root=tmp_path)
    return tmp_path


def test_what_is_saved_is_found_by_its_name_and_compared_with_its_run(root: Path) -> None:
    old, new = find("main", root=root), find(str(root / "run"), root=root)
    assert (old.name, old.runs) == ("main", (RUN_ID,))
    assert [each.change for each in compare(match(old, new, ALL).pairs, noise=0.001)] == [
        Change.NO_CHANGE,
        Change.CANNOT_TELL,
        Change.NO_CHANGE,
        Change.NO_CHANGE,
    ]
    assert old.cases[0].fingerprint == new.cases[0].fingerprint
    assert old.cases[0].fingerprint.machine == "A CPU, 4 cores"


def test_the_file_reads_as_a_diff_one_figure_a_line_with_units_and_four_digits(root: Path) -> None:
    lines = path_of("main", root).read_text().splitlines()
    (tpot,) = [line.strip() for line in lines if "tpot_ms_p50" in line]
    assert tpot == '"tpot_ms_p50": {"runs": [21.0], "within_percent": [0.0]},'
    assert any(
        re.fullmatch(r'"e2e_ms_mean": {"runs": \[\d{3}\.\d\], "within_percent": \[0\.\d{1,3}\]},', each.strip()) for each in lines
    )
    assert '      "counts": {' in lines
    figures = [line.split(":")[0].strip() for line in lines if '"runs": [' in line and line.startswith("        ")]
    assert figures == sorted(figures)
    assert len(figures) > 30


def test_the_same_runs_give_the_same_text(root: Path) -> None:
    before = path_of("main", root).read_text()
    save("main", [root / "run"], root=root)
    assert path_of("main", root).read_text() == before
    assert baseline_text(read_baseline(path_of("main", root))) == before


def test_several_runs_are_repeats(root: Path) -> None:
    save("five", [root / "run", run_in(root / "second", itl_ms=25)], root=root)
    (case,) = find("five", root=root).cases
    assert [round(each) for each in case.figures["tpot_p50"].runs] == [21, 26]


def test_a_run_is_found_by_its_id_its_folder_its_results_and_where_latest_points(root: Path) -> None:
    run_in(root / "reports" / "runs" / "20261122-1")
    (root / "reports" / "latest").write_text("runs/20261122-1\n")
    for text in ("20261122-1", str(root / "reports/latest"), str(root / "run" / "results.json"), str(root / "run")):
        assert [case.id for case in find(text, root=root).cases] == [CASE.id]


def test_a_file_elsewhere_is_a_baseline_too(root: Path) -> None:
    elsewhere = root / "elsewhere.json"
    elsewhere.write_text(path_of("main", root).read_text())
    assert find(str(elsewhere), root=root).name == "elsewhere"


def test_what_is_not_there_is_said_with_what_is(root: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        find("mian", root=root)
    assert "there is no baseline mian: looked in " in refused.value.problem
    assert refused.value.problem.endswith("; did you mean main?")
    with pytest.raises(ConfigError, match=r"; baselines: main$"):
        find("zzz", root=root)
    with pytest.raises(ConfigError, match=r"; save one with inferbench baseline save NAME RUN$"):
        find("main", root=root / "run")


@pytest.mark.parametrize("name", ["", "../main", "a/b", ".main", "waivers", "a b", "x" * 101])
def test_what_cannot_be_a_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a baseline; use letters, digits"):
        path_of(name, tmp_path)


def test_a_case_that_broke_is_no_baseline_and_nothing_is_written(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run", broken=True)
    with pytest.raises(RecordError) as refused:
        save("main", [run], root=tmp_path)
    words = (
        f"main was not saved, since a baseline must be sound: {CASE.id}: it broke before it was measured: engine died: no memory"
    )
    assert str(refused.value) == words
    assert not path_of("main", tmp_path).exists()


def test_a_path_to_nothing_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no run .*gone; give the folder of a run, such as reports/latest"):
        run_folder(tmp_path / "gone")


def test_a_record_that_points_out_of_its_run_is_not_followed(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run")
    results = run / "results.json"
    results.write_text(results.read_text().replace(f'"folder": "{CASE.id}"', f'"folder": "../run/../other/{CASE.id}"'))
    run_in(tmp_path / "other")
    (found,) = measured(run)
    assert (found.traces, dict(found.environment)) == (None, {})


def test_requests_of_another_version_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def older(folder: Path) -> None:
        raise KeyError('Field "first_content_ns" does not exist in schema')

    monkeypatch.setattr(baseline_files, "read_traces", older)
    with pytest.raises(RecordError, match=r'another version of pytest-inferbench \(Field "first_content_ns" .*\); measure again'):
        measured(run_in(tmp_path / "run"))


def test_a_figure_that_one_repeat_lacks_is_null_and_read_back_as_unknown(root: Path) -> None:
    path = path_of("main", root)
    path.write_text(path.read_text().replace('"tpot_ms_p50": {"runs": [21.0]', '"tpot_ms_p50": {"runs": [null]'))
    assert isnan(read_baseline(path).cases[0].figures["tpot_p50"].runs[0])
    assert '"tpot_ms_p50": {"runs": [null]' in baseline_text(read_baseline(path))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"schema_version": 1', '"schema_version": 2', "schema_version: is 2, but this version of pytest-inferbench reads 1"),
        ('"name": "main"', '"nam": "main"', "nam: is not a field here; fields: cases, name, runs, schema_version"),
        ('"runs": ["20', '"runs": [20, "20', "runs: must be a list, each a run's id"),
        ('"attempted": [100]', '"attempted": ["100"]', ".counts.attempted: must be a list, each a whole number"),
        ('"attempted": [100]', '"attempted": [100, 100]', ".counts: must have one number a run in each field"),
        ('"attempted": [100]', '"tried": [100]', ".counts.tried: is not a field here"),
        ('"tpot_ms_p50"', '"tpot_ms_p5"', ".figures.tpot_ms_p5: is not a figure; did you mean tpot_ms_p95?"),
        (
            '"tpot_ms_p50": {"runs": [21.0]',
            '"tpot_ms_p50": {"runs": [NaN]',
            ".figures.tpot_ms_p50.runs: must be a list of 1 numbers",
        ),
        ('"tpot_ms_p50": {"runs": [21.0]', '"tpot_ms_p50": {"runs": [-1]', ".runs: must be a list of 1 numbers of at least 0"),
        ('"tpot_ms_p50": {"runs": [21.0]', '"tpot_ms_p50": {"runs": [21, 22]', "one a run (null: not measured)"),
        ('"machine": "A CPU, 4 cores"', '"machine": 4', ".fingerprint.machine: must be text"),
        ('"machine": "A CPU, 4 cores"', '"machin": "x"', ".fingerprint.machin: is not a field here"),
        ('"counts": {', '"counts": {,', "not JSON: "),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_file_line_and_field(root: Path, old: str, new: str, words: str) -> None:
    path = path_of("main", root)
    text = path.read_text()
    path.write_text(text.replace(old, new))
    assert path.read_text() != text
    with pytest.raises(ConfigError) as refused:
        find("main", root=root)
    assert words in str(refused.value)
    assert str(refused.value).startswith(f"{path}:")
    assert refused.value.line is not None


def test_a_case_without_counts_and_an_empty_file_are_refused(root: Path) -> None:
    path = path_of("main", root)
    value = json.loads(path.read_text())
    del value["cases"][CASE.id]["counts"]
    path.write_text(json.dumps(value))
    with pytest.raises(ConfigError, match="counts: is missing"):
        read_baseline(path)
    path.write_text("\n")
    with pytest.raises(ConfigError, match="is empty; write it with inferbench baseline save"):
        read_baseline(path)


def test_records_without_a_folder_are_compared_by_their_figures_alone(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run")
    for each in (run / CASE.id).iterdir():
        each.unlink()
    (case,) = baseline_of(measured(run), name="run").cases
    assert case.figures["tpot_p50"].within == (None,)

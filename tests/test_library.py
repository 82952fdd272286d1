"""Runs as pandas frames."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import pytest_inferbench
from pytest_inferbench import load_run
from pytest_inferbench.errors import ConfigError, InferbenchError, RecordError
from pytest_inferbench.library import TELEMETRY_COLUMNS, request_dtypes
from pytest_inferbench.metrics.telemetry.gpu_source import GpuSample
from pytest_inferbench.metrics.telemetry.journal import Readings
from pytest_inferbench.metrics.telemetry.scrape import Scrape
from pytest_inferbench.records.columns import EVENT_COLUMNS, REQUEST_COLUMNS
from pytest_inferbench.records.record import Record
from pytest_inferbench.records.results import column_dtypes, column_units, write_results
from pytest_inferbench.records.run_directory import open_run, point_latest
from pytest_inferbench.records.telemetry import write_telemetry
from pytest_inferbench.records.writer import write_case
from tests.records.example import CASE, RUN_ID, broken_record, example_record, example_traces

DOCS = Path(__file__).parents[1] / "docs" / "library.md"
OTHER = replace(CASE, id="other", traffic=replace(CASE.traffic, text="D(8,4)"))
GPU = GpuSample(timestamp_ns=5, gpu=1, memory_used_bytes=2**53 + 1, power_w=300.5, throttle_reasons="power_cap")


def run_in(root: Path, *records: Record) -> Path:
    """The folder of a run, in the default place under ``root``."""
    run = open_run(RUN_ID, root=root)
    for record in records:
        folder = run.case_folder(record.folder)
        write_case(folder, record=record, traces=None if record.summary is None else example_traces())
    point_latest(run, root=root)
    return run.path


def two_cases() -> tuple[Record, Record]:
    return example_record(), replace(example_record(case=OTHER), folder="other")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run with two cases, one of which was looked at."""
    records = two_cases()
    path = run_in(tmp_path, *records)
    write_results(path, records)
    text = "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 3\n"
    write_telemetry(path / CASE.id, Readings(gpus=(GPU,), scrapes=(Scrape(7, text),), metric_names="vllm"))
    return path


def test_cases_are_the_rows_of_the_results(run: Path) -> None:
    loaded = load_run(run)
    assert (loaded.run_id, loaded.path) == (RUN_ID, run)
    assert {name: str(kind) for name, kind in loaded.cases.dtypes.items()} == column_dtypes()
    assert list(loaded.cases["case"]) == [CASE.id, "other"]
    pd.testing.assert_frame_equal(loaded.cases, pd.read_parquet(run / "results.parquet"))


def test_requests_of_all_cases_are_one_frame_with_whole_nanoseconds(run: Path) -> None:
    requests = load_run(run).requests
    assert {name: str(kind) for name, kind in requests.dtypes.items()} == request_dtypes(events=False)
    assert requests.groupby("case").size().to_dict() == {CASE.id: 3, "other": 3}
    first = requests[requests["case"] == CASE.id].iloc[0]
    assert first["first_token_ns"] == example_traces().first_token_ns[0]
    assert requests["first_token_ns"].isna().sum() == 2


def test_requests_of_a_case_have_the_times_of_their_events_when_asked_for(run: Path) -> None:
    traces, frame = example_traces(), load_run(run).requests_of("other", events=True)
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == request_dtypes(events=True)
    assert np.concatenate(list(frame["event_ns"])).tolist() == traces.event_ns.tolist()
    assert frame.attrs["units"]["event_ns"] == "ns"
    assert "event_ns" not in load_run(run).requests_of("other")


def test_figures_can_be_computed_again_from_the_requests(run: Path) -> None:
    loaded = load_run(run)
    requests = loaded.requests_of(CASE.id)
    done = requests[requests["outcome"] == "completed"]
    ttft_ms = (done["first_token_ns"] - done["intended_send_ns"]) / 1e6
    assert ttft_ms.mean() == pytest.approx(loaded.cases["ttft_ms_mean"][0])


def test_judgements_have_a_row_for_each_objective(run: Path) -> None:
    judgements = load_run(run).judgements
    first = judgements[judgements["folder"] == CASE.id].iloc[0]
    assert (first["objective"], first["metric"], first["statistic"], first["operator"]) == (
        "ttft_p99 <= 500ms",
        "ttft",
        "p99",
        "<=",
    )
    assert (first["limit"], first["unit"], first["outlook"]) == (500.0, "ms", "fail")
    assert list(judgements["objective"])[1] == "error_rate <= 0"


def test_telemetry_has_a_row_for_each_reading_of_gpu_and_server(run: Path) -> None:
    telemetry = load_run(run).telemetry
    assert tuple(telemetry.columns) == TELEMETRY_COLUMNS
    assert set(telemetry["folder"]) == {CASE.id}
    gpu = telemetry[telemetry["source"] == "gpu"].set_index("name")
    assert gpu["value"].to_dict() == {"memory_used_bytes": float(2**53 + 1), "power_w": 300.5}
    assert [json.loads(each) for each in gpu["labels"]] == [{"gpu": "1"}] * 2
    server = telemetry[telemetry["source"] == "server"].set_index("name")
    assert (server["value"]["vllm:num_requests_running"], server["timestamp_ns"].iloc[0]) == (3.0, 7)


def test_a_run_without_telemetry_has_an_empty_frame_with_its_columns(tmp_path: Path) -> None:
    telemetry = load_run(run_in(tmp_path, example_record())).telemetry
    assert (len(telemetry), tuple(telemetry.columns)) == (0, TELEMETRY_COLUMNS)


def test_the_link_to_the_newest_run_leads_to_it_also_where_it_is_a_text_file(run: Path) -> None:
    latest = run.parents[1] / "latest"
    assert load_run(latest).run_id == RUN_ID
    latest.unlink()
    latest.write_text(f"runs/{run.name}\n")
    assert load_run(str(latest)).run_id == RUN_ID


def test_a_folder_of_a_case_is_a_run_of_that_case(run: Path) -> None:
    loaded = load_run(run / "other")
    assert (loaded.run_id, list(loaded.cases["case"]), len(loaded.requests)) == (RUN_ID, ["other"], 3)


def test_a_run_that_was_killed_has_the_cases_that_finished(tmp_path: Path) -> None:
    path = run_in(tmp_path, *two_cases())
    (path / "other" / "summary.json").unlink()
    assert list(load_run(path).cases["case"]) == [CASE.id]


def test_a_case_that_broke_has_a_row_and_no_requests(tmp_path: Path) -> None:
    loaded = load_run(run_in(tmp_path, broken_record()))
    assert (loaded.cases["error"][0], len(loaded.requests)) == ("engine died: no memory", 0)
    assert {name: str(kind) for name, kind in loaded.requests.dtypes.items()} == request_dtypes(events=False)


def test_results_alone_are_a_run_without_requests(run: Path, tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "results.json").write_bytes((run / "results.json").read_bytes())
    loaded = load_run(tmp_path / "alone")
    assert (len(loaded.cases), len(loaded.requests), len(loaded.telemetry)) == (2, 0, 0)


def test_a_record_that_names_a_folder_elsewhere_is_not_followed(run: Path, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    text = (run / "results.json").read_text().replace('"folder": "other"', '"folder": "../reports/runs/x/other"')
    (inner / "results.json").write_text(text)
    assert [folder for _, folder in load_run(inner).parts] == [None, None]


def test_a_column_that_a_former_version_did_not_write_is_missing_in_each_row(run: Path) -> None:
    path = run / "other" / "requests.parquet"
    pd.read_parquet(path).drop(columns="cap_wait_ns").to_parquet(path)
    frame = load_run(run).requests_of("other")
    assert frame["cap_wait_ns"].isna().all()
    assert not frame["send_ns"].isna().any()


def test_a_file_that_is_cut_off_is_named(run: Path) -> None:
    path = run / "other" / "requests.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RecordError, match=re.escape(f"{path} could not be read: ")):
        load_run(run).requests_of("other")


def test_an_unknown_case_is_named_with_those_there_are(run: Path) -> None:
    with pytest.raises(ConfigError, match=f"no case has the id or folder 'x' in run {RUN_ID}; folders: {CASE.id}, other"):
        load_run(run).requests_of("x")


def test_two_measurements_of_a_case_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    loaded = load_run(run_in(tmp_path, example_record(), replace(example_record(), folder=f"{CASE.id}-2")))
    assert len(loaded.requests_of(f"{CASE.id}-2")) == 3
    third = replace(
        loaded, parts=tuple((replace(record, folder=f"f{i}"), folder) for i, (record, folder) in enumerate(loaded.parts))
    )
    with pytest.raises(ConfigError, match=f"several cases have the id '{CASE.id}' in run {RUN_ID}; folders: f0, f1"):
        third.requests_of(CASE.id)


def test_a_path_that_leads_nowhere_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"there is no run {tmp_path}/gone; give the folder of a run, such as reports/latest"):
        load_run(tmp_path / "gone")
    with pytest.raises(RecordError, match="holds no results"):
        load_run(tmp_path)


def test_importing_the_package_and_its_names_brings_nothing_heavy() -> None:
    code = (
        "import sys; from pytest_inferbench import load_run, load_history;"
        " print([n for n in ('numpy', 'pandas', 'pyarrow', 'sqlalchemy', 'fsspec') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_every_public_name_is_there_and_others_are_an_error() -> None:
    assert all(getattr(pytest_inferbench, name) for name in pytest_inferbench.__all__)
    with pytest.raises(AttributeError, match="no attribute 'load_runs'"):
        getattr(pytest_inferbench, "load_runs")  # noqa: B009 - mypy knows that there is none


def test_history_that_is_not_there_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(InferbenchError):
        pytest_inferbench.load_history(f"sqlite:///{tmp_path}/gone/history.db")


# --- the page ---------------------------------------------------------------------------------------------------------------


def documented(heading: str) -> dict[str, tuple[str, str]]:
    """Unit and pandas type of each column in the table below a heading."""
    section = DOCS.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return {
        name: (unit, kind) for name, unit, kind in re.findall(r"^\| `([^`]+)` \| ([^|]+) \| `([^`]+)` \|", section, re.MULTILINE)
    }


def short(name: str) -> str:
    return re.sub(r"_(mean|p50|p90|p95|p99|max)$", "_<statistic>", name) if re.search(r"_ms_[a-z0-9]+$", name) else name


def test_the_page_has_every_column_of_cases_with_unit_and_type() -> None:
    kinds = column_dtypes()
    wanted = {short(name): (unit, kinds[name]) for name, unit in column_units().items()}
    assert documented("cases") == wanted


def test_the_page_has_every_column_of_requests_with_unit_and_type() -> None:
    units = {each.name: each.unit for each in (*REQUEST_COLUMNS, *EVENT_COLUMNS)}
    kinds = request_dtypes(events=True)
    assert documented("requests") == {name: (units.get(name, "text"), kind) for name, kind in kinds.items()}


def test_the_page_has_every_column_of_judgements_and_telemetry(run: Path) -> None:
    loaded = load_run(run)
    for heading, frame in (("judgements", loaded.judgements), ("telemetry", loaded.telemetry)):
        kinds = {name: kind for name, (_, kind) in documented(heading).items()}
        assert kinds == {name: str(kind) for name, kind in frame.dtypes.items()}, heading

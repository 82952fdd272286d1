"""The tables of a run."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pytest_inferbench.cases.case import Load
from pytest_inferbench.metrics.capacity import SEARCHED
from pytest_inferbench.metrics.registry import METRICS
from pytest_inferbench.records.record import Record
from pytest_inferbench.records.results import column_dtypes, column_names, column_units, results_csv, results_frame, write_results
from tests.records.example import CASE, RUN_ID, SECRET, broken_record, example_record, secretive_record

DOCS = Path(__file__).parents[2] / "docs" / "records.md"


def table(*records: Record) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(results_csv(records), newline="")))


@pytest.mark.parametrize(
    ("load", "cells"),
    [
        (Load(concurrency=4), {"concurrency": "4"}),
        (Load(rate_per_s=2.5, arrival="poisson"), {"rate": "2.5"}),
        (Load(rate_per_s=2.5, arrival="poisson", sweep_place=2, sweep_of=5), {"rate": "2.5", "sweep": "2of5"}),
        (Load(trace="t.csv", arrival="trace", time_scale=0.5), {"time_scale": "0.5"}),
    ],
)
def test_every_kind_of_load_has_its_columns(load: Load, cells: dict[str, str]) -> None:
    (row,) = table(example_record(case=replace(CASE, load=load)))
    levels = ("concurrency", "rate", "sweep", "time_scale")
    assert {name: row[name] for name in levels if row[name]} == cells


def test_a_row_has_the_axes_the_verdict_and_every_figure() -> None:
    (row,) = table(example_record())
    assert (row["case"], row["hardware"], row["tp"], row["concurrency"], row["rate"]) == (CASE.id, "cpu", "1", "4", "")
    assert (row["verdict"], row["missed"]) == ("fail", "ttft_p99 <= 500ms; error_rate <= 0")
    assert row["reasons"] == "1 of 3 requests did not complete; 1 x no token, at all"
    assert (row["attempted"], row["completed"], row["timed_out"]) == ("3", "2", "1")
    assert float(row["ttft_ms_p50"]) == 110.0
    assert float(row["tpot_ms_mean"]) == 20.0
    assert (row["itl_count"], row["simulated"], row["engine_version"]) == ("14", "false", "b7010")
    assert float(row["error_rate"]) == pytest.approx(1 / 3)


def test_the_parquet_file_has_the_rows_of_the_csv_with_types_and_units(tmp_path: Path) -> None:
    records = [
        example_record(),
        broken_record(),
        example_record(case=replace(CASE, load=Load(rate_per_s=2.5, arrival="poisson"))),
    ]
    write_results(tmp_path, records)
    frame = pd.read_parquet(tmp_path / "results.parquet")
    assert list(frame.columns) == list(column_names())
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == column_dtypes()
    assert frame.attrs["units"] == column_units()
    assert frame["started_at"][0] == pd.Timestamp("2026-11-22T07:45:01Z")
    assert [str(each) for each in frame["concurrency"]] == ["4", "4", "<NA>"]
    rows = table(*records)
    for name in ("verdict", "missed", "tpot_ms_p99", "attempted", "rate"):
        shown = ["" if pd.isna(value) else str(value) for value in frame[name]]
        assert shown == [row[name] for row in rows], name


def test_texts_in_the_parquet_file_are_as_they_are_and_without_secrets() -> None:
    frame = results_frame([replace(broken_record(), error="=1+1\nline two"), secretive_record()])
    assert frame["error"][0] == "=1+1\nline two"
    assert SECRET not in frame.to_string()


def test_a_run_without_cases_has_a_frame_with_its_types() -> None:
    frame = results_frame([])
    assert (len(frame), {name: str(kind) for name, kind in frame.dtypes.items()}) == (0, column_dtypes())


def test_every_metric_has_its_columns_with_its_unit() -> None:
    columns = set(column_names())
    # What a search finds stands in its record, with the levels that say so.
    searched = {each.column for each in SEARCHED.values()}
    assert {each.column for each in METRICS.values() if each.column + "_p99" not in columns} - searched == {
        "request_throughput_requests_per_s",
        "input_throughput_tokens_per_s",
        "output_throughput_tokens_per_s",
        "total_throughput_tokens_per_s",
        "goodput_requests_per_s",
        "error_rate",
        "steady_output_throughput_tokens_per_s",
        "steady_window_s",
    }
    assert {"ttft_ms_p99", "itl_ms_max", "e2e_ms_mean", "output_throughput_tokens_per_s", "window_s", "wall_s"} <= columns


def test_a_case_that_broke_has_a_row_without_figures() -> None:
    (row,) = table(broken_record())
    assert row["error"] == "engine died: no memory"
    assert {row[name] for name in ("attempted", "ttft_ms_p99", "output_throughput_tokens_per_s", "engine_version")} == {""}


def test_a_figure_that_could_not_be_measured_is_empty() -> None:
    record = example_record()
    assert record.summary is not None
    unmeasured = replace(record, summary=replace(record.summary, scalars={"input_throughput": float("nan")}))
    assert table(unmeasured)[0]["input_throughput_tokens_per_s"] == ""


def test_an_open_loop_has_its_rate() -> None:
    case = replace(CASE, load=Load(rate_per_s=float("inf"), arrival="poisson"))
    (row,) = table(example_record(case=case))
    assert (row["concurrency"], row["rate"]) == ("", "inf")


def test_hostile_names_are_no_formulas_and_no_rows() -> None:
    hostile = replace(broken_record(), case=replace(CASE, id='=cmd|"x"\n,y'), error="@SUM(A1)\nsecond line")
    (row,) = table(hostile)
    assert row["case"] == '\'=cmd|"x"\\n,y'
    assert row["error"] == "'@SUM(A1)\\nsecond line"


def test_no_secret_is_in_the_results(tmp_path: Path) -> None:
    write_results(tmp_path, [secretive_record()])
    assert not [path for path in tmp_path.iterdir() if SECRET.encode() in path.read_bytes()]


def test_results_are_replaced_as_cases_finish(tmp_path: Path) -> None:
    write_results(tmp_path, [example_record()])
    write_results(tmp_path, [example_record(), broken_record()])
    value = json.loads((tmp_path / "results.json").read_text())
    assert value["run_id"] == RUN_ID
    assert len(value["records"]) == 2
    assert value["verdicts"] == {"pass": 0, "fail": 2, "inconclusive": 0, "invalid": 0}
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 3


def test_a_run_without_cases_has_empty_results(tmp_path: Path) -> None:
    write_results(tmp_path, [])
    assert json.loads((tmp_path / "results.json").read_text())["records"] == []
    assert (tmp_path / "results.csv").read_text().strip() == ",".join(column_names())


_OTHER_STATISTICS = ("_mean", "_p50", "_p90", "_p95", "_max")


@pytest.mark.parametrize("name", [name for name in column_names() if not name.endswith(_OTHER_STATISTICS)])
def test_the_documentation_names_every_column(name: str) -> None:
    documented = name.removesuffix("_p99") + "_<statistic>" if name.endswith("_p99") else name
    assert f"`{documented}`" in DOCS.read_text()

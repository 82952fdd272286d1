from __future__ import annotations

import csv
import json
from dataclasses import replace
from math import isnan
from pathlib import Path

import pytest

from pytest_inferbench.metrics.registry import METRICS
from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.records.imports.registry import READERS
from pytest_inferbench.records.imports.store import REQUESTS_CSV, case_of, record_of, requests_csv, store
from pytest_inferbench.records.reader import read_record, read_run
from pytest_inferbench.records.run_directory import open_run
from tests.records.export.measured import exportable
from tests.records.imports.exported import read_back


@pytest.mark.parametrize("name", READERS)
def test_an_imported_run_is_read_as_a_run_with_the_same_figures(tmp_path: Path, name: str) -> None:
    result = read_back(tmp_path / "files", name)
    run = open_run("run-1", output=tmp_path / "run")
    stored = store([result], run)
    (record,) = read_run(tmp_path / "run")
    assert repr(record) == repr(stored.records[0]) == repr(read_record(tmp_path / "run" / record.folder))
    assert record.imported is not None
    assert (record.imported.tool, record.imported.file) == (name, result.file)
    assert dict(record.imported.figures) == pytest.approx(dict(result.figures))
    assert record.summary is not None
    assert {metric: value for metric, value in record.summary.scalars.items() if not isnan(value)} == pytest.approx(
        {metric: value for metric, value in result.scalars.items() if not isnan(value)}
    )
    assert set(result.distributions) | set(result.scalars) <= set(METRICS)


def test_it_is_never_shown_as_measured_here(tmp_path: Path) -> None:
    record = record_of(read_back(tmp_path, "vllm"), run_id="r", folder="f")
    assert record.verdict.outlook is Outlook.INCONCLUSIVE
    assert record.verdict.reasons[0].startswith("not measured here: imported from ")
    assert record.case.id.startswith("imported-vllm-")
    assert (record.audit, record.planned, record.again) == (None, None, "")


def test_a_simulated_result_stays_one(tmp_path: Path) -> None:
    record = record_of(read_back(tmp_path, "vllm", exportable(simulated=True)), run_id="r", folder="f")
    assert record.simulated
    assert record.case.id.startswith("simulated-imported-vllm-cpu-")


def test_what_the_file_tells_of_the_load_is_the_cases(tmp_path: Path) -> None:
    result = read_back(tmp_path, "genai-bench")
    case = case_of(result)
    assert (case.load.concurrency, case.load.requests, case.traffic.text, case.traffic.input_tokens.first) == (
        4,
        3,
        "D(128,64)",
        128,
    )
    assert case_of(replace(result, concurrency=None, rate_per_s=2.0)).load.label == "r2"
    assert case_of(replace(result, concurrency=None, rate_per_s=None)).load.trace == "unknown"
    assert case_of(replace(result, concurrency=None, rate_per_s=float("nan"))).load.trace == "unknown"
    assert case_of(replace(result, traffic="ShareGPT")).traffic.text == "ShareGPT"


def test_a_time_that_is_not_known_is_not_today(tmp_path: Path) -> None:
    result = read_back(tmp_path, "guidellm")
    assert record_of(result, run_id="r", folder="f").started_at == "1970-01-01T00:00:00+00:00"
    told = replace(result, started_at="2026-01-02T03:04:05")
    assert record_of(told, run_id="r", folder="f").started_at == "2026-01-02T03:04:05+00:00"


def test_requests_are_kept_where_the_file_has_them(tmp_path: Path) -> None:
    result = read_back(tmp_path / "files", "genai-bench")
    stored = store([result], open_run("run-1", output=tmp_path / "run"))
    text = (tmp_path / "run" / stored.records[0].folder / REQUESTS_CSV).read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert float(rows[0]["ttft_ms"]) == pytest.approx(100)
    assert rows[2]["ttft_ms"] == ""
    assert requests_csv(replace(result, columns={"a_ms": (1.0, None)})) == 'a_ms\n1.0\n""\n'


def test_results_of_one_name_have_folders_of_their_own(tmp_path: Path) -> None:
    result = read_back(tmp_path / "files", "vllm")
    stored = store([result, result], open_run("run-1", output=tmp_path / "run"))
    assert len({record.folder for record in stored.records}) == 2
    assert json.loads((tmp_path / "run" / "results.json").read_text())["verdicts"]["inconclusive"] == 2

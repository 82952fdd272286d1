"""What is printed of predictions: it says what it is in every line, and says what is missing."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from pytest_inferbench.cases.case import Case, Origin
from pytest_inferbench.cases.suite import suite_from_mapping
from pytest_inferbench.simulator.predict import Prediction, predict
from pytest_inferbench.simulator.predict_report import as_csv, as_json, table_lines


def cases_of(**fields: Any) -> tuple[Case, ...]:
    mapping: dict[str, Any] = {
        "hardware": "h100",
        "engine": "vllm",
        "model": ["llama-3.1-8b", "llama-3.1-70b"],
        "traffic": ["D(64,8)"],
        "concurrency": [1, 2],
        "requests": 6,
        "slo": ["ttft_p99 <= 10s", "output_throughput >= 1000000 tok/s"],
    }
    return suite_from_mapping(mapping | fields, "s", Origin(file="test")).cases()


@pytest.fixture(scope="module", name="predictions")
def _predictions() -> list[Prediction]:
    return [predict(each) for each in cases_of()]


def test_every_line_of_the_table_says_that_it_is_predicted(predictions: list[Prediction]) -> None:
    lines = table_lines(predictions)
    assert all(line.startswith("PREDICTED") for line in lines)
    assert any(line.startswith("PREDICTED h100-vllm-llama-3.1-8b-tp1-d64x8-c1 ") and " missed " in line for line in lines)
    assert any("h100-vllm-llama-3.1-70b-tp1-d64x8-c2 " in line and "does not fit" in line for line in lines)


def test_what_would_be_missed_is_named_with_its_limit(predictions: list[Prediction]) -> None:
    missed = [line for line in table_lines(predictions) if "would miss" in line]
    assert missed[0].startswith("PREDICTED h100-vllm-llama-3.1-8b-tp1-d64x8-c1: would miss output_throughput ≥ 1,000,000 tok/s: ")


def test_a_trouble_that_several_cases_share_stands_there_once(predictions: list[Prediction]) -> None:
    troubles = [line for line in table_lines(predictions) if "out of memory" in line]
    assert len(troubles) == 1
    assert troubles[0].startswith("PREDICTED h100-vllm-llama-3.1-70b-tp1-d64x8-c1 and 1 more: ")


def test_what_it_would_cost_stands_below(predictions: list[Prediction]) -> None:
    text = "\n".join(table_lines(predictions))
    assert "PREDICTED in all: 4 cases, 1 server: about " in text
    assert " GPU-hours\n" in text
    assert "PREDICTED not in that: 2 cases of which nothing can be predicted\n" in text
    assert text.endswith(" times faster than measuring; nothing was started")


def test_json_says_that_it_is_predicted_and_has_every_case(predictions: list[Prediction]) -> None:
    document = json.loads(as_json(predictions))
    assert document["predicted"] is True
    assert document["note"] == "computed by a model of the server, not measured"
    assert [each["case"] for each in document["cases"]] == [each.case.id for each in predictions]
    first, *_, last = document["cases"]
    assert first["predicted_slo"] == "missed"
    assert first["predicted_ttft_ms_p50"] > 0
    assert first["predicted_output_throughput_tokens_per_s"] > 0
    assert last["predicted_fits"] is False
    assert last["predicted_ttft_ms_p50"] is None
    assert document["predicted_gpu_hours"] > 0


def test_names_of_figures_say_that_they_are_predicted(predictions: list[Prediction]) -> None:
    plain = {"case", "hardware", "engine", "model", "tensor_parallel", "traffic", "load", "gpus", "trouble", "notes"}
    names = {*json.loads(as_json(predictions))["cases"][0]}
    assert all(name in plain or name.startswith("predicted_") for name in names)


def test_csv_has_a_row_for_each_case(predictions: list[Prediction]) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(predictions))))
    assert [row["case"] for row in rows] == [each.case.id for each in predictions]
    assert float(rows[0]["predicted_tpot_ms_p50"]) > 0
    assert rows[-1]["predicted_tpot_ms_p50"] == ""


def test_a_case_without_objectives_has_none_to_meet() -> None:
    found = [predict(each) for each in cases_of(slo=[], model=["llama-3.1-8b"], concurrency=[1])]
    assert json.loads(as_json(found))["cases"][0]["predicted_slo"] is None
    assert "PREDICTED in all: 1 case, 1 server: " in "\n".join(table_lines(found))

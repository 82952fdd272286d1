from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_inferbench.cases.case import Load
from pytest_inferbench.records.export.inference_benchmarker import files, result
from tests.records.example import CASE
from tests.records.export.measured import exportable, several, uneven_traces


def test_all_cases_stand_in_one_file() -> None:
    (file,) = files(several(1, 2)).files
    assert [each["id"] for each in file.content["results"]] == ["case-c1", "case-c2"]
    assert file.content["start_time"] < file.content["end_time"]


def test_figures_are_milliseconds() -> None:
    found = result(exportable(uneven_traces()))
    assert found["time_to_first_token_ms"]["avg"] == pytest.approx(65)
    assert found["inter_token_latency_ms"]["p50"] == pytest.approx(50)
    assert found["e2e_latency_ms"]["p60"] == pytest.approx(30 + 0.6 * 180)
    assert found["token_throughput_secs"] == pytest.approx(5 / 1.08)
    assert (found["successful_requests"], found["failed_requests"], found["total_requests"]) == (2, 1, 3)
    assert found["executor_type"] == "ConstantVUs"


def test_an_open_loop_has_a_rate() -> None:
    case = replace(CASE, load=Load(rate_per_s=2.0, arrival="poisson"))
    found = result(exportable(case=case))
    assert (found["executor_type"], found["config"]["rate"]) == ("ConstantArrivalRate", 2.0)


def test_a_simulated_case_is_marked() -> None:
    content = files([exportable(simulated=True)]).files[0].content
    assert content["config"]["simulated"] is True
    assert content["results"][0]["config"]["simulated"] is True

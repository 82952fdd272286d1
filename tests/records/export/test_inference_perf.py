from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pytest_inferbench.cases.case import Load
from pytest_inferbench.load.trace import Outcome
from pytest_inferbench.records.export.inference_perf import (
    CONFIG,
    REQUESTS,
    STAGE,
    SUMMARY,
    config,
    files,
    requests,
    stage,
    summary,
)
from tests.records.example import CASE
from tests.records.export.measured import exportable, uneven_traces
from tests.traces import lost, streamed, traces_of


def test_each_case_has_a_folder_with_its_four_files() -> None:
    export = files([exportable()])
    assert [file.path for file in export.files] == [f"{CASE.id}/{name}" for name in (SUMMARY, STAGE, REQUESTS, CONFIG)]
    assert json.loads(export.files[-1].content)["server"]["model_name"] == "smollm2"


def test_figures_are_inference_perfs_own() -> None:
    found = summary(exportable(uneven_traces()))["successes"]
    latency = found["latency"]
    assert latency["time_to_first_token"]["mean"] == pytest.approx(0.1), "of requests with more than one token time"
    assert latency["time_per_output_token"]["mean"] == pytest.approx(0.1 / 3)
    assert latency["normalized_time_per_output_token"]["mean"] == pytest.approx((0.21 / 4 + 0.03) / 2)
    assert latency["inter_token_latency"] == pytest.approx(
        {**latency["inter_token_latency"], "min": 0.0, "mean": 0.1 / 3, "median": 0.04, "max": 0.06}
    )
    assert latency["request_latency"]["max"] == pytest.approx(0.21)
    assert found["throughput"]["output_tokens_per_sec"] == pytest.approx(5 / 1.08)
    assert found["prompt_tokens"]["total"] == 30
    assert (found["count"], found["output_tokens"]["total"]) == (2, 5)


def test_failures_are_told_by_their_kind() -> None:
    traces = traces_of([streamed(), lost(), lost(Outcome.TIMED_OUT, "slow")])
    failed = summary(exportable(replace(traces, status=traces.status * (traces.outcome != Outcome.TIMED_OUT))))["failures"]
    assert failed["count"] == 2
    assert failed["by_label"]["HTTP Error 500"] == {"count": 1, "messages": [{"message": "HTTP 500: out of memory"}]}
    assert failed["by_label"]["Timeout"]["count"] == 1


def test_a_stage_says_what_rate_was_asked_for_and_came_of_it() -> None:
    open_loop = replace(CASE, load=Load(rate_per_s=2.0, arrival="poisson"))
    found = stage(exportable(uneven_traces(), case=open_loop))["load_summary"]
    assert (found["requested_rate"], found["send_duration"]) == (2.0, pytest.approx(1.05))
    assert found["achieved_rate"] == pytest.approx(3 / 1.05)
    assert found["schedule_delay"]["max"] == pytest.approx(0.05)
    closed = stage(exportable())["load_summary"]
    assert (closed["concurrency"], "requested_rate" in closed) == (4, False)


def test_a_row_a_request_has_the_time_of_every_token() -> None:
    first, single, failed = requests(uneven_traces())
    assert first["info"]["response_metrics"]["output_token_times"] == pytest.approx([0.1, 0.14, 0.14, 0.2])
    assert first["computed_metrics"]["output_tokens"] == 4
    assert (first["start_time"], first["end_time"], first["error"]) == (0, pytest.approx(0.21), None)
    assert single["computed_metrics"]["request_latency"] == pytest.approx(0.03)
    assert failed["error"] == {"error_type": "HTTP Error 500", "error_msg": "HTTP 500: out of memory"}
    assert "computed_metrics" not in failed


def test_a_simulated_case_is_marked() -> None:
    case = exportable(simulated=True)
    assert summary(case)["simulated"] is True
    assert config(case)["simulated"] is True
    assert config(case)["server"]["hardware"] == "simulated-cpu"

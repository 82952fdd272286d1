from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from pytest_inferbench.cases.case import Load
from pytest_inferbench.records.export.vllm import file_name, files, peaks, result
from tests.records.example import CASE
from tests.records.export.measured import exportable, uneven_traces
from tests.traces import MS, Row, lost, streamed, traces_of


def test_scalars_are_vllms_own_figures() -> None:
    found = result(exportable(uneven_traces()))
    assert (found["completed"], found["failed"], found["num_prompts"]) == (2, 1, 3)
    assert (found["total_input_tokens"], found["total_output_tokens"]) == (30, 5)
    # From the first send to the end of the last answer, 1.08 s.
    assert found["duration"] == pytest.approx(1.08)
    assert found["output_throughput"] == pytest.approx(5 / 1.08)
    assert found["total_token_throughput"] == pytest.approx(35 / 1.08)
    assert found["mean_ttft_ms"] == pytest.approx(65)
    assert found["p99_ttft_ms"] == pytest.approx(30 + 0.99 * 70)
    assert found["mean_tpot_ms"] == pytest.approx(100 / 3)
    assert (found["mean_itl_ms"], found["std_itl_ms"]) == (pytest.approx(50), pytest.approx(10))
    assert found["median_e2el_ms"] == pytest.approx(115)


def test_lists_have_a_place_for_every_request_in_seconds() -> None:
    found = result(exportable(uneven_traces()))
    assert found["ttfts"] == pytest.approx([0.1, 0.03, 0.0])
    assert found["latencies"] == pytest.approx([0.2, 0.03, 0.0])
    assert found["itls"] == [pytest.approx([0.04, 0.06]), [], []]
    assert (found["input_lens"], found["output_lens"]) == ([10, 20, 16], [4, 1, 0])
    assert found["queue_times"] == pytest.approx([0, 0.05, 0])
    assert found["errors"] == ["", "", "HTTP 500: out of memory"]
    assert "generated_texts" not in found


def test_the_plain_file_keeps_two_lists_only() -> None:
    plain, detailed = files([exportable(uneven_traces())]).files
    lists = {name for name, value in plain.content.items() if isinstance(value, list)}
    assert lists == {"latencies", "queue_times"}
    assert detailed.path == f"detailed/{plain.path}"
    assert {"ttfts", "itls", "input_lens"} <= set(detailed.content)


@pytest.mark.parametrize(
    ("load", "middle"),
    [
        (Load(concurrency=4), "infqps-concurrency4"),
        (Load(rate_per_s=2.5, arrival="poisson"), "2.5qps"),
        (Load(rate_per_s=inf, arrival="poisson"), "infqps"),
        (Load(rate_per_s=8.0, arrival="linear", ramp_from_per_s=1.0), "ramp-up-linear-1qps-8qps"),
    ],
)
def test_a_files_name_is_vllms(load: Load, middle: str) -> None:
    case = exportable(case=replace(CASE, id="x", load=load))
    assert file_name(case) == f"x-{middle}-smollm2-20261122-074501.json"


def test_load_is_told_in_vllms_words() -> None:
    closed = result(exportable())
    assert (closed["request_rate"], closed["max_concurrency"], closed["backend"]) == ("inf", 4, "openai-chat")
    ramp = Load(rate_per_s=8.0, arrival="linear", ramp_from_per_s=1.0, max_in_flight=32)
    found = result(exportable(case=replace(CASE, load=ramp)))
    assert (found["request_rate"], found["max_concurrency"]) == (8.0, 32)
    assert (found["ramp_up_strategy"], found["ramp_up_start_rps"], found["ramp_up_end_rps"]) == ("linear", 1.0, 8.0)


def test_goodput_is_there_where_requests_have_limits() -> None:
    assert result(exportable())["request_goodput"] is not None
    assert result(exportable(case=replace(CASE, slo=("output_throughput >= 5",))))["request_goodput"] is None


def test_a_simulated_case_is_marked() -> None:
    found = result(exportable(simulated=True))
    assert (found["simulated"], found["label"].startswith("simulated-"), found["hardware"]) == ("true", True, "simulated-cpu")
    assert result(exportable())["simulated"] == "false"


def test_answers_without_events_have_a_latency_only() -> None:
    whole = result(exportable(traces_of([Row(end_ns=90 * MS, output_tokens=7)])))
    assert whole["mean_e2el_ms"] == pytest.approx(90)
    assert "mean_ttft_ms" not in whole


def test_tokens_that_nobody_counted_are_null() -> None:
    traces = replace(uneven_traces(), output_tokens=np.full(3, -1))
    plain, _ = files([exportable(traces)]).files
    assert plain.content["total_output_tokens"] is None
    assert plain.content["output_throughput"] is None


def test_where_there_is_no_second_token_vllm_writes_zeros() -> None:
    assert result(exportable(traces_of([streamed(tokens=1)])))["p99_tpot_ms"] == 0


def test_peaks_are_those_of_whole_seconds() -> None:
    # 5 chunks within the first second, 3 in the next one; both requests touch second 0, one of them second 1.
    long = streamed(500, 200, tokens=6)
    short = streamed(100, 100, tokens=2)
    assert peaks(traces_of([long, short])) == (5.0, 2)
    assert peaks(traces_of([lost()])) == (0.0, 0)

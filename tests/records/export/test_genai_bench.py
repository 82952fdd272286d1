from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pytest_inferbench.cases.case import Lengths, Load, Traffic
from pytest_inferbench.records.export.exportable import ExportFile
from pytest_inferbench.records.export.genai_bench import METADATA, files, request_columns, scenario_name
from tests.records.example import CASE
from tests.records.export.measured import exportable, several, uneven_traces
from tests.traces import MS, Row, traces_of

# What genai-bench's own reader looks for in a folder.
RUN_FILE = re.compile(r"^.+_.+_(?:concurrency|batch_size)_\d+_time_\d+s\.json$")


def by_name(found: tuple[ExportFile, ...]) -> dict[str, Any]:
    return {file.path.rpartition("/")[2]: file.content for file in found}


def test_levels_of_one_experiment_share_a_folder() -> None:
    export = files(several(1, 2, 4))
    assert len({file.path.partition("/")[0] for file in export.files}) == 1
    found = by_name(export.files)
    assert found[METADATA]["num_concurrency"] == [1, 2, 4]
    assert found[METADATA]["traffic_scenario"] == ["D(128,64)"]
    assert len(found) == 4
    assert all(RUN_FILE.match(name) for name in found if name != METADATA)


def test_cases_that_differ_in_more_have_folders_of_their_own() -> None:
    cold, warm = several(1, 1)
    warm = replace(warm, record=replace(warm.record, case=replace(warm.record.case, api="completions")))
    assert len({file.path.partition("/")[0] for file in files([cold, warm]).files}) == 2


def test_a_second_measurement_of_a_level_does_not_replace_the_first() -> None:
    export = files(several(1, 1))
    assert len(export.files) == 4
    assert len({file.path for file in export.files}) == 4


def test_figures_are_genai_benchs_own() -> None:
    columns = request_columns(uneven_traces())
    assert columns["ttft"] == pytest.approx([0.1, 0.03])
    assert columns["e2e_latency"] == pytest.approx([0.21, 0.03])
    assert columns["output_latency"] == pytest.approx([0.11, 0.0])
    assert columns["tpot"] == pytest.approx([0.11 / 3, np.nan], nan_ok=True)
    assert columns["output_inference_speed"] == pytest.approx([3 / 0.11, np.nan], nan_ok=True)
    assert columns["input_throughput"] == pytest.approx([10 / 0.1, 20 / 0.03])
    assert columns["total_tokens"].tolist() == [14, 21]


def test_aggregates_are_of_completed_requests_and_errors_are_counted_by_code() -> None:
    _, run = files([exportable(uneven_traces())]).files
    found = run.content["aggregated_metrics"]
    assert (found["num_requests"], found["num_completed_requests"], found["num_error_requests"]) == (3, 2, 1)
    assert found["error_codes_frequency"] == {"500": 1}
    assert found["error_rate"] == pytest.approx(1 / 3)
    assert found["requests_per_second"] == pytest.approx(2 / 1.08)
    assert found["mean_output_throughput_tokens_per_s"] == pytest.approx(5 / 1.08)
    assert found["stats"]["ttft"]["p25"] == pytest.approx(0.03 + 0.25 * 0.07)
    assert found["stats"]["audio_throughput"]["mean"] is None
    assert [row["error_code"] for row in run.content["individual_request_metrics"]] == [None, None, 500]


def test_a_request_that_ended_without_an_errors_status_is_counted_too() -> None:
    traces = replace(uneven_traces(), status=np.array([200, 200, 0]))
    _, run = files([exportable(traces)]).files
    assert run.content["aggregated_metrics"]["error_codes_frequency"] == {"599": 1}


def test_an_answer_that_came_whole_has_its_first_token_at_its_end() -> None:
    columns = request_columns(traces_of([Row(end_ns=90 * MS, output_tokens=7)]))
    assert (columns["ttft"][0], columns["tpot"][0]) == (pytest.approx(0.09), 0.0)


def test_batches_are_told_as_batches() -> None:
    traffic = Traffic(
        text="E(64)",
        kind="embeddings",
        input_tokens=Lengths(kind="fixed", first=64),
        output_tokens=Lengths(kind="fixed"),
        documents=8,
    )
    case = replace(CASE, traffic=traffic, api="embeddings")
    found = by_name(files([exportable(traces_of([Row(end_ns=90 * MS, output_tokens=0)]), case=case)]).files)
    assert (found[METADATA]["batch_size"], found[METADATA]["iteration_type"]) == ([8], "batch_size")
    assert "E64_text-to-embeddings_batch_size_8_time_0s.json" in found


def test_open_loops_are_left_out_and_said_to_be() -> None:
    case = replace(CASE, load=Load(rate_per_s=2.0, arrival="poisson"))
    export = files([exportable(case=case)])
    assert export.files == ()
    assert export.left_out == (f"{case.id}: genai-bench knows closed loops only, and this case sends at its own times",)


def test_a_simulated_case_is_marked() -> None:
    metadata, _ = files([exportable(simulated=True)]).files
    assert metadata.path.startswith("simulated_")
    assert metadata.content["additional_request_params"] == {"simulated": True}
    assert metadata.content["server_gpu_type"] == "simulated-cpu"


def test_a_scenarios_name_is_one_of_a_file() -> None:
    assert scenario_name("N(480,240)/(300,150)") == "N480_240_300_150"

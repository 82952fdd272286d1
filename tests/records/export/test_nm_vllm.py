from __future__ import annotations

import pytest

from pytest_inferbench.records.export.nm_vllm import files, metrics, result
from tests.records.export.measured import exportable, uneven_traces
from tests.traces import streamed, traces_of

# The templates that nm-vllm has, by key: unit and direction.
TEMPLATES = {
    "request_throughput": ("prompts/s", "BiggerIsBetter"),
    "input_throughput": ("tokens/s", "BiggerIsBetter"),
    "output_throughput": ("tokens/s", "BiggerIsBetter"),
    "median_request_latency": ("ms", "SmallerIsBetter"),
    "p90_request_latency": ("ms", "Observation"),
    "p99_request_latency": ("ms", "Observation"),
    **{f"{word}_{name}_ms": ("ms", "SmallerIsBetter") for name in ("ttft", "tpot") for word in ("mean", "median")},
    **{f"{word}_{name}_ms": ("ms", "Observation") for name in ("ttft", "tpot") for word in ("p90", "p99")},
}


def test_every_metric_has_its_templates_unit_and_direction() -> None:
    found = result(exportable(uneven_traces()))["metrics"]
    assert {key: (each["unit"], each["type"]) for key, each in found.items()} == TEMPLATES
    assert all(key == each["key"] for key, each in found.items())


def test_values_are_nm_vllms_own() -> None:
    found = {each.key: each.value for each in metrics(exportable(uneven_traces()))}
    assert found["mean_ttft_ms"] == pytest.approx(65)
    assert found["mean_tpot_ms"] == pytest.approx(100 / 3), "an answer of one token has none"
    assert found["median_request_latency"] == pytest.approx(115)
    assert found["output_throughput"] == pytest.approx(5 / 1.08)


def test_a_metric_without_a_value_is_not_there() -> None:
    found = result(exportable(traces_of([streamed(tokens=1)])))["metrics"]
    assert "mean_ttft_ms" in found
    assert "mean_tpot_ms" not in found


def test_what_was_run_is_told_beside() -> None:
    case = exportable(uneven_traces(), simulated=True)
    (file,) = files([case]).files
    found = file.content
    assert (found["json_schema_version"], found["tensor_parallel_size"], found["dataset"]) == ("0.0.0", 1, "synthetic")
    assert (found["metadata"]["completed"], found["metadata"]["num_prompts"], found["metadata"]["total_output"]) == (2, 3, 5)
    assert found["description"].startswith("simulated: ")
    assert found["metadata"]["simulated"] is True
    assert file.path.startswith("benchmark_serving-simulated-")

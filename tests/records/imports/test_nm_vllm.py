from __future__ import annotations

from pathlib import Path

import pytest

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.records.imports.registry import read_results
from tests.records.export.measured import exportable
from tests.records.imports.exported import changed, read_back, written


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    found = read_back(tmp_path, "nm-vllm")
    assert (found.tool, found.model, found.hardware, found.tensor_parallel) == ("nm-vllm", "smollm2", "cpu", 1)
    assert found.figures["nm_vllm_ttft_ms_mean"] == pytest.approx(65)
    assert found.figures["nm_vllm_tpot_ms_p99"] == pytest.approx(100 / 3)
    assert found.figures["nm_vllm_request_latency_ms_p50"] == pytest.approx(115)
    assert found.scalars["input_throughput"] == pytest.approx(30 / 1.08)
    assert found.distributions == {}
    assert (found.counts.attempted, found.output_tokens) == (3, 5)


def test_a_metric_of_the_throughput_script_keeps_its_name(tmp_path: Path) -> None:
    (path,) = written(tmp_path, "nm-vllm")
    metric = {"key": "token_throughput", "unit": "tokens/s", "value": 9.0, "type": "BiggerIsBetter"}
    (found,) = read_results(changed(path, lambda data: data["metrics"].update(token_throughput=metric)))
    assert found.figures["nm_vllm_token_throughput"] == 9.0


def test_a_mark_of_simulation_is_kept(tmp_path: Path) -> None:
    assert read_back(tmp_path, "nm-vllm", exportable(simulated=True)).simulated


def test_a_field_that_is_missing_is_named(tmp_path: Path) -> None:
    (path,) = written(tmp_path, "nm-vllm")
    with pytest.raises(ConfigError, match=r"metrics\.mean_ttft_ms\.value: it is missing"):
        read_results(changed(path, lambda data: data["metrics"]["mean_ttft_ms"].pop("value")))

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.records.imports.registry import read_results
from tests.records.export.measured import exportable
from tests.records.imports.exported import changed, read_back, written


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    found = read_back(tmp_path, "genai-bench")
    assert (found.tool, found.model, found.engine, found.traffic, found.concurrency) == (
        "genai-bench",
        "smollm2",
        "llamacpp",
        "D(128,64)",
        4,
    )
    assert found.distributions["ttft"].mean == pytest.approx(65)
    assert found.distributions["ttft"].max == pytest.approx(100)
    assert found.distributions["ttft_from_send"] == found.distributions["ttft"]
    assert found.figures["genai_bench_tpot_ms_mean"] == pytest.approx(110 / 3)
    assert found.figures["genai_bench_e2e_latency_ms_mean"] == pytest.approx(120)
    assert found.scalars["request_throughput"] == pytest.approx(2 / 1.08)
    assert found.scalars["error_rate"] == pytest.approx(1 / 3)
    assert found.columns["ttft_ms"][:2] == pytest.approx((100, 30))
    assert found.columns["ttft_ms"][2] is None
    assert (found.prompt_tokens, found.output_tokens) == (30, 5)


def test_milliseconds_are_not_taken_for_seconds(tmp_path: Path) -> None:
    _, run = written(tmp_path, "genai-bench")

    def milliseconds(data: dict[str, object]) -> None:
        data["_time_unit"] = "ms"

    (found,) = read_results(changed(run, milliseconds))
    assert found.distributions["ttft"].mean == pytest.approx(0.065)


def test_a_run_without_its_metadata_is_read_as_far_as_it_tells(tmp_path: Path) -> None:
    metadata, run = written(tmp_path, "genai-bench")
    metadata.unlink()
    (found,) = read_results(run)
    assert (found.model, found.traffic) == ("unknown", "D(128,64)")


def test_a_mark_of_simulation_is_kept(tmp_path: Path) -> None:
    assert read_back(tmp_path, "genai-bench", exportable(simulated=True)).simulated


def test_a_field_that_is_missing_is_named(tmp_path: Path) -> None:
    _, run = written(tmp_path, "genai-bench")
    with pytest.raises(ConfigError, match=r"aggregated_metrics\.run_duration: it is missing"):
        read_results(changed(run, lambda data: data["aggregated_metrics"].pop("run_duration")))

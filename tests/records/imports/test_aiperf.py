from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.case import Load
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.records.imports.registry import read_results
from tests.records.example import CASE
from tests.records.export.measured import exportable, uneven_traces
from tests.records.imports.exported import changed, read_back, written


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    found = read_back(tmp_path, "aiperf")
    assert (found.name, found.model, found.concurrency, found.traffic) == (CASE.id, "smollm2", 4, "D(128,64)")
    assert found.distributions["ttft"].mean == pytest.approx(65)
    assert found.distributions["e2e"].mean == pytest.approx(115)
    assert found.distributions["inter_chunk"].mean == pytest.approx(50)
    assert found.figures["aiperf_inter_token_latency_ms_mean"] == pytest.approx(100 / 3)
    assert found.scalars["request_throughput"] == pytest.approx(2 / 1.08)
    assert (found.prompt_tokens, found.output_tokens, found.counts.failed) == (30, 5, 1)
    assert found.started_at == "2026-11-22T07:45:01Z"


def test_in_an_open_loop_its_latencies_count_from_the_send_only(tmp_path: Path) -> None:
    case = exportable(uneven_traces(), case=replace(CASE, load=Load(rate_per_s=2.5, arrival="poisson")))
    found = read_back(tmp_path, "aiperf", case)
    assert set(found.distributions) == {"ttft_from_send", "e2e_from_send", "inter_chunk"}
    assert found.rate_per_s == 2.5


def test_units_are_heeded(tmp_path: Path) -> None:
    path, _ = written(tmp_path, "aiperf")
    (found,) = read_results(changed(path, lambda data: data["time_to_first_token"].update(unit="sec")))
    assert found.distributions["ttft"].mean == pytest.approx(65_000)


def test_a_mark_of_simulation_is_kept(tmp_path: Path) -> None:
    assert read_back(tmp_path, "aiperf", exportable(simulated=True)).simulated


def test_a_field_that_is_missing_is_named(tmp_path: Path) -> None:
    path, _ = written(tmp_path, "aiperf")
    with pytest.raises(ConfigError, match="benchmark_duration: it is missing"):
        read_results(changed(path, lambda data: data.pop("benchmark_duration")))


def test_a_file_of_its_own_tells_its_load_by_its_configuration(tmp_path: Path) -> None:
    path, _ = written(tmp_path, "aiperf")

    def as_aiperf_writes_it(data: dict[str, Any]) -> None:
        del data["metadata"]
        data["input_config"] = {"models": {"items": [{"name": "org/model"}]}, "phases": [{"kind": "profiling", "concurrency": 8}]}

    (found,) = read_results(changed(path, as_aiperf_writes_it))
    assert (found.model, found.concurrency) == ("org/model", 8)
    (found,) = read_results(changed(path, lambda data: data["input_config"]["phases"][0].update(rate=2.5)))
    assert (found.concurrency, found.rate_per_s) == (None, 2.5)

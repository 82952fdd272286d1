from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_inferbench.cases.case import Load
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.records.imports.registry import read_results
from tests.records.example import CASE
from tests.records.export.measured import exportable, uneven_traces
from tests.records.imports.exported import changed, read_back, written


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    case = exportable(uneven_traces(), case=replace(CASE, load=Load(rate_per_s=2.5, arrival="poisson")))
    found = read_back(tmp_path, "lpg", case)
    assert (found.tool, found.model, found.engine, found.rate_per_s) == ("lpg", "smollm2", "llamacpp", 2.5)
    assert found.figures["lpg_tpot_ms_mean"] == pytest.approx((210 / 4 + 30) / 2)
    assert found.figures["lpg_latency_ms_max"] == pytest.approx(210)
    assert found.scalars["output_throughput"] == pytest.approx(5 / 1.08)
    assert found.duration_s == pytest.approx(1.08)
    assert found.counts.completed == 2
    assert found.distributions == {}


def test_an_older_file_tells_its_length_by_its_rate(tmp_path: Path) -> None:
    (path,) = written(tmp_path, "lpg")
    (found,) = read_results(changed(path, lambda data: data["metrics"].pop("benchmark_time")))
    assert found.duration_s == pytest.approx(1.08)
    assert found.concurrency == 4


def test_a_mark_of_simulation_is_kept(tmp_path: Path) -> None:
    assert read_back(tmp_path, "lpg", exportable(simulated=True)).simulated


def test_a_field_that_is_missing_is_named(tmp_path: Path) -> None:
    (path,) = written(tmp_path, "lpg")
    with pytest.raises(ConfigError, match=r"metrics\.num_prompts_attempted: it is missing"):
        read_results(changed(path, lambda data: data["metrics"].pop("num_prompts_attempted")))

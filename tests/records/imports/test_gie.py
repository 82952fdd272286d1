from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_inferbench.cases.case import Load
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.records.imports.registry import read_results
from tests.records.example import CASE
from tests.records.export.measured import exportable, uneven_traces
from tests.records.imports.exported import read_back


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    case = exportable(uneven_traces(), case=replace(CASE, load=Load(rate_per_s=2.5, arrival="poisson")))
    found = read_back(tmp_path, "gie", case)
    assert (found.tool, found.name, found.model, found.hardware, found.rate_per_s) == ("gie", CASE.id, "smollm2", "cpu", 2.5)
    assert found.figures["lpg_tpot_ms_mean"] == pytest.approx((210 / 4 + 30) / 2)
    assert found.figures["lpg_ttft_ms_p50"] == pytest.approx(65)
    assert found.scalars == {"output_throughput": pytest.approx(5 / 1.08)}
    assert not found.simulated


def test_each_rate_is_a_result(tmp_path: Path) -> None:
    text = 'benchmarks { name: "a" result { stats { request_rate: 1 } stats { request_rate: 2 tpot { mean: 3 } } } }'
    (tmp_path / "a.pbtxt").write_text(text)
    first, second = read_results(tmp_path / "a.pbtxt")
    assert (first.rate_per_s, second.rate_per_s) == (1.0, 2.0)
    assert (first.figures, second.figures) == ({}, {"lpg_tpot_ms_mean": 3.0})


def test_a_mark_of_simulation_is_kept(tmp_path: Path) -> None:
    assert read_back(tmp_path, "gie", exportable(simulated=True)).simulated


def test_a_config_without_results_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pbtxt").write_text('benchmarks { name: "a" }')
    with pytest.raises(ConfigError, match="it says what to measure and holds no results"):
        read_results(tmp_path / "a.pbtxt")

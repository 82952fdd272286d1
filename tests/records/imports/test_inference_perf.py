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


def test_what_was_written_is_read_again_once(tmp_path: Path) -> None:
    found = read_back(tmp_path, "inference-perf")
    assert (found.name, found.model, found.concurrency, found.traffic) == (CASE.id, "smollm2", 4, "D(128,64)")
    assert found.distributions["ttft"].mean == pytest.approx(100)
    assert found.distributions["tpot"].mean == pytest.approx(100 / 3)
    assert found.figures["inference_perf_itl_ms_p50"] == pytest.approx(40)
    assert found.figures["inference_perf_ntpot_ms_max"] == pytest.approx(210 / 4)
    assert found.scalars["total_throughput"] == pytest.approx(35 / 1.08)
    assert (found.prompt_tokens, found.output_tokens, found.counts.failed) == (30, 5, 1)


def test_a_stage_of_an_open_loop_has_a_rate(tmp_path: Path) -> None:
    case = exportable(uneven_traces(), case=replace(CASE, load=Load(rate_per_s=2.5, arrival="poisson")))
    found = read_back(tmp_path, "inference-perf", case)
    assert (found.rate_per_s, set(found.distributions)) == (2.5, {"ttft_from_send", "tpot"})


def test_a_summary_alone_is_read_as_far_as_it_tells(tmp_path: Path) -> None:
    summary = written(tmp_path, "inference-perf")[0]
    (summary.parent / "config.yaml").unlink()
    (found,) = read_results(summary)
    assert (found.model, found.concurrency, found.rate_per_s) == ("unknown", None, None)


def test_a_mark_of_simulation_is_kept(tmp_path: Path) -> None:
    assert read_back(tmp_path, "inference-perf", exportable(simulated=True)).simulated


def test_a_field_that_is_missing_is_named(tmp_path: Path) -> None:
    summary = written(tmp_path, "inference-perf")[0]
    with pytest.raises(ConfigError, match=r"successes\.latency: it is missing"):
        read_results(changed(summary, lambda data: data["successes"].pop("latency")))

from __future__ import annotations

from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from pytest_inferbench.cases.case import Load
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.records.imports.registry import read_results
from tests.records.example import CASE
from tests.records.export.measured import exportable, uneven_traces
from tests.records.imports.exported import changed, read_back, written


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    found = read_back(tmp_path, "vllm")
    assert (found.tool, found.model, found.engine, found.concurrency, found.rate_per_s) == (
        "vllm",
        "smollm2",
        "llamacpp",
        4,
        None,
    )
    assert (found.counts.attempted, found.counts.completed, found.prompt_tokens, found.output_tokens) == (3, 2, 30, 5)
    assert found.scalars["output_throughput"] == pytest.approx(5 / 1.08)
    assert found.scalars["total_throughput"] == pytest.approx(35 / 1.08)
    assert found.figures["vllm_ttft_ms_mean"] == pytest.approx(65)
    assert found.figures["vllm_tpot_ms_p50"] == pytest.approx(100 / 3)
    assert found.figures["vllm_e2el_ms_p99"] == pytest.approx(30 + 0.99 * 170)
    assert found.started_at == "2026-11-22T07:45:01+00:00"


def test_its_latencies_are_not_called_ours(tmp_path: Path) -> None:
    assert read_back(tmp_path, "vllm").distributions == {}


def test_an_open_loop_has_a_rate(tmp_path: Path) -> None:
    case = exportable(uneven_traces(), case=replace(CASE, load=Load(rate_per_s=2.5, arrival="poisson")))
    found = read_back(tmp_path, "vllm", case)
    assert (found.concurrency, found.rate_per_s) == (None, 2.5)


def test_all_at_once_without_a_cap_is_an_open_loop(tmp_path: Path) -> None:
    case = exportable(uneven_traces(), case=replace(CASE, load=Load(rate_per_s=inf, arrival="poisson")))
    found = read_back(tmp_path, "vllm", case)
    assert (found.concurrency, found.rate_per_s) == (None, inf)


def test_requests_are_read_where_the_file_has_them(tmp_path: Path) -> None:
    _, detailed = written(tmp_path, "vllm")
    (found,) = read_results(detailed)
    assert found.columns["vllm_ttft_s"] == pytest.approx((0.1, 0.03, 0.0))
    assert found.columns["output_tokens"] == (4, 1, 0)


def test_a_mark_of_simulation_is_kept(tmp_path: Path) -> None:
    assert read_back(tmp_path, "vllm", exportable(simulated=True)).simulated
    assert not read_back(tmp_path, "vllm").simulated


def test_a_field_that_is_missing_or_wrong_is_named(tmp_path: Path) -> None:
    path, detailed = written(tmp_path, "vllm")
    with pytest.raises(ConfigError, match="ttfts: 'x' stands where a number belongs"):
        read_results(changed(detailed, lambda data: data["ttfts"].append("x")))
    with pytest.raises(ConfigError, match="duration: it is missing; is the file whole"):
        read_results(changed(path, lambda data: data.pop("duration")))


def test_a_date_of_another_form_is_not_guessed(tmp_path: Path) -> None:
    path, _ = written(tmp_path, "vllm")
    (found,) = read_results(changed(path, lambda data: data.update(date="yesterday")))
    assert found.started_at is None

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
    found = read_back(tmp_path, "guidellm")
    assert (found.name, found.model, found.engine, found.engine_version, found.concurrency) == (
        CASE.id,
        "smollm2",
        "llamacpp",
        "b7010",
        4,
    )
    assert found.distributions["ttft"].mean == pytest.approx(65)
    assert found.distributions["ttft"].count == 2
    assert found.figures["guidellm_tpot_ms_mean"] == pytest.approx(46)
    assert found.figures["guidellm_itl_ms_mean"] == pytest.approx(100 / 3)
    assert found.figures["guidellm_request_latency_ms_max"] == pytest.approx(210)
    assert found.scalars["output_throughput"] == pytest.approx(5 / 1.08)
    assert found.columns["guidellm_tpot_ms"] == pytest.approx((50, 30))
    assert (found.counts.attempted, found.counts.completed, found.counts.failed) == (3, 2, 1)


def test_in_an_open_loop_its_first_token_counts_from_the_send_only(tmp_path: Path) -> None:
    case = exportable(uneven_traces(), case=replace(CASE, load=Load(rate_per_s=2.5, arrival="poisson")))
    found = read_back(tmp_path, "guidellm", case)
    assert set(found.distributions) == {"ttft_from_send"}
    assert found.rate_per_s == 2.5


def test_a_mark_of_simulation_is_kept(tmp_path: Path) -> None:
    assert read_back(tmp_path, "guidellm", exportable(simulated=True)).simulated


def test_a_field_that_is_missing_is_named(tmp_path: Path) -> None:
    (path,) = written(tmp_path, "guidellm")
    with pytest.raises(ConfigError, match=r"benchmarks\[0\]\.metrics\.request_totals: it is missing"):
        read_results(changed(path, lambda data: data["benchmarks"][0]["metrics"].pop("request_totals")))


def test_a_report_of_its_own_names_the_model_once_and_a_single_user_synchronous(tmp_path: Path) -> None:
    (path,) = written(tmp_path, "guidellm")

    def as_guidellm_writes_it(data: dict[str, Any]) -> None:
        config = data["benchmarks"][0]["config"]
        config["backend"].pop("model")
        config["strategy"] = {"type_": "synchronous"}

    (found,) = read_results(changed(path, as_guidellm_writes_it))
    assert (found.model, found.concurrency) == ("smollm2", 1)

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pytest_inferbench.cases.case import Load
from pytest_inferbench.records.export.lpg import files, result, statistics
from tests.records.example import CASE
from tests.records.export.measured import exportable, uneven_traces


def test_a_file_is_named_as_lpg_names_it() -> None:
    case = replace(CASE, id="x", load=Load(rate_per_s=2.5, arrival="poisson"))
    assert files([exportable(case=case)]).files[0].path == "latency-profile-x-llamacpp-2.5qps-20261122-074501-smollm2.json"


def test_tpot_is_the_whole_time_over_the_tokens() -> None:
    found = result(exportable(uneven_traces()))
    (stat,) = found["summary_stats"]["stats"]
    assert stat["tpot"]["mean"] == pytest.approx((210 / 4 + 30) / 2)
    assert found["metrics"]["avg_normalized_time_per_output_token_ms"] == stat["tpot"]["mean"]
    assert stat["request_latency"]["median"] == pytest.approx(120)
    assert stat["ttft"]["max"] == pytest.approx(100)
    assert stat["throughput"]["mean"] == pytest.approx(5 / 1.08)
    assert found["metrics"]["p90_latency_ms"] == pytest.approx(30 + 0.9 * 180)
    assert (found["metrics"]["num_prompts_attempted"], found["metrics"]["num_prompts_succeeded"]) == (3, 2)


def test_statistics_of_nothing_are_zeros() -> None:
    assert set(statistics(np.array([np.nan])).values()) == {0.0}


def test_a_simulated_case_is_marked() -> None:
    assert result(exportable(simulated=True))["dimensions"]["simulated"] == "true"
    assert "simulated-" in files([exportable(simulated=True)]).files[0].path

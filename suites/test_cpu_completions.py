"""The Python twin of a suite file: the matrix in a marker, the test in three lines (act, judge, assert)."""

from __future__ import annotations

import pytest

from pytest_inferbench import Case, Measure


@pytest.mark.inferbench(
    hardware="cpu",
    engine={"name": "llamacpp", "args": {"parallel": 4, "ctx": 8192}},
    model=["smollm2-135m"],
    traffic=["D(64,16)"],
    concurrency=[1, 4],
    api="completions",
    requests=8,
    warmup=1,
    slo=["ttft_p99 <= 60s", "tpot_p99 <= 5s"],
    confidence="observed",
)
def test_completions(case: Case, measure: Measure) -> None:
    result = measure(case)
    assert result.meets_slo, result.explain()

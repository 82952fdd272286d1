from __future__ import annotations

from dataclasses import replace

from pytest_inferbench.reporting.junit import properties
from tests.reporting.examples import HOSTILE, all_failed, broken_record, case, record


def test_verdict_counts_and_metrics_with_units_are_properties() -> None:
    found = dict(properties(record()))
    expected = {
        "verdict": "pass",
        "simulated": "false",
        "model": "smollm2-135m",
        "concurrency": "4",
        "requests_attempted": "10",
        "requests_completed": "10",
        "requests_failed": "0",
        "ttft_ms_p99": "100",
        "ttft_ms_p50": "100",
        "tpot_ms_p50": "20",
        "output_throughput_tokens_per_s": "46.3636",
        "error_rate": "0",
    }
    assert {name: found.get(name) for name in expected} == expected


def test_figures_that_were_not_measured_have_no_property() -> None:
    names = {name for name, _ in properties(record(all_failed()))}
    assert "requests_failed" in names
    assert not any(name.startswith(("ttft", "tpot")) for name in names)


def test_a_case_that_broke_has_its_verdict_and_no_figures() -> None:
    found = dict(properties(broken_record()))
    assert found["verdict"] == "invalid"
    assert "requests_attempted" not in found


def test_each_missed_objective_is_named() -> None:
    assert ("missed", "ttft_p99 <= 1 ms") in properties(record(ttft_limit_ms=1))


def test_simulated_figures_are_marked() -> None:
    assert ("simulated", "true") in properties(replace(record(), simulated=True))


def test_names_and_values_are_plain_text() -> None:
    found = properties(record(of_case=case(model=HOSTILE)))
    assert all(isinstance(name, str) and isinstance(value, str) for name, value in found)
    assert "\x1b" not in "".join(value for _, value in found)

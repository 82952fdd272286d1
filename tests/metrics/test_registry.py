"""The table of metrics, and what a wrong name is answered with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.metrics.first_token import TTFT
from pytest_inferbench.metrics.metric import Better
from pytest_inferbench.metrics.registry import METRICS, definitions, metric, samples
from pytest_inferbench.units import quantity_in
from tests.traces import streamed, traces_of

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_a_metric_is_found_by_its_name() -> None:
    assert metric("ttft") is TTFT
    assert samples(TTFT, traces_of([streamed(ttft_ms=120)])).tolist() == [120.0]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("tftt", "'tftt' is not a metric; did you mean ttft"),
        ("output_troughput", "did you mean output_throughput"),
        ("TTFT", "did you mean ttft"),
        ("zzz", "'zzz' is not a metric; metrics: ttft, tpot, itl"),
    ],
)
def test_an_unknown_metric_is_answered_with_the_nearest_ones(name: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(problem)):
        metric(name)


def test_every_unit_is_one_that_people_can_write() -> None:
    assert {quantity_in("1", each.unit) for each in METRICS.values()} == {1.0}


def test_throughput_is_better_bigger_and_waiting_is_better_smaller() -> None:
    steady = {"steady_window", "steady_output_throughput", "max_rate", "max_concurrency"}
    bigger = {name for name, each in METRICS.items() if each.better is Better.BIGGER}
    assert bigger == {"request_throughput", "input_throughput", "output_throughput", "total_throughput", "goodput", *steady}


def test_definitions_are_plain_text_for_every_metric() -> None:
    assert list(definitions()) == list(METRICS)
    assert definitions()["tpot"]["formula"].startswith("(last_token_ns - first_token_ns) / (output_tokens - 1)")
    assert {type(text) for each in definitions().values() for text in each.values()} == {str}


@pytest.mark.parametrize("name", METRICS)
def test_the_documentation_names_every_metric_with_its_unit_and_formula(name: str) -> None:
    row = next((line for line in DOCS.read_text().splitlines() if line.startswith(f"| `{name}` |")), "")
    unit = "ratio" if METRICS[name].unit == "1" else METRICS[name].unit
    assert f"| {unit} |" in row
    assert METRICS[name].formula in row

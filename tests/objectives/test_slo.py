"""Objectives: what is read, what is refused and with which words."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.metrics.metric import Better, Latency
from pytest_inferbench.metrics.registry import METRICS
from pytest_inferbench.objectives.slo import canonical, parse_objective, parse_objectives, percentile_of
from pytest_inferbench.objectives.verdict import Objective


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ttft_p99 <= 500ms", Objective(metric="ttft", statistic="p99", operator="<=", limit=500.0, text="ttft_p99 <= 500ms")),
        ("ttft_p99<=500ms", Objective(metric="ttft", statistic="p99", operator="<=", limit=500.0, text="ttft_p99 <= 500ms")),
        ("  tpot_p99  <=  50 ms ", Objective(metric="tpot", statistic="p99", operator="<=", limit=50.0, text="tpot_p99 <= 50ms")),
        ("e2e_mean < 2s", Objective(metric="e2e", statistic="mean", operator="<", limit=2000.0, text="e2e_mean < 2000ms")),
        ("itl_max <= 0.25", Objective(metric="itl", statistic="max", operator="<=", limit=0.25, text="itl_max <= 0.25ms")),
        (
            "ttft_p99.9 ≤ 1s",
            Objective(metric="ttft", statistic="p99.9", operator="<=", limit=1000.0, text="ttft_p99.9 <= 1000ms"),
        ),
        ("ttft_p50.0 <= 100us", Objective(metric="ttft", statistic="p50", operator="<=", limit=0.1, text="ttft_p50 <= 0.1ms")),
        (
            "ttft_from_send_p90 <= 1ms",
            Objective(metric="ttft_from_send", statistic="p90", operator="<=", limit=1.0, text="ttft_from_send_p90 <= 1ms"),
        ),
        (
            "inter_chunk_p50 <= 1ms",
            Objective(metric="inter_chunk", statistic="p50", operator="<=", limit=1.0, text="inter_chunk_p50 <= 1ms"),
        ),
        (
            "output_throughput >= 1000 tok/s",
            Objective(
                metric="output_throughput", statistic=None, operator=">=", limit=1000.0, text="output_throughput >= 1000 tok/s"
            ),
        ),
        (
            "total_throughput > 20",
            Objective(metric="total_throughput", statistic=None, operator=">", limit=20.0, text="total_throughput > 20 tok/s"),
        ),
        (
            "goodput >= 12 req/s",
            Objective(metric="goodput", statistic=None, operator=">=", limit=12.0, text="goodput >= 12 req/s"),
        ),
        ("error_rate <= 0", Objective(metric="error_rate", statistic=None, operator="<=", limit=0.0, text="error_rate <= 0")),
        (
            "error_rate <= 1%",
            Objective(metric="error_rate", statistic=None, operator="<=", limit=0.01, text="error_rate <= 0.01"),
        ),
        (
            "error_rate < 0.005",
            Objective(metric="error_rate", statistic=None, operator="<", limit=0.005, text="error_rate < 0.005"),
        ),
    ],
)
def test_objectives_are_read_as_people_write_them(text: str, expected: Objective) -> None:
    assert parse_objective(text) == expected
    assert parse_objective(expected.text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not an objective; write one such as ttft_p99 <= 500ms"),
        ("ttft_p99 500ms", "not an objective"),
        ("ttft_p99 <=", "not an objective"),
        ("ttft_p99 = 500ms", "= is not an operator of objectives; write <=, <, >= or >"),
        ("tftt_p99 <= 500ms", "'tftt' is not a metric; did you mean ttft"),
        ("output_troughput >= 1", "'output_troughput' is not a metric; did you mean output_throughput"),
        ("ttft <= 500ms", "ttft has many values; say which statistic: ttft_p99 (mean, max, or a percentile"),
        ("ttft_p100 <= 5ms", "'p100' is not a statistic; write max"),
        ("ttft_p0 <= 5ms", "'p0' is not a statistic; write mean, max, or a percentile such as p50, p99 or p99.9"),
        ("ttft_median <= 5ms", "'median' is not a statistic; write p50"),
        ("ttft_avg <= 5ms", "'avg' is not a statistic; write mean"),
        ("ttft_min <= 5ms", "'min' is not a statistic; write mean, max"),
        ("output_throughput_p99 >= 5 tok/s", "output_throughput is one number and has no p99; write output_throughput"),
        ("ttft_p99 <= 500 tok/s", "is a token rate, but a time belongs here; units that fit: ns, us, ms"),
        ("output_throughput >= 12 req/s", "is a request rate, but a token rate belongs here; units that fit: tok/s"),
        ("ttft_p99 <= 500 parsecs", "is not a unit"),
        ("ttft_p99 <= nan", "'nan' is not a quantity"),
        ("ttft_p99 <= inf", "'inf' is not a quantity"),
        ("ttft_p99 <= -5ms", "-5 ms is negative; time to first token never is"),
        ("ttft_p99 <= 0", "time to first token is never <= 0 ms; give a limit that can be met"),
        ("error_rate < 0", "error rate is never < 0 %; give a limit that can be met"),
        ("goodput >= 0", "goodput is always at least 0 req/s; give a limit that can be missed"),
        ("error_rate <= 1", "a limit of 100 % can never be missed; 1 means 100 %, so write 1% or 0.01"),
        ("ttft_p99 >= 500ms", "this would pass a slow server; write ttft_p99 <= 500ms"),
        ("error_rate >= 1%", "this would pass a server that answers nothing but errors; write error_rate <= 1%"),
        ("goodput <= 5", "this would pass a slow server and fail a fast one; write goodput >= 5"),
    ],
)
def test_what_is_no_objective_is_refused_with_what_would_be_right(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(problem)) as caught:
        parse_objective(text, file="a.bench.yaml", line=7, field="slo")
    assert str(caught.value).startswith(f"a.bench.yaml:7: slo: {text.strip()!r}: ")


def test_of_several_objectives_the_wrong_one_is_named() -> None:
    with pytest.raises(ConfigError, match=re.escape("a.yaml: slo[1]: 'ttft <= 5ms': ttft has many values")):
        parse_objectives(["ttft_p99 <= 5ms", "ttft <= 5ms"], file="a.yaml")
    assert [each.text for each in parse_objectives(["ttft_p99<=5ms", "goodput>=1"])] == ["ttft_p99 <= 5ms", "goodput >= 1 req/s"]


@given(
    st.sampled_from(sorted(METRICS)),
    st.sampled_from(["mean", "max", "p50", "p90", "p99", "p99.9", "p1", "p99.999"]),
    st.booleans(),
    st.floats(1e-6, 0.99),
    st.integers(1, 10**6),
)
def test_what_is_printed_is_read_back_exactly(name: str, statistic: str, strict: bool, limit: float, scale: int) -> None:
    metric = METRICS[name]
    limit *= 1 if metric.unit == "1" else scale
    operator = ("<" if metric.better is Better.SMALLER else ">") + ("" if strict else "=")
    chosen = statistic if isinstance(metric, Latency) else None
    text = canonical(name, chosen, operator, round(limit, 12))
    expected = Objective(metric=name, statistic=chosen, operator=operator, limit=round(limit, 12), text=text)
    assert parse_objective(text) == expected


@given(st.text())
def test_any_text_is_an_objective_or_a_config_error(text: str) -> None:
    with suppress(ConfigError):
        assert parse_objective(text).metric in METRICS


def test_a_percentile_says_how_many_percent() -> None:
    assert percentile_of("p99.9") == 99.9
    assert percentile_of("mean") is None

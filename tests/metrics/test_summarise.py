"""Summaries: shapes that hold for any traces, and the cases at the edge."""

from __future__ import annotations

from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.load.trace import Outcome
from pytest_inferbench.metrics.registry import LATENCIES, SCALARS
from pytest_inferbench.metrics.summarise import summarise
from pytest_inferbench.metrics.summary import Counts, Distribution
from tests.traces import Row, lost, rows, streamed, traces_of


def test_a_summary_of_known_requests_has_the_figures_worked_out_by_hand() -> None:
    summary = summarise(traces_of([streamed(100, 20, tokens=6), streamed(300, 40, tokens=6)]), goodput_limits={"ttft": 200})
    assert summary.counts == Counts(attempted=2, completed=2, failed=0, timed_out=0, cancelled=0)
    assert summary.window_s == 0.5
    ttft = Distribution(count=2, mean=200.0, p50=200.0, p90=280.0, p95=290.0, p99=298.0, max=300.0)
    assert summary.distributions["ttft"] == ttft
    assert summary.distributions["itl"].count == 10
    assert summary.distributions["tpot"].mean == 30.0
    assert summary.scalars == {
        "request_throughput": 4.0,
        "input_throughput": 64.0,
        "output_throughput": 24.0,
        "total_throughput": 88.0,
        "goodput": 2.0,
        "error_rate": 0.0,
        "steady_output_throughput": 25.0,
        "steady_window": 0.2,
    }


def test_a_summary_holds_every_metric_once() -> None:
    summary = summarise(traces_of([streamed()]))
    assert list(summary.distributions) == [latency.name for latency in LATENCIES]
    assert list(summary.scalars) == [scalar.name for scalar in SCALARS]


def test_no_request_at_all_gives_nan_and_no_warning() -> None:
    summary = summarise(traces_of([]))
    assert summary.counts == Counts(attempted=0, completed=0, failed=0, timed_out=0, cancelled=0)
    assert isnan(summary.window_s)
    assert all(each.count == 0 and isnan(each.p99) and isnan(each.mean) for each in summary.distributions.values())
    assert all(isnan(value) for value in summary.scalars.values())


def test_only_failures_give_no_latency_no_throughput_and_an_error_rate_of_one() -> None:
    summary = summarise(traces_of([lost(Outcome.FAILED), lost(Outcome.TIMED_OUT), lost(Outcome.CANCELLED)]))
    assert summary.counts == Counts(attempted=3, completed=0, failed=1, timed_out=1, cancelled=1)
    assert all(each.count == 0 for each in summary.distributions.values())
    assert summary.scalars["error_rate"] == 1.0
    assert summary.scalars["output_throughput"] == 0.0


def test_a_request_that_took_no_time_has_no_throughput() -> None:
    summary = summarise(traces_of([Row(end_ns=0)]))
    assert isnan(summary.scalars["request_throughput"])


@given(st.permutations(range(6)), st.lists(rows(), min_size=6, max_size=6), st.booleans())
def test_the_order_of_requests_changes_no_figure(order: list[int], some: list[Row], open_loop: bool) -> None:
    there = summarise(traces_of(some, open_loop=open_loop))
    here = summarise(traces_of([some[i] for i in order], open_loop=open_loop))
    assert there.counts == here.counts
    assert there.window_s == here.window_s
    assert there.scalars == here.scalars
    for name, expected in there.distributions.items():
        assert here.distributions[name].count == expected.count
        assert here.distributions[name].p99 == pytest.approx(expected.p99, nan_ok=True)
        assert here.distributions[name].mean == pytest.approx(expected.mean, nan_ok=True)

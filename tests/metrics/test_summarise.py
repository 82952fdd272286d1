"""Summaries: shapes that hold for any traces, and the cases at the edge."""

from __future__ import annotations

from dataclasses import replace
from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pytest_inferbench.load.trace import MISSING, Outcome
from pytest_inferbench.metrics.distribution import distribution
from pytest_inferbench.metrics.metric import Samples
from pytest_inferbench.metrics.registry import LATENCIES, SCALARS
from pytest_inferbench.metrics.summarise import summarise
from pytest_inferbench.metrics.summary import Counts, Distribution
from pytest_inferbench.metrics.totals import window_s
from tests.traces import MS, Row, lost, rows, streamed, traces_of

_samples = arrays(np.float64, st.integers(1, 50), elements=st.floats(0, 1e9))


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


def test_the_window_runs_from_the_first_send_to_the_last_end_of_any_request() -> None:
    traces = traces_of([streamed(sent_ns=5 * MS), lost(sent_ns=2 * MS), lost(sent_ns=900 * MS)])
    assert window_s(traces) == pytest.approx(0.899)


def test_a_request_never_sent_does_not_move_the_window() -> None:
    traces = traces_of([streamed(sent_ns=5 * MS), lost(Outcome.CANCELLED)])
    never_sent = replace(traces, send_ns=np.array([5 * MS, MISSING]), end_ns=np.array([traces.end_ns[0], MISSING]))
    assert window_s(never_sent) == window_s(traces_of([streamed(sent_ns=5 * MS)]))


@given(_samples)
def test_percentiles_are_monotone_and_within_the_samples(samples: Samples) -> None:
    each = distribution(samples)
    assert samples.min() <= each.p50 <= each.p90 <= each.p95 <= each.p99 <= each.max == samples.max()
    assert each.count == samples.size
    assert each.mean == pytest.approx(samples.mean())


@given(_samples, st.integers(0, 2**32))
def test_the_order_of_samples_changes_nothing(samples: Samples, seed: int) -> None:
    shuffled = np.random.default_rng(seed).permutation(samples)
    there, here = distribution(samples), distribution(shuffled)
    assert (there.p50, there.p90, there.p95, there.p99, there.max) == (here.p50, here.p90, here.p95, here.p99, here.max)
    assert there.mean == pytest.approx(here.mean)


def test_no_samples_have_a_count_and_nothing_else() -> None:
    assert repr(distribution(np.array([]))) == repr(Distribution(count=0, mean=nan, p50=nan, p90=nan, p95=nan, p99=nan, max=nan))


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


@given(st.lists(rows(), max_size=8))
def test_every_request_is_on_the_books_once(some: list[Row]) -> None:
    counts = summarise(traces_of(some)).counts
    assert counts.attempted == counts.completed + counts.failed + counts.timed_out + counts.cancelled == len(some)

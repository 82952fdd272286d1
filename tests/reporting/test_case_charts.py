from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_inferbench.load.trace import Traces
from pytest_inferbench.reporting.case_charts import (
    distribution_chart,
    distribution_charts,
    limits,
    throughput_chart,
    timeline_chart,
)
from pytest_inferbench.reporting.per_request import requests_of
from tests.reporting.examples import all_failed, busy_traces, no_request, record
from tests.traces import streamed, traces_of


def test_a_case_has_its_distribution_and_a_histogram_of_each_latency() -> None:
    traces = busy_traces()
    titles = [chart.title for chart in distribution_charts(record(traces), requests_of(traces))]
    assert titles == ["Share of requests within a time (ECDF)", "Histogram of TTFT", "Histogram of TPOT", "Histogram of E2E"]


def test_every_completed_request_is_in_one_bar_of_a_histogram() -> None:
    traces = busy_traces(requests=30, lost_requests=3)
    _, *histograms = distribution_charts(record(traces), requests_of(traces))
    assert [sum(chart.series[0].y) for chart in histograms] == [30, 30, 30]
    assert all(series.to[:-1] == series.x[1:] for chart in histograms for series in chart.series)


def test_every_request_is_in_the_charts_of_a_small_case() -> None:
    traces = busy_traces(requests=30)
    chart = timeline_chart(record(traces), requests_of(traces))
    assert [(series.name, len(series.x)) for series in chart.series] == [("TTFT", 30), ("E2E", 30), ("did not complete", 0)]
    assert chart.note == ""


def test_a_large_case_says_that_not_all_requests_are_drawn() -> None:
    traces = traces_of([streamed(100 + position, tokens=2, sent_ns=position * 10**6) for position in range(1200)])
    chart = timeline_chart(record(traces), requests_of(traces))
    drawn = len(chart.series[0].x)
    assert 200 < drawn <= 300
    assert chart.note == f"{drawn} of 1,200 completed requests are drawn, the slowest among them."
    assert max(chart.series[0].y) == 1299


def test_requests_that_failed_are_drawn_as_crosses_and_missing_from_the_distribution() -> None:
    traces = busy_traces(requests=10, lost_requests=5)
    requests = requests_of(traces)
    failures = timeline_chart(record(traces), requests).series[2]
    assert (failures.style, len(failures.x)) == ("crosses", 5)
    chart = distribution_chart(record(traces), requests)
    assert chart.series[0].y[-1] == pytest.approx(66.667)
    assert chart.note == "5 of 15 requests did not complete and never reach a curve."
    assert "Tokens of requests that did not complete are in this chart" in throughput_chart(record(traces), traces).note


@pytest.mark.parametrize(
    ("traces", "titles"),
    [
        (no_request(), []),
        (all_failed(), []),
        (traces_of([streamed(tokens=1)]), ["Share of requests within a time (ECDF)", "Histogram of TTFT", "Histogram of E2E"]),
    ],
    ids=["no request", "all failed", "one request"],
)
def test_a_chart_without_a_point_is_left_out(traces: Traces, titles: list[str]) -> None:
    assert [chart.title for chart in distribution_charts(record(traces), requests_of(traces))] == titles


def test_objectives_are_lines_in_the_charts_of_their_metric() -> None:
    lines = limits(record(), metrics=("ttft",), axis="x")
    assert [(line.axis, line.value, line.text) for line in lines] == [("x", 250, "TTFT p99 ≤ 250")]
    assert limits(record(), metrics=("ttft",), axis="x", statistic="p50") == ()
    assert [line.text for line in limits(record(), metrics=("output_throughput",), axis="y")] == ["throughput ≥ 20"]


def test_simulated_charts_say_so() -> None:
    traces = busy_traces(requests=5)
    charts = distribution_charts(replace(record(traces), simulated=True), requests_of(traces))
    assert all("SIMULATED" in chart.heading and "SIMULATED" in chart.axis_label(chart.y) for chart in charts)


def test_a_long_curve_says_that_it_is_exact_where_it_stops() -> None:
    traces = traces_of([streamed(100 + position, tokens=2, sent_ns=position * 10**6) for position in range(1200)])
    chart = distribution_chart(record(traces), requests_of(traces))
    assert chart.note == "At most 200 of 1,200 steps are drawn; the curve is exact at each of them."

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.load.trace import MISSING, Outcome
from pytest_inferbench.metrics.registry import metric, samples
from pytest_inferbench.metrics.summarise import summarise
from pytest_inferbench.reporting.per_request import cumulative, requests_of, thinned, throughput_of
from tests.reporting.examples import all_failed, busy_traces, no_request
from tests.traces import MS, Row, lost, rows, streamed, traces_of


def test_latencies_count_from_the_send_in_a_closed_loop() -> None:
    requests = requests_of(traces_of([streamed(100, 20, tokens=3, sent_ns=1000 * MS), streamed(50, 10, sent_ns=1500 * MS)]))
    assert requests.sent_s.tolist() == [0.0, 0.5]
    assert requests.ttft_ms.tolist() == [100.0, 50.0]
    assert requests.e2e_ms.tolist() == [140.0, 120.0]
    assert np.isnan(requests.gave_up_ms).all()


def test_latencies_count_from_the_intended_send_in_an_open_loop() -> None:
    row = Row(intended_ns=0, sent_ns=30 * MS, events=((100 * MS, 1),))
    assert requests_of(traces_of([row], open_loop=True)).ttft_ms.tolist() == [100.0]


def test_a_request_that_did_not_complete_has_only_the_time_until_it_ended() -> None:
    requests = requests_of(traces_of([lost(Outcome.TIMED_OUT)]))
    assert np.isnan(requests.ttft_ms[0])
    assert requests.gave_up_ms.tolist() == [1.0]


def test_a_request_that_was_never_sent_is_drawn_nowhere_and_moves_nothing() -> None:
    requests = requests_of(traces_of([replace(lost(Outcome.CANCELLED), sent_ns=MISSING), streamed(sent_ns=5000 * MS)]))
    assert np.isnan(requests.sent_s[0])
    assert np.isnan(requests.gave_up_ms[0])
    assert requests.sent_s[1] == 0.0


@given(st.lists(rows(), min_size=1, max_size=20), st.booleans())
def test_drawn_latencies_are_those_of_the_metrics(some: list[Row], open_loop: bool) -> None:
    traces = traces_of(some, open_loop=open_loop)
    requests = requests_of(traces)
    for name, drawn in (("ttft", requests.ttft_ms), ("e2e", requests.e2e_ms)):
        definition = metric(name)
        assert drawn[~np.isnan(drawn)].tolist() == samples(definition, traces).tolist()  # type: ignore[arg-type] # latencies


def test_bins_hold_every_token_once() -> None:
    traces = busy_traces(concurrency=4, requests=60)
    throughput = throughput_of(traces)
    assert throughput.tokens_per_s.sum() * throughput.bin_s == pytest.approx(int(traces.event_tokens.sum()))
    assert throughput.bin_s * len(throughput.middle_s) == pytest.approx(summarise(traces).window_s, rel=0.05)


@pytest.mark.parametrize("traces", [no_request(), all_failed()], ids=["no request", "all failed"])
def test_without_a_token_there_is_no_throughput_to_draw(traces: object) -> None:
    assert len(throughput_of(traces).middle_s) == 0  # type: ignore[arg-type] # ids above say what they are


def test_the_slowest_requests_are_drawn_however_many_there_are() -> None:
    values = np.random.default_rng(1).random(10_000)
    values[777] = 9.0
    chosen = thinned(values, 100)
    assert len(chosen) <= 100
    assert 777 in chosen


def test_few_values_are_all_drawn_but_never_what_is_missing() -> None:
    assert thinned(np.array([1.0, np.nan, 3.0]), 100).tolist() == [0, 2]


def test_the_curve_ends_below_a_hundred_percent_where_requests_failed() -> None:
    values, share = cumulative(np.array([20.0, np.nan, 10.0, np.nan]), 4, 100)
    assert values.tolist() == [10.0, 10.0, 20.0]
    assert share.tolist() == [0.0, 25.0, 50.0]


def test_a_long_curve_keeps_its_first_and_last_point() -> None:
    values, share = cumulative(np.arange(10_000.0), 10_000, 200)
    assert len(values) <= 201
    assert (values[0], values[-1], share[-1]) == (0.0, 9999.0, 100.0)

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.load.trace import MISSING, Outcome
from pytest_inferbench.metrics.registry import metric, samples
from pytest_inferbench.metrics.summarise import summarise
from pytest_inferbench.reporting.per_request import (
    cumulative,
    histogram_of,
    in_flight,
    peaks,
    requests_of,
    thinned,
    throughput_of,
)
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
    for name, drawn in (("ttft", requests.ttft_ms), ("tpot", requests.tpot_ms), ("e2e", requests.e2e_ms)):
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


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=900), st.integers(0, 50))
def test_a_curve_is_exact_at_every_step_and_stops_at_the_percentiles_and_the_slowest(
    some: list[float], lost_requests: int
) -> None:
    attempted = len(some) + lost_requests
    values, share = cumulative(np.array([*some, *([np.nan] * lost_requests)]), attempted, 200)
    ordered = np.sort(np.array(some))
    # The last step at a value is the share of requests that are no slower.
    last = {value: percent for value, percent in zip(values.tolist(), share.tolist(), strict=True) if percent}
    for value, percent in last.items():
        exact = np.searchsorted(ordered, value, side="right") / attempted * 100
        assert percent <= exact + 1e-9
    assert len(values) <= 201
    wanted = {ordered[int(np.ceil(percentile / 100 * len(ordered))) - 1] for percentile in (1, 50, 90, 99, 99.9)}
    assert wanted | set(ordered[-20:]) <= set(values.tolist())


@given(st.lists(st.floats(0.001, 1e6), max_size=200), st.booleans())
def test_every_value_is_in_one_bin(some: list[float], log: bool) -> None:
    found = histogram_of(np.array([*some, np.nan]), log=log, bins=12)
    assert int(found.counts.sum()) == len(some)
    assert len(found.edges) == (13 if some else 0)


@given(st.lists(rows(), max_size=20))
def test_as_many_requests_end_as_were_sent(some: list[Row]) -> None:
    at_s, counts = in_flight(traces_of(some))
    assert (counts >= 0).all()
    assert counts.tolist()[-1:] in ([], [0])
    assert sorted(at_s.tolist()) == at_s.tolist()


def test_requests_in_flight_are_counted_between_send_and_end() -> None:
    some = [streamed(100, 0, tokens=1, sent_ns=0), streamed(100, 0, tokens=1, sent_ns=50 * MS)]
    at_s, counts = in_flight(traces_of(some))
    assert at_s.tolist() == [0.0, 0.05, 0.1, 0.15]
    assert counts.tolist() == [1, 2, 1, 0]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=500), st.integers(2, 40))
def test_thinned_readings_keep_the_largest(some: list[float], limit: int) -> None:
    at = np.arange(len(some), dtype=np.float64)
    chosen = peaks(at, np.array(some), limit)
    assert len(chosen) <= max(limit, 1) or len(some) <= limit
    assert max(some) == max(some[place] for place in chosen.tolist())
    assert sorted(set(chosen.tolist())) == chosen.tolist()

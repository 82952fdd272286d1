"""Every metric by hand on small cases, and as a law on any case."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.load.trace import MISSING, Outcome
from pytest_inferbench.metrics.end_to_end import e2e_from_send_ms, e2e_ms
from pytest_inferbench.metrics.first_token import ttft_from_send_ms, ttft_ms
from pytest_inferbench.metrics.goodput import good_requests
from pytest_inferbench.metrics.inter_token import inter_chunk_ms, itl_ms
from pytest_inferbench.metrics.output_token import tpot_ms
from pytest_inferbench.metrics.registry import LATENCIES
from pytest_inferbench.metrics.summarise import summarise
from tests.traces import MS, Row, completed_rows, lost, lost_rows, rows, streamed, traces_of


def test_ttft_counts_from_the_intended_send_in_an_open_loop_and_from_the_send_in_a_closed_one() -> None:
    late = Row(intended_ns=0, sent_ns=30 * MS, events=((100 * MS, 1),))
    assert ttft_ms(traces_of([late], open_loop=True)).tolist() == [100.0]
    assert ttft_ms(traces_of([late], open_loop=False)).tolist() == [70.0]
    assert ttft_from_send_ms(traces_of([late], open_loop=True)).tolist() == [70.0]


def test_tpot_is_the_time_after_the_first_token_over_the_tokens_after_it() -> None:
    row = Row(events=((100 * MS, 1), (160 * MS, 3), (200 * MS, 1)))
    assert tpot_ms(traces_of([row])).tolist() == [25.0]


@pytest.mark.parametrize("events", [(), ((100 * MS, 1),)])
def test_tpot_needs_two_tokens(events: tuple[tuple[int, int], ...]) -> None:
    assert tpot_ms(traces_of([Row(events=events)])).tolist() == []


def test_itl_shares_the_gap_before_an_event_among_its_tokens() -> None:
    row = Row(events=((100 * MS, 2), (160 * MS, 3), (200 * MS, 1)))
    assert itl_ms(traces_of([row])).tolist() == [20.0, 20.0, 20.0, 40.0]
    assert inter_chunk_ms(traces_of([row])).tolist() == [60.0, 40.0]


def test_itl_adds_the_wait_for_an_event_without_a_token_to_the_next_one() -> None:
    row = Row(events=((100 * MS, 0), (130 * MS, 0), (160 * MS, 2), (200 * MS, 1)))
    assert itl_ms(traces_of([row])).tolist() == [30.0, 30.0, 40.0]


def test_gaps_never_span_two_requests() -> None:
    first, empty, second = Row(events=((1 * MS, 1), (2 * MS, 1))), Row(), Row(events=((900 * MS, 1), (903 * MS, 1)))
    assert inter_chunk_ms(traces_of([first, empty, second])).tolist() == [1.0, 3.0]
    assert itl_ms(traces_of([empty, first, empty, second, empty])).tolist() == [1.0, 3.0]


def test_e2e_ends_at_the_last_token_and_at_the_end_of_an_answer_without_tokens() -> None:
    row = Row(intended_ns=0, sent_ns=10 * MS, events=((100 * MS, 1), (200 * MS, 1)), end_ns=900 * MS)
    empty = Row(intended_ns=0, sent_ns=10 * MS, end_ns=50 * MS)
    assert e2e_ms(traces_of([row, empty], open_loop=True)).tolist() == [200.0, 50.0]
    assert e2e_from_send_ms(traces_of([row, empty], open_loop=True)).tolist() == [190.0, 40.0]


@given(st.lists(lost_rows(), max_size=5))
def test_requests_that_did_not_complete_are_in_no_latency(broken: list[Row]) -> None:
    assert all(latency.compute(traces_of(broken)).size == 0 for latency in LATENCIES)


@given(completed_rows())
def test_inter_token_latencies_of_a_request_add_up_to_last_minus_first_token(row: Row) -> None:
    traces = traces_of([row])
    length_ms = (row.events[-1][0] - row.events[0][0]) / 1e6
    assert itl_ms(traces).sum() == pytest.approx(length_ms, rel=1e-9, abs=1e-9)
    assert itl_ms(traces).size == row.tokens - row.events[0][1]
    assert inter_chunk_ms(traces).sum() == pytest.approx(length_ms, rel=1e-9, abs=1e-9)


@given(completed_rows(most_tokens=1))
def test_the_mean_inter_token_latency_of_a_request_is_its_tpot_where_an_event_is_a_token(row: Row) -> None:
    traces = traces_of([row])
    tpot = tpot_ms(traces)
    assert tpot.size == (1 if row.tokens >= 2 else 0)
    assert itl_ms(traces).sum() == pytest.approx(tpot.sum() * (row.tokens - 1), rel=1e-9, abs=1e-9)


@given(st.lists(rows(), max_size=8), st.booleans())
def test_ttft_then_tokens_is_e2e(some: list[Row], open_loop: bool) -> None:
    traces = traces_of(some, open_loop=open_loop)
    has_two = traces.completed & np.greater_equal(traces.output_tokens, 2)
    tokens_after_first = traces.output_tokens[has_two] - 1
    of_completed = np.greater_equal(traces.output_tokens[traces.completed], 2)
    parts = ttft_ms(traces)[of_completed] + tpot_ms(traces) * tokens_after_first
    assert parts == pytest.approx(e2e_ms(traces)[of_completed], rel=1e-9, abs=1e-6)


@given(st.lists(rows(), max_size=8))
def test_in_a_closed_loop_counting_from_the_start_is_counting_from_the_send(some: list[Row]) -> None:
    traces = traces_of(some, open_loop=False)
    assert ttft_ms(traces).tolist() == ttft_from_send_ms(traces).tolist()
    assert e2e_ms(traces).tolist() == e2e_from_send_ms(traces).tolist()


@given(st.lists(rows(), max_size=8))
def test_counting_from_the_intended_send_is_never_less(some: list[Row]) -> None:
    traces = traces_of(some, open_loop=True)
    assert (ttft_ms(traces) >= ttft_from_send_ms(traces)).all()


def test_good_requests_meet_every_limit_each_by_itself() -> None:
    traces = traces_of([streamed(100, 20), streamed(100, 30), streamed(101, 20), lost()])
    assert good_requests(traces, {}) == 3
    assert good_requests(traces, {"ttft": 100.0}) == 2
    assert good_requests(traces, {"tpot": 20.0}) == 2
    assert good_requests(traces, {"ttft": 100.0, "tpot": 20.0}) == 1
    assert good_requests(traces, {"e2e": 241.0}) == 2


def test_a_request_without_a_token_is_not_good_and_one_with_a_single_token_needs_no_tpot() -> None:
    empty, single = Row(end_ns=MS), streamed(tokens=1)
    assert good_requests(traces_of([empty]), {"ttft": 1000.0}) == 0
    assert good_requests(traces_of([single, empty]), {"tpot": 0.001}) == 2


@given(st.lists(rows(), max_size=8), st.floats(0, 1e4), st.floats(0, 1e4))
def test_a_tighter_limit_never_makes_more_requests_good(some: list[Row], first_ms: float, second_ms: float) -> None:
    traces = traces_of(some)
    tight, loose = sorted((first_ms, second_ms))
    assert good_requests(traces, {"e2e": tight}) <= good_requests(traces, {"e2e": loose})


@given(st.lists(rows(), min_size=1, max_size=8))
def test_throughput_times_window_is_what_was_carried(some: list[Row]) -> None:
    summary = summarise(traces_of(some))
    done = [row for row in some if row.outcome is Outcome.COMPLETED]
    carried = {
        "request_throughput": len(done),
        "goodput": len(done),
        "output_throughput": sum(row.tokens for row in done),
        "input_throughput": sum(row.prompt_tokens for row in done),
        "total_throughput": sum(row.tokens + row.prompt_tokens for row in done),
    }
    for name, expected in carried.items():
        assert summary.scalars[name] * summary.window_s == pytest.approx(expected, rel=1e-9)


@given(st.lists(rows(), min_size=1, max_size=8))
def test_error_rate_is_the_share_that_did_not_complete(some: list[Row]) -> None:
    done = sum(row.outcome is Outcome.COMPLETED for row in some)
    assert summarise(traces_of(some)).scalars["error_rate"] == pytest.approx(1 - done / len(some))


def test_unknown_prompt_tokens_make_input_throughput_unknown_and_not_smaller() -> None:
    summary = summarise(traces_of([streamed(), Row(prompt_tokens=MISSING, end_ns=MS)]))
    assert np.isnan(summary.scalars["input_throughput"])
    assert np.isnan(summary.scalars["total_throughput"])
    assert summary.prompt_tokens == 16
    assert summary.scalars["output_throughput"] > 0

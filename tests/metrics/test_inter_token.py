"""Gaps between tokens, and between events."""

from __future__ import annotations

import pytest
from hypothesis import given

from pytest_inferbench.metrics.inter_token import inter_chunk_ms, itl_ms
from pytest_inferbench.metrics.output_token import tpot_ms
from tests.traces import MS, Row, completed_rows, traces_of


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

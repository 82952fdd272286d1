"""The wait for the first token: where it counts from."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.metrics.end_to_end import e2e_from_send_ms, e2e_ms
from pytest_inferbench.metrics.first_token import ttft_content_ms, ttft_from_send_ms, ttft_ms, ttft_reasoning_ms, ttft_tool_ms
from tests.traces import MS, Row, rows, traces_of


def test_ttft_counts_from_the_intended_send_in_an_open_loop_and_from_the_send_in_a_closed_one() -> None:
    late = Row(intended_ns=0, sent_ns=30 * MS, events=((100 * MS, 1),))
    assert ttft_ms(traces_of([late], open_loop=True)).tolist() == [100.0]
    assert ttft_ms(traces_of([late], open_loop=False)).tolist() == [70.0]
    assert ttft_from_send_ms(traces_of([late], open_loop=True)).tolist() == [70.0]


@given(st.lists(rows(), max_size=8))
def test_in_a_closed_loop_counting_from_the_start_is_counting_from_the_send(some: list[Row]) -> None:
    traces = traces_of(some, open_loop=False)
    assert ttft_ms(traces).tolist() == ttft_from_send_ms(traces).tolist()
    assert e2e_ms(traces).tolist() == e2e_from_send_ms(traces).tolist()


@given(st.lists(rows(), max_size=8))
def test_counting_from_the_intended_send_is_never_less(some: list[Row]) -> None:
    traces = traces_of(some, open_loop=True)
    assert (ttft_ms(traces) >= ttft_from_send_ms(traces)).all()


def test_each_kind_of_text_has_a_first_time_of_its_own() -> None:
    thought = Row(intended_ns=0, sent_ns=MS, events=((10 * MS, 1), (20 * MS, 1)), reasoning_ns=10 * MS)
    called = Row(sent_ns=0, events=((30 * MS, 1),), tool_ns=30 * MS)
    plain = Row(sent_ns=0, events=((40 * MS, 1),))
    traces = traces_of([thought, called, plain], open_loop=True)
    assert ttft_ms(traces).tolist() == [10.0, 30.0, 40.0]
    assert ttft_content_ms(traces).tolist() == [20.0, 40.0]
    assert ttft_reasoning_ms(traces).tolist() == [10.0]
    assert ttft_tool_ms(traces).tolist() == [30.0]


@given(st.lists(rows(), max_size=8))
def test_where_all_text_is_content_its_first_token_is_the_first_token(some: list[Row]) -> None:
    traces = traces_of(some, open_loop=True)
    assert ttft_content_ms(traces).tolist() == ttft_ms(traces).tolist()
    assert not ttft_reasoning_ms(traces).size
    assert not ttft_tool_ms(traces).size

"""The wait for the first token: where it counts from."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.metrics.end_to_end import e2e_from_send_ms, e2e_ms
from pytest_inferbench.metrics.first_token import ttft_from_send_ms, ttft_ms
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

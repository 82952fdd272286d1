"""Requests that are good, each by itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.metrics.goodput import good_requests
from tests.traces import MS, Row, lost, rows, streamed, traces_of


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

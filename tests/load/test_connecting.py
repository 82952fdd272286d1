"""Waits for connections, worked out by hand."""

from __future__ import annotations

import numpy as np

from pytest_inferbench.load.connecting import connection_use
from pytest_inferbench.load.trace import Ints
from tests.traces import MS, Row, lost, streamed, traces_of


def waits(*waits_ms: int) -> Ints:
    return np.array(waits_ms, dtype=np.int64) * MS


def test_only_requests_that_opened_a_connection_have_a_wait_for_it() -> None:
    use = connection_use(traces_of([streamed()] * 4), waits(0, 1, 0, 3))
    assert (use.opened, use.wait_ms_p50, use.wait_ms_max) == (2, 2.0, 3.0)
    assert 2.9 < use.wait_ms_p99 <= 3.0


def test_an_open_loops_time_to_first_token_has_the_wait_in_it_and_a_closed_loops_has_not() -> None:
    # Due at 0, sent after 25 ms, the first token at 125 ms.
    row = Row(intended_ns=0, sent_ns=25 * MS, events=((125 * MS, 1),))
    assert connection_use(traces_of([row, streamed()], open_loop=True), waits(25, 0)).ttft_share == 0.2
    assert connection_use(traces_of([row, streamed()]), waits(25, 0)).ttft_share is None


def test_where_no_request_with_a_connection_of_its_own_has_a_token_there_is_no_share() -> None:
    assert connection_use(traces_of([lost(), streamed()], open_loop=True), waits(5, 0)).ttft_share is None


def test_the_clients_own_lag_is_what_is_left_without_the_waits_for_cap_and_connection() -> None:
    rows = [Row(intended_ns=0, sent_ns=10 * MS, cap_wait_ns=3 * MS), lost(sent_ns=-1)]
    assert connection_use(traces_of(rows, open_loop=True), waits(5, 0)).own_lag_ms_p99 == 2.0
    assert connection_use(traces_of(rows), waits(5, 0)).own_lag_ms_p99 == 0.0


def test_without_requests_there_is_nothing_to_tell() -> None:
    use = connection_use(traces_of([], open_loop=True), waits())
    assert (use.opened, use.wait_ms_p50, use.wait_ms_p99, use.wait_ms_max) == (0, 0.0, 0.0, 0.0)
    assert (use.ttft_share, use.own_lag_ms_p99) == (None, 0.0)

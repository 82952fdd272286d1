"""Where latencies count from, and who completed."""

from __future__ import annotations

from pytest_inferbench.load.trace import Outcome
from tests.traces import Row, lost, traces_of

ROWS = [Row(intended_ns=5, sent_ns=9), lost(Outcome.TIMED_OUT, sent_ns=20)]


def test_latencies_count_from_the_intended_send_in_an_open_loop_and_from_the_send_in_a_closed_one() -> None:
    assert traces_of(ROWS, open_loop=True).start_ns.tolist() == [5, 20]
    assert traces_of(ROWS, open_loop=False).start_ns.tolist() == [9, 20]


def test_completed_are_those_with_that_outcome() -> None:
    traces = traces_of(ROWS)
    assert traces.completed.tolist() == [True, False]
    assert len(traces) == 2

"""The books and the window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.load.trace import MISSING, Outcome
from pytest_inferbench.metrics.summarise import summarise
from pytest_inferbench.metrics.totals import window_s
from tests.traces import MS, Row, lost, rows, streamed, traces_of


def test_the_window_runs_from_the_first_send_to_the_last_end_of_any_request() -> None:
    traces = traces_of([streamed(sent_ns=5 * MS), lost(sent_ns=2 * MS), lost(sent_ns=900 * MS)])
    assert window_s(traces) == pytest.approx(0.899)


def test_a_request_never_sent_does_not_move_the_window() -> None:
    traces = traces_of([streamed(sent_ns=5 * MS), lost(Outcome.CANCELLED)])
    never_sent = replace(traces, send_ns=np.array([5 * MS, MISSING]), end_ns=np.array([traces.end_ns[0], MISSING]))
    assert window_s(never_sent) == window_s(traces_of([streamed(sent_ns=5 * MS)]))


@given(st.lists(rows(), max_size=8))
def test_every_request_is_on_the_books_once(some: list[Row]) -> None:
    counts = summarise(traces_of(some)).counts
    assert counts.attempted == counts.completed + counts.failed + counts.timed_out + counts.cancelled == len(some)

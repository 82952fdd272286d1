"""Traces that cannot be true are found before anything is judged by them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.load.trace import MISSING
from pytest_inferbench.metrics.books import contradictions
from tests.traces import MS, Row, lost, rows, streamed, traces_of


@given(st.lists(rows(), max_size=8), st.booleans())
def test_books_in_order_have_no_contradictions(some: list[Row], open_loop: bool) -> None:
    assert contradictions(traces_of(some, open_loop=open_loop)) == ()


def test_a_request_with_an_unknown_outcome_is_missed() -> None:
    traces = replace(traces_of([streamed(), lost()]), outcome=np.array([0, 7]))
    assert contradictions(traces) == ("2 requests were attempted, but 1 are accounted for",)


def test_time_that_runs_backwards_is_named() -> None:
    traces = traces_of([streamed(sent_ns=10 * MS), streamed(sent_ns=10 * MS)])
    before = replace(traces, first_token_ns=np.array([1 * MS, 2 * MS]))
    assert contradictions(before)[0] == "request r0 and 1 more has its first_token_ns before what must come earlier"


def test_a_completed_request_that_was_never_sent_is_named() -> None:
    traces = replace(traces_of([streamed()]), send_ns=np.array([MISSING]))
    assert contradictions(traces) == ("request r0 completed without having been sent and ended",)


def test_tokens_that_do_not_add_up_are_named() -> None:
    assert contradictions(traces_of([Row(events=((MS, 1), (2 * MS, 1)), output_tokens=3)])) == (
        "request r0 has events whose tokens do not add up to its output tokens",
    )

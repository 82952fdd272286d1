"""How long an answer takes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.metrics.end_to_end import e2e_from_send_ms, e2e_ms
from pytest_inferbench.metrics.first_token import ttft_ms
from pytest_inferbench.metrics.output_token import tpot_ms
from tests.traces import MS, Row, rows, traces_of


def test_e2e_ends_at_the_last_token_and_at_the_end_of_an_answer_without_tokens() -> None:
    row = Row(intended_ns=0, sent_ns=10 * MS, events=((100 * MS, 1), (200 * MS, 1)), end_ns=900 * MS)
    empty = Row(intended_ns=0, sent_ns=10 * MS, end_ns=50 * MS)
    assert e2e_ms(traces_of([row, empty], open_loop=True)).tolist() == [200.0, 50.0]
    assert e2e_from_send_ms(traces_of([row, empty], open_loop=True)).tolist() == [190.0, 40.0]


@given(st.lists(rows(), max_size=8), st.booleans())
def test_ttft_then_tokens_is_e2e(some: list[Row], open_loop: bool) -> None:
    traces = traces_of(some, open_loop=open_loop)
    has_two = traces.completed & np.greater_equal(traces.output_tokens, 2)
    tokens_after_first = traces.output_tokens[has_two] - 1
    of_completed = np.greater_equal(traces.output_tokens[traces.completed], 2)
    parts = ttft_ms(traces)[of_completed] + tpot_ms(traces) * tokens_after_first
    assert parts == pytest.approx(e2e_ms(traces)[of_completed], rel=1e-9, abs=1e-6)

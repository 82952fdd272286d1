"""What was carried, over the time it took."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.load.trace import MISSING, Outcome
from pytest_inferbench.metrics.summarise import summarise
from tests.traces import MS, Row, rows, streamed, traces_of


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


def test_unknown_prompt_tokens_make_input_throughput_unknown_and_not_smaller() -> None:
    summary = summarise(traces_of([streamed(), Row(prompt_tokens=MISSING, end_ns=MS)]))
    assert np.isnan(summary.scalars["input_throughput"])
    assert np.isnan(summary.scalars["total_throughput"])
    assert summary.prompt_tokens == 16
    assert summary.scalars["output_throughput"] > 0


def test_unknown_output_tokens_make_output_throughput_unknown_and_not_smaller() -> None:
    summary = summarise(traces_of([streamed(), Row(output_tokens=MISSING, end_ns=MS), Row(output_tokens=0, end_ns=MS)]))
    assert np.isnan(summary.scalars["output_throughput"])
    assert np.isnan(summary.scalars["total_throughput"])
    assert summary.output_tokens == 8
    assert summary.scalars["input_throughput"] > 0
    assert summary.distributions["e2e"].count == 3

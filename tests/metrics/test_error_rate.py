"""The share of requests that did not complete."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.load.trace import Outcome
from pytest_inferbench.metrics.summarise import summarise
from tests.traces import Row, rows, traces_of


@given(st.lists(rows(), min_size=1, max_size=8))
def test_error_rate_is_the_share_that_did_not_complete(some: list[Row]) -> None:
    done = sum(row.outcome is Outcome.COMPLETED for row in some)
    assert summarise(traces_of(some)).scalars["error_rate"] == pytest.approx(1 - done / len(some))

"""Time per output token."""

from __future__ import annotations

import pytest

from pytest_inferbench.metrics.output_token import tpot_ms
from tests.traces import MS, Row, traces_of


def test_tpot_is_the_time_after_the_first_token_over_the_tokens_after_it() -> None:
    row = Row(events=((100 * MS, 1), (160 * MS, 3), (200 * MS, 1)))
    assert tpot_ms(traces_of([row])).tolist() == [25.0]


@pytest.mark.parametrize("events", [(), ((100 * MS, 1),)])
def test_tpot_needs_two_tokens(events: tuple[tuple[int, int], ...]) -> None:
    assert tpot_ms(traces_of([Row(events=events)])).tolist() == []

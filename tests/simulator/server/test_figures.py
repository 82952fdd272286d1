from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.simulator.server.figures import LATE_S, Figures, Histogram


@given(st.lists(st.floats(0, 1e6)))
def test_a_histogram_counts_everything_once_below_its_bound(values: list[float]) -> None:
    histogram = Histogram([1, 10, 100])
    for value in values:
        histogram.observe(value)
    assert histogram.count == len(values)
    assert histogram.counts[0] == sum(value <= 1 for value in values)
    assert histogram.counts[-1] == sum(value > 100 for value in values)


def test_a_token_is_late_from_two_milliseconds_on() -> None:
    figures = Figures()
    assert [figures.token(0.1, late_s) for late_s in (-1.0, 0.0, LATE_S, LATE_S * 1.01)] == [False, False, False, True]
    assert (figures.tokens, figures.late_tokens) == (4, 1)
    assert figures.lateness.count == figures.after_step_end.count == 4
    assert figures.lateness.sum == pytest.approx(LATE_S * 2.01)


def test_steps_are_counted_and_the_late_ones_among_them() -> None:
    figures = Figures()
    figures.step(late=False)
    figures.step(late=True)
    assert (figures.steps, figures.late_steps) == (2, 1)

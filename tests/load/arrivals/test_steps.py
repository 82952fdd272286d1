"""Arrivals whose rate goes from level to level."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_inferbench.load.arrivals import ARRIVALS
from pytest_inferbench.load.arrivals.steps import levels_per_s, steps
from tests.load.ramps import assert_counts, due_s, ramp


@pytest.mark.parametrize(
    ("first", "number", "levels"),
    [(10.0, 3, [10, 105, 200]), (None, 4, [50, 100, 150, 200]), (200.0, 2, [200, 200]), (0.0, 2, [0, 200])],
)
def test_a_ramp_in_steps_stays_on_each_level_for_the_same_time(first: float | None, number: int, levels: list[float]) -> None:
    load = ramp("steps", first, steps=number)
    assert levels_per_s(load).tolist() == levels
    length = 100 / number
    expected = np.concatenate(([0], np.cumsum(levels) * length))
    edges = np.linspace(0, 100, number * 3 + 1).tolist()
    assert_counts(due_s(load), edges, lambda t: float(np.interp(t, np.arange(number + 1) * length, expected)))


def test_it_is_found_by_name() -> None:
    assert ARRIVALS["steps"] is steps

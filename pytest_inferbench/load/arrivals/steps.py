"""Arrivals whose rate goes from level to level, each for the same time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.cases.case import Load
from pytest_inferbench.load.arrivals.ramp import Floats, ramp_s, ramped


def levels_per_s(load: Load) -> Floats:
    """
    The rates of a ramp in steps: from ``ramp_from`` to ``rate``, evenly.

    Without ``ramp_from`` the first level is one step above 0.
    """
    number, last = load.steps or 1, load.rate_per_s or 0.0
    first = last / number if load.ramp_from_per_s is None else load.ramp_from_per_s
    return np.linspace(first, last, number, dtype=np.float64)


def steps(load: Load, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """Offsets in ns of a Poisson process whose rate is constant within each step; the steps are equally long."""
    levels = levels_per_s(load)
    step_s = ramp_s(load, float(levels.mean())) / len(levels)
    ends_s = step_s * np.arange(len(levels) + 1)
    expected = np.concatenate(([0.0], np.cumsum(levels * step_s)))

    def until(count: Floats) -> Floats:
        return np.asarray(np.interp(count, expected, ends_s), dtype=np.float64)

    return ramped(load, rng, until=until, expected=float(expected[-1]))

"""Loads whose rate changes, and how many requests are expected of them, for the tests of arrivals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pytest_inferbench.cases.case import Load
from pytest_inferbench.load.instants import instants

Expected = Callable[[float], float]


def due_s(load: Load, seed: int = 1) -> np.ndarray:
    return np.array(list(instants(load, np.random.default_rng(seed))), dtype=np.int64) / 1e9


def ramp(arrival: Any, first: float | None = 10.0, last: float = 200.0, **load: Any) -> Load:
    load = {"requests": None, "duration_s": 100.0, "steps": 4 if arrival == "steps" else None, **load}
    return Load(rate_per_s=last, ramp_from_per_s=first, arrival=arrival, **load)


def assert_counts(due: np.ndarray, edges: Sequence[float], expected: Expected) -> None:
    """The counts between ``edges`` are those of a Poisson process that has ``expected(t)`` requests up to t."""
    counts = np.histogram(due, edges)[0]
    means = np.diff([expected(edge) for edge in edges])
    # Six standard deviations in each of a few segments: one false alarm in some 10^8.
    assert (np.abs(counts - means) < 6 * np.sqrt(means) + 1).all(), (counts, means)

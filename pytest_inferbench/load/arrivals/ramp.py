"""
What all ramps have in common: a Poisson process whose rate moves from one value to another, and stays there.

Rule: times and rates of a ramp are in seconds and requests a second; a ramp only says how many requests are expected up to a
time, and the time by which so many are expected, and everything random is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.cases.case import Load
from pytest_inferbench.load.arrivals.renewal import renewals

Floats = NDArray[np.float64]


def ramp_s(load: Load, mean_rate_per_s: float) -> float:
    """How long a ramp lasts: the load's duration, else the time in which its requests are expected."""
    return load.duration_s if load.duration_s is not None else (load.requests or 0) / mean_rate_per_s


def ramped(load: Load, rng: np.random.Generator, *, until: Callable[[Floats], Floats], expected: float) -> Iterator[Floats]:
    """
    Blocks of offsets in ns of a Poisson process whose rate changes over time.

    Arrivals of a process of rate 1 are mapped by ``until``, which says by what time (s) so many requests are expected. After
    ``expected`` requests the ramp is over, and the rate stays ``rate_per_s``. (Inversion of the cumulative rate: E. Çinlar,
    Introduction to Stochastic Processes, 1975.)
    """
    rate_per_s = load.rate_per_s or 0
    end_s = float(until(np.array([expected]))[0])
    for unit in renewals(lambda count: rng.exponential(size=count)):
        within_s = until(np.minimum(unit, expected))
        yield 1e9 * np.where(unit <= expected, within_s, end_s + (unit - expected) / rate_per_s)

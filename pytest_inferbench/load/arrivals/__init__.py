"""
When the requests of an open loop are to be sent; decided before the load starts, and never shifted by a late answer.

Rule: an arrival process goes on for ever and knows no number of requests; `instants` cuts it where the load ends. So the same
seed gives the same beginning, however long the load is.

A new arrival process is one new module with an `Arrivals`, and one line in `ARRIVALS`. (A closed loop has no times of its
own: its users send when their last answer has come.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.cases.case import Load
from pytest_inferbench.load.arrivals.constant import constant
from pytest_inferbench.load.arrivals.exponential import exponential
from pytest_inferbench.load.arrivals.gamma import gamma
from pytest_inferbench.load.arrivals.linear import linear
from pytest_inferbench.load.arrivals.poisson import poisson
from pytest_inferbench.load.arrivals.steps import steps

Arrivals = Callable[[Load, np.random.Generator], Iterator[NDArray[np.float64]]]
"""(load, generator) -> endless blocks of offsets from the start in ns, ascending within and between blocks."""

ARRIVALS: dict[str, Arrivals] = {
    "constant": constant,
    "exponential": exponential,
    "gamma": gamma,
    "linear": linear,
    "poisson": poisson,
    "steps": steps,
}

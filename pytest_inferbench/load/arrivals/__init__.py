"""
When the requests of an open loop are to be sent; computed before the load starts, and never shifted by a late answer.

A new arrival process is one new module with an `Arrivals`, and one line in `ARRIVALS`. (A closed loop has no times of its
own: its users send when their last answer has come.)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.load.arrivals.constant import constant
from pytest_inferbench.load.arrivals.poisson import poisson

Arrivals = Callable[[float, int, np.random.Generator], NDArray[np.int64]]
"""(rate in requests a second, number of requests, generator) -> offsets from the start in ns, ascending."""

ARRIVALS: dict[str, Arrivals] = {"constant": constant, "poisson": poisson}

"""Arrivals whose gaps are drawn independently of each other, one block after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

BLOCK = 4096


def renewals(draw: Callable[[int], NDArray[np.float64]]) -> Iterator[NDArray[np.float64]]:
    """
    Endless blocks of running sums of gaps; ``draw`` gives so many gaps, in any unit.

    The first arrival comes after the first gap, as a renewal process says, not at 0.
    """
    last = 0.0
    while True:
        block = last + np.cumsum(draw(BLOCK))
        yield block
        last = float(block[-1])

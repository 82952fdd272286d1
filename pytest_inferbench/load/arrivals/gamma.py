"""Arrivals in bursts, or more evenly than by chance."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.cases.case import Load
from pytest_inferbench.load.arrivals.renewal import renewals


def gamma(load: Load, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """
    Offsets in ns: gaps are gamma distributed with mean 1 / rate and shape ``burstiness``; all at 0 for an infinite rate.

    The coefficient of variation of the gaps is 1 / sqrt(burstiness): at 1 this is a Poisson process, below it requests come in
    bursts, above it more evenly. ``burstiness`` means the same in ``vllm bench serve``.
    """
    scale_ns = 1e9 / ((load.rate_per_s or 0) * load.burstiness)
    return renewals(lambda count: rng.gamma(load.burstiness, scale_ns, size=count))

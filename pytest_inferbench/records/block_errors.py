"""
How sure each figure of one run is, by the blocks of requests within it.

Rule: an estimate or nothing. Requests of one queue depend on each other, so they are never taken one by one: what is compared are
blocks of neighbours, in the order of the plan. It says nothing of how runs differ.
"""

from __future__ import annotations

from math import isfinite, nan, sqrt
from statistics import stdev

import numpy as np

from pytest_inferbench.load.trace import Traces
from pytest_inferbench.metrics.metric import Kind, Samples
from pytest_inferbench.metrics.registry import LATENCIES, SCALARS
from pytest_inferbench.metrics.summary import Counts
from pytest_inferbench.objectives.percentile import statistic_of

BLOCKS = 10
SAMPLES_MIN = {"mean": 2 * BLOCKS, "p50": 10 * BLOCKS, "p90": 50 * BLOCKS, "p95": 100 * BLOCKS, "p99": 500 * BLOCKS}
"""So that every block has five values beyond its percentile: with fewer, blocks are more alike than runs, and say too little. The
largest of all says nothing of how large the next one would be."""


def block_errors(traces: Traces) -> dict[str, float]:
    """
    The standard error of each figure as a share of it, by name (``ttft_p99``, ``output_throughput``), where it is known.

    Latencies: that of the mean of the figures x_b of 10 blocks: sqrt(sum (x_b - mean)^2 / 9 / 10) / x. Throughput of a closed
    loop: that of the mean end-to-end latency, since users / throughput = latency (Little); of an open one, its plan decides.
    """
    found: dict[str, float] = {}
    for latency in LATENCIES:
        samples = latency.compute(traces)
        enough = [each for each, least in SAMPLES_MIN.items() if samples.size >= least]
        found |= {f"{latency.name}_{each}": _error(samples, each) for each in enough}
    if not traces.open_loop and "e2e_mean" in found:
        found |= {scalar.name: found["e2e_mean"] for scalar in SCALARS if scalar.kind is Kind.THROUGHPUT}
    return {name: value for name, value in found.items() if isfinite(value)}


def share_error(counts: Counts) -> float:
    """
    The standard error of the share of requests that did not complete, which is not 0 where none is lost.

    Sqrt(p (1 - p) / n) with p = (lost + 1/2) / (n + 1), Jeffreys' estimate; NaN where nothing was attempted.
    """
    attempted = counts.attempted
    if not attempted:
        return nan
    share = (attempted - counts.completed + 0.5) / (attempted + 1)
    return sqrt(share * (1 - share) / attempted)


def _error(samples: Samples, statistic: str) -> float:
    whole = statistic_of(samples, statistic, endless=0)
    values = [statistic_of(block, statistic, endless=0) for block in np.array_split(samples, BLOCKS)]
    return stdev(values) / sqrt(BLOCKS) / whole if whole > 0 else nan

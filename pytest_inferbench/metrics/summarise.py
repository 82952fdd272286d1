"""From traces to the figures of a case."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_inferbench.load.trace import Traces
from pytest_inferbench.metrics.distribution import distribution
from pytest_inferbench.metrics.goodput import good_requests
from pytest_inferbench.metrics.registry import LATENCIES, SCALARS
from pytest_inferbench.metrics.summary import Summary
from pytest_inferbench.metrics.totals import total


def summarise(traces: Traces, *, goodput_limits: Mapping[str, float] | None = None) -> Summary:
    """
    All figures of a case.

    ``goodput_limits`` maps per-request latency metrics to the largest good value in the metric's unit; without it every
    completed request is a good one. Figures without a value (no completed request, unknown prompt tokens) are NaN.
    """
    totals = total(traces, good=good_requests(traces, goodput_limits or {}))
    return Summary(
        counts=totals.counts,
        window_s=totals.window_s,
        prompt_tokens=totals.prompt_tokens,
        output_tokens=totals.output_tokens,
        distributions={latency.name: distribution(latency.compute(traces)) for latency in LATENCIES},
        scalars={scalar.name: scalar.compute(totals) for scalar in SCALARS},
    )

"""Requests a second that were good enough, each by itself."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pytest_inferbench.load.trace import Traces
from pytest_inferbench.metrics.end_to_end import E2E, E2E_FROM_SEND
from pytest_inferbench.metrics.first_token import TTFT, TTFT_FROM_SEND
from pytest_inferbench.metrics.metric import Better, Kind, Latency, Mask, Scalar
from pytest_inferbench.metrics.output_token import TPOT
from pytest_inferbench.metrics.totals import Totals

LIMITABLE: Mapping[str, Latency] = {metric.name: metric for metric in (TTFT, TTFT_FROM_SEND, TPOT, E2E, E2E_FROM_SEND)}


def good_requests(traces: Traces, limits: Mapping[str, float]) -> int:
    """How many requests are good; see `good_mask`."""
    return int(np.count_nonzero(good_mask(traces, limits)))


def good_mask(traces: Traces, limits: Mapping[str, float]) -> Mask:
    """
    Which requests completed and were at or under every limit; shape n.

    ``limits`` maps names of `LIMITABLE` to the largest good value, in the metric's unit. A request without a first token is not
    good where ``ttft`` has a limit; one with fewer than two tokens has no ``tpot``, and its limit does not bind.

    Raises:
        KeyError: a limit is on a metric that a single request does not have.
    """
    good = traces.completed.copy()
    for name, limit in limits.items():
        good &= _within(traces, LIMITABLE[name], limit=limit)
    return good


def _within(traces: Traces, metric: Latency, *, limit: float) -> Mask:
    has_value = metric.has(traces)
    # Without a second token there is nothing to wait for; without a first one there is everything.
    within = np.full(len(traces), metric is TPOT)
    within[has_value] = metric.compute(traces) <= limit
    return within


def goodput(totals: Totals) -> float:
    """Good requests a second: good / window_s."""
    return totals.per_s(totals.good)


GOODPUT = Scalar(
    name="goodput",
    title="goodput",
    unit="req/s",
    formula="completed requests that meet the limit of every ttft, tpot and e2e objective of the case, each by itself / window_s",
    better=Better.BIGGER,
    kind=Kind.THROUGHPUT,
    compute=goodput,
)

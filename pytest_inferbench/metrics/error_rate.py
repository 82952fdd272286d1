"""The share of requests that did not complete."""

from __future__ import annotations

from math import nan

from pytest_inferbench.metrics.metric import Better, Kind, Scalar
from pytest_inferbench.metrics.totals import Totals


def error_rate(totals: Totals) -> float:
    """The share of requests that did not complete: (failed + timed_out + cancelled) / attempted; NaN without requests."""
    counts = totals.counts
    lost = counts.failed + counts.timed_out + counts.cancelled
    return lost / counts.attempted if counts.attempted else nan


ERROR_RATE = Scalar(
    name="error_rate",
    title="error rate",
    unit="1",
    formula="(failed + timed_out + cancelled) / attempted",
    better=Better.SMALLER,
    kind=Kind.RATIO,
    compute=error_rate,
)

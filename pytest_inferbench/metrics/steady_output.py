"""What was carried while the load was steady, and how long it was."""

from __future__ import annotations

from math import nan

from pytest_inferbench.metrics.metric import Better, Kind, Scalar
from pytest_inferbench.metrics.totals import Totals


def steady_output_throughput(totals: Totals) -> float:
    """
    Output tokens a second in the steady window; NaN where the load never was steady, or answers did not come token by token.

    steady_output_tokens / steady_window_s
    """
    return nan if totals.steady_output_tokens is None else totals.steady_output_tokens / totals.steady_window_s


def steady_window_length(totals: Totals) -> float:
    """How long the load was steady, in seconds (see `metrics.steady`); NaN where it never was."""
    return totals.steady_window_s


STEADY_OUTPUT_THROUGHPUT = Scalar(
    name="steady_output_throughput",
    title="output token throughput while steady",
    unit="tok/s",
    formula="tokens of completed requests that came in the steady window / its length",
    better=Better.BIGGER,
    kind=Kind.THROUGHPUT,
    compute=steady_output_throughput,
    of_output=True,
)
STEADY_WINDOW = Scalar(
    name="steady_window",
    title="length of the steady window",
    unit="s",
    formula="(end - start of the steady window) / 1e9",
    better=Better.BIGGER,
    kind=Kind.LENGTH,
    compute=steady_window_length,
)

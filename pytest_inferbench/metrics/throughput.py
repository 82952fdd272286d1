"""Requests and tokens a second: what completed requests carried, over the whole window."""

from __future__ import annotations

from math import nan

from pytest_inferbench.metrics.metric import Better, Kind, Scalar
from pytest_inferbench.metrics.totals import Totals


def request_throughput(totals: Totals) -> float:
    """Completed requests a second: completed / window_s."""
    return totals.per_s(totals.counts.completed)


def input_throughput(totals: Totals) -> float:
    """Prompt tokens of completed requests a second; NaN where any of them is not known: prompt_tokens / window_s."""
    return nan if totals.prompt_tokens_unknown else totals.per_s(totals.prompt_tokens)


def output_throughput(totals: Totals) -> float:
    """Output tokens of completed requests a second; NaN where any of them is not known: output_tokens / window_s."""
    return nan if totals.output_tokens_unknown else totals.per_s(totals.output_tokens)


def total_throughput(totals: Totals) -> float:
    """Prompt and output tokens of completed requests a second: (prompt_tokens + output_tokens) / window_s."""
    unknown = totals.prompt_tokens_unknown or totals.output_tokens_unknown
    return nan if unknown else totals.per_s(totals.prompt_tokens + totals.output_tokens)


REQUEST_THROUGHPUT = Scalar(
    name="request_throughput",
    title="request throughput",
    unit="req/s",
    formula="completed / window_s",
    better=Better.BIGGER,
    kind=Kind.THROUGHPUT,
    compute=request_throughput,
)
INPUT_THROUGHPUT = Scalar(
    name="input_throughput",
    title="input token throughput",
    unit="tok/s",
    formula="sum of prompt_tokens of completed requests / window_s",
    better=Better.BIGGER,
    kind=Kind.THROUGHPUT,
    compute=input_throughput,
)
OUTPUT_THROUGHPUT = Scalar(
    name="output_throughput",
    title="output token throughput",
    unit="tok/s",
    formula="sum of output_tokens of completed requests / window_s",
    better=Better.BIGGER,
    kind=Kind.THROUGHPUT,
    compute=output_throughput,
    of_output=True,
)
TOTAL_THROUGHPUT = Scalar(
    name="total_throughput",
    title="total token throughput",
    unit="tok/s",
    formula="sum of prompt_tokens + output_tokens of completed requests / window_s",
    better=Better.BIGGER,
    kind=Kind.THROUGHPUT,
    compute=total_throughput,
)

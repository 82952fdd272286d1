"""Time per output token."""

from __future__ import annotations

import numpy as np

from pytest_inferbench.load.trace import MISSING, Traces
from pytest_inferbench.metrics.metric import Better, Kind, Latency, Mask, Samples


def tpot_ms(traces: Traces) -> Samples:
    """
    Mean time per output token after the first, of each completed request with at least two, in milliseconds.

    (last_token_ns - first_token_ns) / (output_tokens - 1) / 1e6
    """
    has_two = has_second_token(traces)
    length_ns = traces.last_token_ns[has_two] - traces.first_token_ns[has_two]
    return length_ns / (traces.output_tokens[has_two] - 1) / 1e6


def has_second_token(traces: Traces) -> Mask:
    """Which completed requests have a time per output token; shape n."""
    return traces.completed & np.greater_equal(traces.output_tokens, 2) & np.not_equal(traces.first_token_ns, MISSING)


TPOT = Latency(
    name="tpot",
    title="time per output token",
    unit="ms",
    formula="(last_token_ns - first_token_ns) / (output_tokens - 1) / 1e6, requests with at least 2 output tokens",
    better=Better.SMALLER,
    kind=Kind.PER_REQUEST,
    compute=tpot_ms,
    has=has_second_token,
)

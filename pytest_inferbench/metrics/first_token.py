"""Time to first token."""

from __future__ import annotations

import numpy as np

from pytest_inferbench.load.trace import MISSING, Ints, Traces
from pytest_inferbench.metrics.metric import Better, Kind, Latency, Samples


def ttft_ms(traces: Traces) -> Samples:
    """
    Time to first token of each completed request that gave one, in milliseconds.

    (first_token_ns - start_ns) / 1e6
    """
    return _since(traces, traces.start_ns)


def ttft_from_send_ms(traces: Traces) -> Samples:
    """
    Time to first token counted from the actual send, in milliseconds.

    (first_token_ns - send_ns) / 1e6
    """
    return _since(traces, traces.send_ns)


def _since(traces: Traces, start_ns: Ints) -> Samples:
    has_token = traces.completed & np.not_equal(traces.first_token_ns, MISSING)
    return (traces.first_token_ns[has_token] - start_ns[has_token]) / 1e6


TTFT = Latency(
    name="ttft",
    title="time to first token",
    unit="ms",
    formula="(first_token_ns - start_ns) / 1e6, start = intended send (open loop) or send (closed loop)",
    better=Better.SMALLER,
    kind=Kind.PER_REQUEST,
    compute=ttft_ms,
)
TTFT_FROM_SEND = Latency(
    name="ttft_from_send",
    title="time to first token from the actual send",
    unit="ms",
    formula="(first_token_ns - send_ns) / 1e6",
    better=Better.SMALLER,
    kind=Kind.PER_REQUEST,
    compute=ttft_from_send_ms,
)

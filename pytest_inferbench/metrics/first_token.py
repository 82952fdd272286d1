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


def ttft_content_ms(traces: Traces) -> Samples:
    """
    Time to the first token of content, which is what a person reads, of each completed request that has one, in milliseconds.

    (first_content_ns - start_ns) / 1e6
    """
    return _since(traces, traces.start_ns, first_ns=traces.first_content_ns)


def ttft_reasoning_ms(traces: Traces) -> Samples:
    """
    Time to the first token of reasoning of each completed request that has one, in milliseconds.

    (first_reasoning_ns - start_ns) / 1e6
    """
    return _since(traces, traces.start_ns, first_ns=traces.first_reasoning_ns)


def ttft_tool_ms(traces: Traces) -> Samples:
    """
    Time to the first token of a tool call of each completed request that has one, in milliseconds.

    (first_tool_ns - start_ns) / 1e6
    """
    return _since(traces, traces.start_ns, first_ns=traces.first_tool_ns)


def _since(traces: Traces, start_ns: Ints, *, first_ns: Ints | None = None) -> Samples:
    first_ns = traces.first_token_ns if first_ns is None else first_ns
    has_token = traces.completed & np.not_equal(first_ns, MISSING)
    return (first_ns[has_token] - start_ns[has_token]) / 1e6


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
TTFT_CONTENT = Latency(
    name="ttft_content",
    title="time to first token of content",
    unit="ms",
    formula="(first_content_ns - start_ns) / 1e6, start as for ttft",
    better=Better.SMALLER,
    kind=Kind.PER_REQUEST,
    compute=ttft_content_ms,
)
TTFT_REASONING = Latency(
    name="ttft_reasoning",
    title="time to first token of reasoning",
    unit="ms",
    formula="(first_reasoning_ns - start_ns) / 1e6, start as for ttft",
    better=Better.SMALLER,
    kind=Kind.PER_REQUEST,
    compute=ttft_reasoning_ms,
)
TTFT_TOOL = Latency(
    name="ttft_tool",
    title="time to first token of a tool call",
    unit="ms",
    formula="(first_tool_ns - start_ns) / 1e6, start as for ttft",
    better=Better.SMALLER,
    kind=Kind.PER_REQUEST,
    compute=ttft_tool_ms,
)

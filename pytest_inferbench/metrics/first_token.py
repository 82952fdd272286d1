"""Time to first token."""

from __future__ import annotations

import numpy as np

from pytest_inferbench.load.trace import MISSING, Ints, Traces
from pytest_inferbench.metrics.metric import Better, Kind, Latency, Mask, Samples


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
    has_token = _has(traces, first_ns)
    return (first_ns[has_token] - start_ns[has_token]) / 1e6


def has_first_token(traces: Traces) -> Mask:
    """Which completed requests gave a token; shape n."""
    return _has(traces, traces.first_token_ns)


def has_content(traces: Traces) -> Mask:
    """Which completed requests gave a token of content; shape n."""
    return _has(traces, traces.first_content_ns)


def has_reasoning(traces: Traces) -> Mask:
    """Which completed requests gave a token of reasoning; shape n."""
    return _has(traces, traces.first_reasoning_ns)


def has_tool_call(traces: Traces) -> Mask:
    """Which completed requests gave a token of a tool call; shape n."""
    return _has(traces, traces.first_tool_ns)


def _has(traces: Traces, first_ns: Ints) -> Mask:
    return traces.completed & np.not_equal(first_ns, MISSING)


TTFT = Latency(
    name="ttft",
    title="time to first token",
    unit="ms",
    formula="(first_token_ns - start_ns) / 1e6, start = intended send (open loop) or send (closed loop)",
    better=Better.SMALLER,
    kind=Kind.PER_REQUEST,
    compute=ttft_ms,
    has=has_first_token,
)
TTFT_FROM_SEND = Latency(
    name="ttft_from_send",
    title="time to first token from the actual send",
    unit="ms",
    formula="(first_token_ns - send_ns) / 1e6",
    better=Better.SMALLER,
    kind=Kind.PER_REQUEST,
    compute=ttft_from_send_ms,
    has=has_first_token,
)
TTFT_CONTENT = Latency(
    name="ttft_content",
    title="time to first token of content",
    unit="ms",
    formula="(first_content_ns - start_ns) / 1e6, start as for ttft",
    better=Better.SMALLER,
    kind=Kind.PER_REQUEST,
    compute=ttft_content_ms,
    has=has_content,
)
TTFT_REASONING = Latency(
    name="ttft_reasoning",
    title="time to first token of reasoning",
    unit="ms",
    formula="(first_reasoning_ns - start_ns) / 1e6, start as for ttft",
    better=Better.SMALLER,
    kind=Kind.PER_REQUEST,
    compute=ttft_reasoning_ms,
    has=has_reasoning,
)
TTFT_TOOL = Latency(
    name="ttft_tool",
    title="time to first token of a tool call",
    unit="ms",
    formula="(first_tool_ns - start_ns) / 1e6, start as for ttft",
    better=Better.SMALLER,
    kind=Kind.PER_REQUEST,
    compute=ttft_tool_ms,
    has=has_tool_call,
)

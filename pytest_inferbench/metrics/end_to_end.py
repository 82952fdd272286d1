"""End-to-end latency."""

from __future__ import annotations

import numpy as np

from pytest_inferbench.load.trace import MISSING, Ints, Traces
from pytest_inferbench.metrics.metric import Better, Kind, Latency, Mask, Samples


def e2e_ms(traces: Traces) -> Samples:
    """
    How long each completed request took until its last token, in milliseconds.

    (last_token_ns - start_ns) / 1e6, with end_ns in place of last_token_ns where the answer had no token. The usage event and
    the end of the stream after the last token are not waited for: nobody who reads the answer does.
    """
    return _since(traces, traces.start_ns)


def e2e_from_send_ms(traces: Traces) -> Samples:
    """
    The same counted from the actual send, in milliseconds.

    (last_token_ns - send_ns) / 1e6
    """
    return _since(traces, traces.send_ns)


def _since(traces: Traces, start_ns: Ints) -> Samples:
    done = traces.completed
    finish_ns = np.where(traces.last_token_ns == MISSING, traces.end_ns, traces.last_token_ns)
    return (finish_ns[done] - start_ns[done]) / 1e6


def completed(traces: Traces) -> Mask:
    """Which requests have an end that counts; shape n."""
    return traces.completed


E2E = Latency(
    name="e2e",
    title="end-to-end latency",
    unit="ms",
    formula="(last_token_ns - start_ns) / 1e6, start as for ttft; end_ns where the answer had no token",
    better=Better.SMALLER,
    kind=Kind.PER_REQUEST,
    compute=e2e_ms,
    has=completed,
    of_stream=False,
)
E2E_FROM_SEND = Latency(
    name="e2e_from_send",
    title="end-to-end latency from the actual send",
    unit="ms",
    formula="(last_token_ns - send_ns) / 1e6; end_ns where the answer had no token",
    better=Better.SMALLER,
    kind=Kind.PER_REQUEST,
    compute=e2e_from_send_ms,
    has=completed,
    of_stream=False,
)

"""
What requests waited for their connections, on its own: neither the client's lateness nor the server's work on an answer.

Rule: pure; whether a wait could change a verdict is decided in `audit`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_inferbench.load.trace import MISSING, Ints, Traces


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionUse:
    """
    The connections that measured requests opened; the others went out on one that an earlier answer had left open.

    Attributes:
        opened: how many requests opened one.
        wait_ms_p50, wait_ms_p99, wait_ms_max: from the first step of opening it until a request could be sent on it, TLS
            included; over these requests, 0 where there is none.
        ttft_share: these waits' share of the same requests' times to first token, where those hold them: in an open loop, in
            which latencies count from the intended send. None in a closed one, and where no answer has a first token.
        own_lag_ms_p99: how late the client itself was: actual minus intended send without the waits for the cap and for a
            connection, 99th percentile of an open loop; 0 in a closed one.
    """

    opened: int
    wait_ms_p50: float
    wait_ms_p99: float
    wait_ms_max: float
    ttft_share: float | None
    own_lag_ms_p99: float


def connection_use(traces: Traces, waits_ns: Ints) -> ConnectionUse:
    """The use that was made of connections; ``waits_ns`` is n, 0 for a request that opened none."""
    waits_ms = waits_ns[waits_ns > 0] / 1e6
    p50, p99, most = np.percentile(waits_ms, [50, 99, 100]) if len(waits_ms) else (0.0, 0.0, 0.0)
    return ConnectionUse(
        opened=len(waits_ms),
        wait_ms_p50=float(p50),
        wait_ms_p99=float(p99),
        wait_ms_max=float(most),
        ttft_share=_ttft_share(traces, waits_ns),
        own_lag_ms_p99=_own_lag_ms(traces, waits_ns),
    )


def _ttft_share(traces: Traces, waits_ns: Ints) -> float | None:
    """sum(wait) / sum(first token - intended send) of the completed requests that opened a connection."""
    rows = (waits_ns > 0) & traces.completed & np.not_equal(traces.first_token_ns, MISSING)
    whole_ns = int((traces.first_token_ns - traces.intended_send_ns)[rows].sum())
    return float(waits_ns[rows].sum() / whole_ns) if traces.open_loop and whole_ns > 0 else None


def _own_lag_ms(traces: Traces, waits_ns: Ints) -> float:
    sent = np.not_equal(traces.send_ns, MISSING)
    if not traces.open_loop or not sent.any():
        return 0.0
    lag_ns = traces.send_ns - traces.intended_send_ns - traces.cap_wait_ns - waits_ns
    return float(np.percentile(lag_ns[sent] / 1e6, 99))

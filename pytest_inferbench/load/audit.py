"""
What the client found out about itself while it measured, and whether that spoils the figures.

Rule: `findings` decides and measures nothing; the load worker measures and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """
    The client's own figures for one case.

    Attributes:
        send_lag_ms_p50: actual minus intended send, median (open loop; 0 in a closed one).
        send_lag_ms_p99: the same, 99th percentile.
        read_lag_ms_p99: from the kernel's stamp to the read in this process, 99th percentile.
        merged_reads_share: share of content events that shared one stamp with another event of their request.
        loop_busy_share: share of the load's wall time that the busiest load process spent on the CPU.
        steal_share: share of CPU time the hypervisor took away during the load; None where the system does not say.
        clock: ``kernel`` or ``userspace``.
        clock_drift_ms: how far wall and monotonic clocks moved apart during the load.
        rate_asked_per_s: requests a second asked for; None in a closed loop.
        rate_achieved_per_s: requests a second sent.
        resends: requests sent again on a new connection because a pooled one was already closed.
        workers: load processes used.
        token_source: ``tokenizer`` or ``estimated``: how prompts were cut to length.
        cached_share: share of prompt tokens the server took from a cache; None where it does not say.
        output_short_share: share of completed requests that ended with fewer tokens than asked for.
    """

    send_lag_ms_p50: float
    send_lag_ms_p99: float
    read_lag_ms_p99: float
    merged_reads_share: float
    loop_busy_share: float
    steal_share: float | None
    clock: str
    clock_drift_ms: float
    rate_asked_per_s: float | None
    rate_achieved_per_s: float
    resends: int
    workers: int
    token_source: str
    cached_share: float | None
    output_short_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing the audit found: ``invalidates`` says whether the case's figures must not be believed."""

    what: str
    advice: str
    invalidates: bool

"""
What the client found out about itself while it measured.

Rule: `findings` decides and measures nothing; the load worker measures and decides nothing. What is looked for is a table in
`checks`.
"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_inferbench.load.cache import CacheUse
from pytest_inferbench.load.checks import CHECKS, Seen
from pytest_inferbench.load.connecting import ConnectionUse
from pytest_inferbench.load.drift import PromptDrift
from pytest_inferbench.load.finding import Finding
from pytest_inferbench.load.floor import Floor

__all__ = ["Audit", "Finding", "findings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """
    The client's own figures for one case.

    Attributes:
        send_lag_ms_p50: actual minus intended send, median (open loop; 0 in a closed one), without the wait for the cap; a wait
            for a connection of its own is in it.
        send_lag_ms_p99: the same, 99th percentile.
        read_lag_ms_p99: from the kernel's stamp to the read in this process, 99th percentile.
        merged_reads_share: share of content events that shared one stamp with another event of their request.
        loop_busy_share: share of the load's wall time (of one second, where it was shorter) that the busiest load process
            spent on the CPU.
        steal_share: share of CPU time the hypervisor took away during the load; None where the system does not say.
        clock: ``kernel`` or ``userspace``.
        clock_drift_ms: how far wall and monotonic clocks moved apart during the load.
        rate_asked_per_s: requests a second asked for; of a ramp or a trace, those from its first to its last instant on
            average; None in a closed loop.
        rate_achieved_per_s: requests a second sent, from the first send to the last one.
        rate_planned_per_s: the same of the instants at which these requests were to be sent, waits for the cap included: what
            chance made of the rate that was asked for; None in a closed loop.
        connections: how many connections the requests opened, and how long they waited for them.
        cpu_wait_ms_p99: how late what came was noticed because a load process waited for a CPU; see `cpu_wait.lateness_ms_p99`.
            None where the system does not say.
        floor: the least error of this client on this machine, measured before the run's first case; None where nobody did.
        resends: requests sent again on a new connection because a pooled one was already closed.
        workers: load processes used.
        token_source: ``tokenizer`` or ``estimated``: how prompts were cut to length.
        cached_share: share of prompt tokens the server took from a cache; None where it does not say.
        cache_use: what came from a cache, held against what the plan lets the server know.
        output_short_share: share of completed requests that ended with fewer tokens than asked for.
        output_long_share: share of completed requests that ended with more tokens than asked for.
        prompt_drift: the server's counts of prompts held against the tokenizer's; None where there is nothing to compare.
        usage_share: share of completed requests whose tokens the server counted itself (usage); the others are counted by events.
        cap_wait_ms_p50: time that requests waited for their turn under the cap on requests in flight, median over all that were
            sent; None without a cap.
        cap_wait_ms_p99: the same, 99th percentile.
        cap_waited_share: share of requests that had to wait for it.
        starved_ms: time in which a user of a closed loop was free and its next prompt was not made yet.
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
    usage_share: float = 1.0
    starved_ms: float = 0.0
    output_long_share: float = 0.0
    prompt_drift: PromptDrift | None = None
    cap_wait_ms_p50: float | None = None
    cap_wait_ms_p99: float | None = None
    cap_waited_share: float | None = None
    cache_use: CacheUse | None = None
    rate_planned_per_s: float | None = None
    connections: ConnectionUse | None = None
    floor: Floor | None = None
    cpu_wait_ms_p99: float | None = None


def findings(audit: Audit, *, tightest_limit_ms: float | None) -> tuple[Finding, ...]:
    """
    What of an audit a reader should know, and what of it spoils the figures.

    ``tightest_limit_ms`` is the smallest latency limit of the case's objectives: a client that is late by more than a tenth
    of it could change the verdict. None where no objective is on a latency.
    """
    seen = Seen(audit, tightest_limit_ms)
    return tuple(check.finding(seen) for check in CHECKS if check.holds(seen))

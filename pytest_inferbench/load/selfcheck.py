"""
The client's own figures, put together from what the load process counted and what its requests show.

Rule: pure but for `steal_ticks`, which reads one file of the system.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.cases.case import Case
from pytest_inferbench.load.audit import Audit
from pytest_inferbench.load.cache import cache_use
from pytest_inferbench.load.connecting import connection_use
from pytest_inferbench.load.cpu_wait import lateness_ms_p99
from pytest_inferbench.load.decode import Decoded
from pytest_inferbench.load.drift import output_shares, prompt_drift
from pytest_inferbench.load.trace import MISSING, Ints, Traces
from pytest_inferbench.load.wire import LAG_BUCKET_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCounts:
    """What a load process counted, or all ``workers`` of a load; see `wire.WireCounts`."""

    sent: int = 0
    done: int = 0
    reads: int = 0
    userspace_reads: int = 0
    resends: int = 0
    starved_ns: int = 0
    drift_ns: int = 0
    busy_s: float = 0.0
    wall_s: float = 0.0
    workers: int = 1
    gave_up: bool = False
    read_lag: Mapping[int, int] = field(default_factory=dict)
    cpu_waits: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> WorkerCounts:
        """From a line in which a worker says how far it is, or that it is done (only that one has the lags)."""
        return cls(
            sent=said["sent"],
            done=said["done"],
            reads=said["reads"],
            userspace_reads=said["userspace_reads"],
            resends=said["resends"],
            starved_ns=said["starved_ns"],
            drift_ns=said["drift_ns"],
            busy_s=said["busy_s"],
            wall_s=said["wall_s"],
            gave_up=said.get("gave_up", False),
            read_lag={int(bucket): count for bucket, count in said.get("read_lag", {}).items()},
            cpu_waits={int(bucket): count for bucket, count in said.get("cpu_waits", {}).items()},
        )

    @classmethod
    def together(cls, parts: Sequence[WorkerCounts]) -> WorkerCounts:
        """Of several load processes: sums, the widest drift of the clocks, and the time of the one that was busiest."""
        busiest = max(parts, key=lambda part: part.busy_share)
        lags: Counter[int] = Counter()
        waits: Counter[int] = Counter()
        for part in parts:
            lags.update(part.read_lag)
            waits.update(part.cpu_waits)
        return cls(
            sent=sum(part.sent for part in parts),
            done=sum(part.done for part in parts),
            reads=sum(part.reads for part in parts),
            userspace_reads=sum(part.userspace_reads for part in parts),
            resends=sum(part.resends for part in parts),
            starved_ns=sum(part.starved_ns for part in parts),
            drift_ns=max(part.drift_ns for part in parts),
            busy_s=busiest.busy_s,
            wall_s=busiest.wall_s,
            workers=sum(part.workers for part in parts),
            gave_up=any(part.gave_up for part in parts),
            read_lag=dict(lags),
            cpu_waits=dict(waits),
        )

    @property
    def busy_share(self) -> float:
        """
        Share of the wall time spent on the CPU; of one second where the load was shorter.

        A load of a few milliseconds is all beginning, and says nothing about what the process can carry.
        """
        return self.busy_s / max(self.wall_s, 1.0)

    @property
    def cpu_wait_ms_p99(self) -> float | None:
        """See `cpu_wait.lateness_ms_p99`; over one second where the load was shorter, as above. None where nobody says."""
        if not self.cpu_waits:
            return None
        return lateness_ms_p99(self.cpu_waits, wall_s=max(self.wall_s, 1.0) * self.workers)


def audit_of(
    case: Case,
    decoded: Decoded,
    counts: WorkerCounts,
    *,
    token_source: str,
    steal: tuple[tuple[int, int] | None, tuple[int, int] | None],
) -> Audit:
    """The audit of a load: ``steal`` are (stolen, all) ticks before and after it."""
    traces = decoded.measured
    lag_p50, lag_p99 = _send_lag_ms(traces)
    completed = int(traces.completed.sum())
    short, long = output_shares(traces)
    waits = _cap_waits(traces) if case.load.max_in_flight is not None else (None, None, None)
    return Audit(
        send_lag_ms_p50=lag_p50,
        send_lag_ms_p99=lag_p99,
        read_lag_ms_p99=_bucket_percentile_ms(counts.read_lag, 0.99),
        merged_reads_share=_merged_share(traces),
        loop_busy_share=counts.busy_share,
        steal_share=_steal_share(*steal),
        clock=traces.clock,
        clock_drift_ms=counts.drift_ns / 1e6,
        rate_asked_per_s=_rate_asked(case, traces),
        rate_achieved_per_s=_rate(traces.send_ns[_sent(traces)]),
        rate_planned_per_s=_rate_planned(traces),
        resends=counts.resends,
        workers=counts.workers,
        token_source=token_source,
        cached_share=_cached_share(traces),
        cache_use=cache_use(case, traces, decoded.cached_expected),
        output_short_share=short,
        output_long_share=long,
        prompt_drift=prompt_drift(case, traces, decoded.prompt_counted),
        usage_share=decoded.counted_by_server / completed if completed else 1.0,
        starved_ms=counts.starved_ns / 1e6,
        cap_wait_ms_p50=waits[0],
        cap_wait_ms_p99=waits[1],
        cap_waited_share=waits[2],
        cpu_wait_ms_p99=counts.cpu_wait_ms_p99,
        connections=connection_use(traces, decoded.connect_wait_ns),
    )


def steal_ticks() -> tuple[int, int] | None:
    """Clock ticks that a hypervisor took from this machine's CPUs, and all ticks, since boot; None where nobody says."""
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()
    except (OSError, IndexError):
        return None
    ticks = [int(value) for value in first[1:9]]
    return (ticks[7], sum(ticks)) if len(ticks) == 8 else None


def _steal_share(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float | None:
    if before is None or after is None or after[1] <= before[1]:
        return None
    return (after[0] - before[0]) / (after[1] - before[1])


def _sent(traces: Traces) -> NDArray[np.bool_]:
    return np.not_equal(traces.send_ns, MISSING)


def _send_lag_ms(traces: Traces) -> tuple[float, float]:
    """
    Median and 99th percentile of how late requests of an open loop were sent, in ms; zeros in a closed one.

    send - (intended send + wait for the cap on requests in flight): that wait is what was asked for, and no fault of the client.
    """
    sent = _sent(traces)
    if not traces.open_loop or not sent.any():
        return 0.0, 0.0
    p50, p99 = np.percentile((traces.send_ns - traces.intended_send_ns - traces.cap_wait_ns)[sent] / 1e6, [50, 99])
    return float(p50), float(p99)


def _cap_waits(traces: Traces) -> tuple[float, float, float]:
    """Median and 99th percentile of the wait for the cap in ms, and the share of requests that waited at all."""
    waits_ns = traces.cap_wait_ns[_sent(traces)]
    if not len(waits_ns):
        return 0.0, 0.0, 0.0
    p50, p99 = np.percentile(waits_ns / 1e6, [50, 99])
    return float(p50), float(p99), float((waits_ns > 0).mean())


def _rate_asked(case: Case, traces: Traces) -> float | None:
    """
    The rate of the load; where that changes, the mean rate of the instants at which requests were to be sent.

    The same where requests are turns: the rate is that of conversations, and what comes after their first turns adds to it.
    """
    load = case.load
    single = case.traffic.turns == 1 or load.rate_per_s is None
    return load.rate_per_s if load.steady and single else _rate(traces.intended_send_ns)


def _rate_planned(traces: Traces) -> float | None:
    """The rate at which the requests that were sent were to be sent, after their waits for the cap; None in a closed loop."""
    return _rate((traces.intended_send_ns + traces.cap_wait_ns)[_sent(traces)]) if traces.open_loop else None


def _rate(instants_ns: Ints) -> float:
    """Requests a second from the first to the last of these instants; 0 with fewer than two."""
    span_s = (instants_ns.max() - instants_ns.min()) / 1e9 if len(instants_ns) > 1 else 0.0
    return float((len(instants_ns) - 1) / span_s) if span_s else 0.0


def _merged_share(traces: Traces) -> float:
    """Share of content events that have the same stamp as another one of their request."""
    if len(traces.event_ns) < 2:
        return 0.0
    same = np.diff(traces.event_ns) == 0
    first = traces.event_offset[1:-1]
    # A pair that straddles two requests is no pair.
    same[first[(first > 0) & (first < len(traces.event_ns))] - 1] = False
    shared = np.append(same, False) | np.append(False, same)
    return float(shared.mean())


def _cached_share(traces: Traces) -> float | None:
    known = (traces.cached_tokens != MISSING) & traces.completed
    prompt = int(traces.prompt_tokens[known].sum())
    return float(traces.cached_tokens[known].sum() / prompt) if prompt else None


def _bucket_percentile_ms(buckets: Mapping[int, int], share: float) -> float:
    """Upper end of the bucket in which the percentile falls, in ms; the last bucket holds whatever was longer, too."""
    total = sum(buckets.values())
    running = 0
    for bucket in sorted(buckets):
        running += buckets[bucket]
        if running >= share * total:
            return (bucket + 1) * LAG_BUCKET_NS / 1e6
    return 0.0

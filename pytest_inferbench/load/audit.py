"""
What the client found out about itself while it measured, and whether that spoils the figures.

Rule: `findings` decides and measures nothing; the load worker measures and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_inferbench.load.cache import CacheUse
from pytest_inferbench.load.drift import TOLERANCE_TOKENS, PromptDrift


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """
    The client's own figures for one case.

    Attributes:
        send_lag_ms_p50: actual minus intended send, median (open loop; 0 in a closed one), without the wait for the cap.
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
        rate_achieved_per_s: requests a second sent.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing the audit found: ``invalidates`` says whether the case's figures must not be believed."""

    what: str
    advice: str
    invalidates: bool


SEND_LAG_MS_MAX = 10.0
"""A send this much later than intended (p99) is no longer the load that was asked for."""
BUSY_SHARE_MAX = 0.9
"""A load process that has less than a tenth of its CPU left cannot promise to read in time."""
STEAL_SHARE_MAX = 0.1
DRIFT_MS_MAX = 1.0
RATE_SHORT_MAX = 0.05
CACHED_EXCESS_MAX = 0.02
CACHED_OF_EXPECTED_MIN = 0.5
OUTPUT_SHORT_MAX = 0.05
OUTPUT_LONG_MAX = 0.05
PROMPT_OFF_MAX = 0.05
LAG_SHARE_OF_LIMIT_MAX = 0.1


def findings(audit: Audit, *, tightest_limit_ms: float | None) -> tuple[Finding, ...]:
    """
    What of an audit a reader should know, and what of it spoils the figures.

    ``tightest_limit_ms`` is the smallest latency limit of the case's objectives: a client that is late by more than a tenth
    of it could change the verdict. None where no objective is on a latency.
    """
    found = [*_lateness(audit, tightest_limit_ms), *_clocks(audit), *_lengths(audit), *_cached(audit.cache_use)]
    if audit.starved_ms > 0:
        found.append(
            Finding(
                what=f"users waited {audit.starved_ms:.0f} ms for prompts to be made",
                advice="give a number of requests instead of only a duration, so that the plan is made beforehand",
                invalidates=True,
            )
        )
    if audit.cap_waited_share:
        found.append(
            Finding(
                what=f"{audit.cap_waited_share:.0%} of the requests waited for the cap on requests in flight, "
                f"{audit.cap_wait_ms_p99 or 0:.4g} ms at p99",
                advice="latencies count from the time each was due; raise max_in_flight to see the server without the cap",
                invalidates=False,
            )
        )
    if audit.resends:
        found.append(
            Finding(
                what=f"{audit.resends} requests were sent again: the server had closed a pooled connection",
                advice="none needed: no byte of an answer had come, and the time counts from the send that was answered",
                invalidates=False,
            )
        )
    return tuple(found)


def _lateness(audit: Audit, tightest_limit_ms: float | None) -> list[Finding]:
    found = []
    send_limit_ms = min(SEND_LAG_MS_MAX, _share(tightest_limit_ms))
    if audit.send_lag_ms_p99 > send_limit_ms:
        found.append(
            Finding(
                what=f"requests were sent late: {audit.send_lag_ms_p99:.3g} ms at p99, more than {send_limit_ms:.3g} ms",
                advice="lower the rate, or give the client a CPU of its own (taskset)",
                invalidates=True,
            )
        )
    if audit.read_lag_ms_p99 > _share(tightest_limit_ms) and (audit.clock != "kernel" or audit.merged_reads_share > 0.01):
        found.append(
            Finding(
                what=f"answers were read late: {audit.read_lag_ms_p99:.3g} ms at p99",
                advice="give the client a CPU of its own (taskset)",
                invalidates=True,
            )
        )
    if audit.loop_busy_share > BUSY_SHARE_MAX:
        found.append(
            Finding(
                what=f"the load process was busy {audit.loop_busy_share:.0%} of the time",
                advice="give it more load processes (--inferbench-workers, --workers), lower the load, or use a faster machine",
                invalidates=True,
            )
        )
    asked = audit.rate_asked_per_s
    if asked is not None and asked != float("inf") and audit.rate_achieved_per_s < asked * (1 - RATE_SHORT_MAX):
        found.append(
            Finding(
                what=f"{audit.rate_achieved_per_s:.3g} requests/s were sent where {asked:.3g} were asked for",
                advice="for a Poisson load of few requests this is chance: ask for more of them; else lower the rate",
                invalidates=False,
            )
        )
    return found


def _clocks(audit: Audit) -> list[Finding]:
    found = []
    if audit.clock != "kernel":
        found.append(
            Finding(
                what="times were taken in user space: the kernel gave no receive stamps",
                advice="measure on Linux for times that do not depend on when the client is scheduled",
                invalidates=False,
            )
        )
    if audit.clock_drift_ms > DRIFT_MS_MAX:
        found.append(
            Finding(
                what=f"wall clock and monotonic clock moved {audit.clock_drift_ms:.3g} ms apart during the load",
                advice="something set the clock (ntpd, chrony, a suspended machine): run again",
                invalidates=True,
            )
        )
    if audit.steal_share is not None and audit.steal_share > STEAL_SHARE_MAX:
        found.append(
            Finding(
                what=f"the hypervisor took {audit.steal_share:.0%} of the CPU time",
                advice="expect noise; use a machine that is not shared for figures to be kept",
                invalidates=False,
            )
        )
    return found


def _cached(use: CacheUse | None) -> list[Finding]:
    """Too much from the cache, where prompts were to be new to it; too little, where they were not."""
    if use is None:
        return []
    if use.strict and use.excess_share > CACHED_EXCESS_MAX:
        return [
            Finding(
                what=f"{use.excess_share:.0%} of the prompt tokens were to be new to the server and came from its prompt cache",
                advice="restart it, reset its cache, or leave the seed out; where rows of a file begin alike, cache: shared",
                invalidates=True,
            )
        ]
    # A part of the prompts that is too small to be a block of a cache is not worth a word.
    if use.expected_share <= CACHED_EXCESS_MAX:
        return []
    if use.found_share is None:
        return [
            Finding(
                what=f"the server does not say what it took from its prompt cache: {use.cache!r} could not be checked",
                advice="most servers do with an option of their own (vLLM: --enable-prompt-tokens-details)",
                invalidates=False,
            )
        ]
    if use.found_share < use.expected_share * CACHED_OF_EXPECTED_MIN:
        return [
            Finding(
                what=f"{use.found_share:.0%} of the prompt tokens came from the server's prompt cache, "
                f"{use.expected_share:.0%} had been sent to it before",
                advice="its prefix cache is off, or has no room for all that the case sends",
                # A case that says warm is about nothing else; one that shares beginnings is what it is without a cache, too.
                invalidates=use.cache == "warm",
            )
        ]
    return []


def _lengths(audit: Audit) -> list[Finding]:
    found = []
    estimated = audit.token_source == "estimated"  # noqa: S105 - not a password
    if estimated:
        found.append(
            Finding(
                what="prompt lengths are estimated: no tokenizer was given",
                advice="give one with --tokenizer PATH (tokenizer.json, a folder that holds one, or a GGUF file)",
                invalidates=False,
            )
        )
    if audit.usage_share < 1.0:
        found.append(
            Finding(
                what=f"the server counted the tokens of only {audit.usage_share:.0%} of the answers",
                advice="the others are counted by events (one may carry several tokens), or not at all where they came whole",
                invalidates=False,
            )
        )
    if audit.output_short_share > OUTPUT_SHORT_MAX:
        found.append(
            Finding(
                what=f"{audit.output_short_share:.0%} of the answers are shorter than asked for",
                advice='the model ended early; most servers take {"ignore_eos": true} in the request (--extra-body)',
                invalidates=False,
            )
        )
    if audit.output_long_share > OUTPUT_LONG_MAX:
        found.append(
            Finding(
                what=f"{audit.output_long_share:.0%} of the answers are longer than asked for",
                advice="the server takes no notice of the limit in the request: its API may spell it otherwise (--extra-body)",
                invalidates=False,
            )
        )
    return found if estimated else found + _drift(audit.prompt_drift)


def _drift(drift: PromptDrift | None) -> list[Finding]:
    """Prompts that the server counts otherwise than the tokenizer, beyond what it puts around each."""
    if drift is None:
        return []
    found = []
    advice = "lengths are not those asked for: give the model's own tokenizer (--tokenizer PATH)"
    if not -TOLERANCE_TOKENS <= drift.overhead_tokens <= drift.overhead_tokens_max:
        found.append(
            Finding(
                what=f"the server counts prompts {drift.overhead_tokens:+.0f} tokens off the tokenizer's count, at the median",
                advice=advice,
                invalidates=False,
            )
        )
    if drift.off_share > PROMPT_OFF_MAX:
        found.append(
            Finding(
                what=f"the server counts {drift.off_share:.0%} of the prompts otherwise than the tokenizer: "
                f"{drift.overhead_tokens:+.0f} tokens at the median, these further off",
                advice=advice,
                invalidates=False,
            )
        )
    return found


def _share(limit_ms: float | None) -> float:
    return float("inf") if limit_ms is None else limit_ms * LAG_SHARE_OF_LIMIT_MAX

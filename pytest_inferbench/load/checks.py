"""
Whether what the client found out about itself could spoil the figures: a table of everything that is looked for.

Rule: pure. A new check is one entry of `CHECKS`; what it asks for by more than one comparison is a property of `Seen`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from pytest_inferbench.load.cache import CacheUse
from pytest_inferbench.load.drift import TOLERANCE_TOKENS, PromptDrift
from pytest_inferbench.load.finding import Finding

if TYPE_CHECKING:
    from pytest_inferbench.load.audit import Audit

SEND_LAG_MS_MAX = 10.0
"""A send this much later than intended (p99) is no longer the load that was asked for."""
CPU_WAIT_MS_MAX = 5.0
"""A wait for a CPU (p99) that is worth a word, though it may be too short to change a verdict."""
BUSY_SHARE_MAX = 0.9
"""A load process that has less than a tenth of its CPU left cannot promise to read in time."""
MERGED_SHARE_MAX = 0.01
STEAL_SHARE_MAX = 0.1
DRIFT_MS_MAX = 1.0
RATE_SHORT_MAX = 0.05
CACHED_EXCESS_MAX = 0.02
CACHED_OF_EXPECTED_MIN = 0.5
OUTPUT_SHORT_MAX = 0.05
OUTPUT_LONG_MAX = 0.05
PROMPT_OFF_MAX = 0.05
LAG_SHARE_OF_LIMIT_MAX = 0.1
"""A client that is late by a larger share of the tightest limit could change the verdict."""
_NO_DRIFT = PromptDrift(overhead_tokens=0.0, overhead_tokens_max=0, off_share=0.0)
_NO_CACHE = CacheUse(cache="cold", strict=False, expected_share=0.0, found_share=None, excess_share=0.0)


class Seen:
    """An audit as the checks look at it; their words may name whatever is here."""

    def __init__(self, audit: Audit, limit_ms: float | None) -> None:
        self.audit = audit
        self.limit_ms = inf if limit_ms is None else limit_ms
        self.late_ms = inf if limit_ms is None else limit_ms * LAG_SHARE_OF_LIMIT_MAX
        # All at once is as fast as a client can: one after the other is what it is, unless an objective is as tight as that.
        all_at_once = audit.rate_asked_per_s == inf
        self.late_send_ms = self.late_ms if all_at_once else min(SEND_LAG_MS_MAX, self.late_ms)
        # A server that is slow to take a connection does not make the client a late one.
        self.lag_ms = audit.send_lag_ms_p99 if audit.connections is None else audit.connections.own_lag_ms_p99
        self.estimated = audit.token_source == "estimated"  # noqa: S105 - not a password
        # Nobody holds a server's counts against an estimate.
        self.drift = _NO_DRIFT if audit.prompt_drift is None or self.estimated else audit.prompt_drift
        self.cache = audit.cache_use or _NO_CACHE

    @property
    def read_late(self) -> bool:
        """Reads that came late matter where the kernel's stamps do not make up for it."""
        audit = self.audit
        stamps_help = audit.clock == "kernel" and audit.merged_reads_share <= MERGED_SHARE_MAX
        return audit.read_lag_ms_p99 > self.late_ms and not stamps_help

    @property
    def waited_for_cpu(self) -> bool:
        """Wake-ups came late, and stamps cannot make up for it: what came meanwhile has the stamp of what came last."""
        audit = self.audit
        stamps_help = audit.clock == "kernel" and audit.merged_reads_share <= MERGED_SHARE_MAX
        return not stamps_help and (audit.cpu_wait_ms_p99 or 0.0) > min(self.late_ms, CPU_WAIT_MS_MAX)

    @property
    def fell_behind(self) -> bool:
        """
        Sends took longer than their plan, which is known: a rate that was drawn has its chance in it already.

        A lag too small to matter is none, however short the load was.
        """
        planned = self.audit.rate_planned_per_s
        return (
            planned is not None
            and self.lag_ms > self.late_send_ms
            and self.audit.rate_achieved_per_s < planned * (1 - RATE_SHORT_MAX)
        )

    @property
    def connected_late(self) -> bool:
        """Requests waited for connections long enough to change the verdict."""
        connections = self.audit.connections
        return connections is not None and connections.wait_ms_p99 > self.late_ms

    @property
    def connecting_counts(self) -> str:
        """Which latencies the waits for connections are in."""
        share = self.audit.connections.ttft_share if self.audit.connections is not None else None
        if share is not None:
            return f"{share:.0%} of their time to first token"
        return "which is in their latencies" if self.audit.rate_planned_per_s is not None else "which is in no latency"

    @property
    def overcached(self) -> bool:
        """More came from the cache than the server can have known."""
        return self.cache.strict and self.cache.excess_share > CACHED_EXCESS_MAX

    @property
    def cache_unknown(self) -> bool:
        """Something should have come from the cache, and the server does not say."""
        return self._cache_meant and self.cache.found_share is None

    @property
    def undercached(self) -> bool:
        """Less came from the cache than the server was given time to know."""
        found = self.cache.found_share
        return self._cache_meant and found is not None and found < self.cache.expected_share * CACHED_OF_EXPECTED_MIN

    @property
    def _cache_meant(self) -> bool:
        # A part of the prompts that is too small to be a block of a cache is not worth a word.
        return not self.overcached and self.cache.expected_share > CACHED_EXCESS_MAX


@dataclass(frozen=True, slots=True)
class Check:
    """
    One thing the audit looks for.

    Attributes:
        holds: whether it is there.
        what: the words, filled with ``audit`` and what else `Seen` has as ``seen``.
        advice: what to do.
        invalidates: whether the figures must not be believed; a function where that depends.
    """

    holds: Callable[[Seen], object]
    what: str
    advice: str
    invalidates: bool | Callable[[Seen], bool]

    def finding(self, seen: Seen) -> Finding:
        """The finding, in words."""
        invalidates = self.invalidates if isinstance(self.invalidates, bool) else self.invalidates(seen)
        return Finding(what=self.what.format(audit=seen.audit, seen=seen), advice=self.advice, invalidates=invalidates)


_OTHER_TOKENIZER = "lengths are not those asked for: give the model's own tokenizer (--tokenizer PATH)"

CHECKS: tuple[Check, ...] = (
    # -- was the load sent and read in time?
    Check(
        lambda seen: seen.lag_ms > seen.late_send_ms,
        "requests were sent late: {seen.lag_ms:.3g} ms at p99, more than {seen.late_send_ms:.3g} ms",
        "lower the rate, or give the client a CPU of its own (taskset)",
        invalidates=True,
    ),
    Check(
        lambda seen: seen.read_late,
        "answers were read late: {audit.read_lag_ms_p99:.3g} ms at p99",
        "give the client a CPU of its own (taskset)",
        invalidates=True,
    ),
    Check(
        lambda seen: seen.waited_for_cpu,
        "the client waited for a CPU, so that what came was noticed {audit.cpu_wait_ms_p99:.3g} ms late at p99, and "
        "{audit.merged_reads_share:.0%} of the events have the time of a later one",
        "give the client a CPU of its own (taskset), or the server fewer threads",
        invalidates=lambda seen: (seen.audit.cpu_wait_ms_p99 or 0.0) > seen.late_ms,
    ),
    Check(
        lambda seen: seen.audit.loop_busy_share > BUSY_SHARE_MAX,
        "the load process was busy {audit.loop_busy_share:.0%} of the time",
        "give it more load processes (--inferbench-workers, --workers), lower the load, or use a faster machine",
        invalidates=True,
    ),
    Check(
        lambda seen: seen.audit.floor is not None and seen.audit.floor.first_p99_ms > seen.late_ms,
        "this machine times first tokens to {audit.floor.first_p99_ms:.3g} ms (p99, against a server whose times are known), and "
        "the tightest limit is {seen.limit_ms:.3g} ms",
        "give the client a CPU of its own (taskset), or measure where less else runs; inferbench calibrate shows more",
        invalidates=lambda seen: seen.audit.floor is not None and seen.audit.floor.first_p99_ms >= seen.limit_ms,
    ),
    Check(
        lambda seen: seen.fell_behind,
        "{audit.rate_achieved_per_s:.3g} requests/s were sent where the plan has {audit.rate_planned_per_s:.3g}",
        "the client fell behind: lower the rate, or give it a CPU of its own (taskset)",
        invalidates=False,
    ),
    # -- were the clocks right?
    Check(
        lambda seen: seen.audit.clock != "kernel",
        "times were taken in user space: the kernel gave no receive stamps",
        "measure on Linux for times that do not depend on when the client is scheduled",
        invalidates=False,
    ),
    Check(
        lambda seen: seen.audit.clock_drift_ms > DRIFT_MS_MAX,
        "wall clock and monotonic clock moved {audit.clock_drift_ms:.3g} ms apart during the load",
        "something set the clock (ntpd, chrony, a suspended machine): run again",
        invalidates=True,
    ),
    Check(
        lambda seen: (seen.audit.steal_share or 0) > STEAL_SHARE_MAX,
        "the hypervisor took {audit.steal_share:.0%} of the CPU time",
        "expect noise; use a machine that is not shared for figures to be kept",
        invalidates=False,
    ),
    # -- were prompts and answers as long as asked for?
    Check(
        lambda seen: seen.estimated,
        "prompt lengths are estimated: no tokenizer was given",
        "give one with --tokenizer PATH (tokenizer.json, a folder that holds one, or a GGUF file)",
        invalidates=False,
    ),
    Check(
        lambda seen: seen.audit.usage_share < 1.0,
        "the server counted the tokens of only {audit.usage_share:.0%} of the answers",
        "the others are counted by events (one may carry several tokens), or not at all where they came whole",
        invalidates=False,
    ),
    Check(
        lambda seen: seen.audit.output_short_share > OUTPUT_SHORT_MAX,
        "{audit.output_short_share:.0%} of the answers are shorter than asked for",
        'the model ended early; most servers take {"ignore_eos": true} in the request (--extra-body)',
        invalidates=False,
    ),
    Check(
        lambda seen: seen.audit.output_long_share > OUTPUT_LONG_MAX,
        "{audit.output_long_share:.0%} of the answers are longer than asked for",
        "the server takes no notice of the limit in the request: its API may spell it otherwise (--extra-body)",
        invalidates=False,
    ),
    Check(
        lambda seen: not -TOLERANCE_TOKENS <= seen.drift.overhead_tokens <= seen.drift.overhead_tokens_max,
        "the server counts prompts {seen.drift.overhead_tokens:+.0f} tokens off the tokenizer's count, at the median",
        _OTHER_TOKENIZER,
        invalidates=False,
    ),
    Check(
        lambda seen: seen.drift.off_share > PROMPT_OFF_MAX,
        "the server counts {seen.drift.off_share:.0%} of the prompts otherwise than the tokenizer: "
        "{seen.drift.overhead_tokens:+.0f} tokens at the median, these further off",
        _OTHER_TOKENIZER,
        invalidates=False,
    ),
    # -- did as much come from the prompt cache as was meant to?
    Check(
        lambda seen: seen.overcached,
        "{seen.cache.excess_share:.0%} of the prompt tokens were to be new to the server and came from its prompt cache",
        "restart it, reset its cache, or leave the seed out; where rows of a file begin alike, cache: shared",
        invalidates=True,
    ),
    Check(
        lambda seen: seen.cache_unknown,
        "the server does not say what it took from its prompt cache: {seen.cache.cache!r} could not be checked",
        "most servers do with an option of their own (vLLM: --enable-prompt-tokens-details)",
        invalidates=False,
    ),
    Check(
        lambda seen: seen.undercached,
        "{seen.cache.found_share:.0%} of the prompt tokens came from the server's prompt cache, "
        "{seen.cache.expected_share:.0%} had been sent to it before",
        "its prefix cache is off, or has no room for all that the case sends",
        # A case that says warm is about nothing else; one that shares beginnings is what it is without a cache, too.
        invalidates=lambda seen: seen.cache.cache == "warm",
    ),
    # -- what kept requests waiting on this side?
    Check(
        lambda seen: seen.audit.starved_ms > 0,
        "users waited {audit.starved_ms:.0f} ms for prompts to be made",
        "give a number of requests instead of only a duration, so that the plan is made beforehand",
        invalidates=True,
    ),
    Check(
        lambda seen: seen.audit.cap_waited_share,
        "{audit.cap_waited_share:.0%} of the requests waited for the cap on requests in flight, "
        "{audit.cap_wait_ms_p99:.4g} ms at p99",
        "latencies count from the time each was due; raise max_in_flight to see the server without the cap",
        invalidates=False,
    ),
    Check(
        lambda seen: seen.connected_late,
        "{audit.connections.opened} requests opened a connection and waited for it: "
        "{audit.connections.wait_ms_p99:.3g} ms at p99, {seen.connecting_counts}",
        "send as many warm-up requests as will be in flight, so that connections are open before the load begins",
        invalidates=False,
    ),
    Check(
        lambda seen: seen.audit.resends,
        "{audit.resends} requests were sent again: the server had closed a pooled connection",
        "none needed: no byte of an answer had come, and the time counts from the send that was answered",
        invalidates=False,
    ),
)
"""Everything the audit looks for, in the order in which it is told."""

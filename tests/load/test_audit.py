"""Every finding: its words, and the value from which it is there."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import pytest

from pytest_inferbench.cases.case import Cache
from pytest_inferbench.load.audit import Audit, Finding, findings
from pytest_inferbench.load.cache import CacheUse
from pytest_inferbench.load.connecting import ConnectionUse
from pytest_inferbench.load.drift import PromptDrift
from pytest_inferbench.load.floor import Floor

FINE = Audit(
    send_lag_ms_p50=0.01,
    send_lag_ms_p99=0.05,
    read_lag_ms_p99=0.05,
    merged_reads_share=0.0,
    loop_busy_share=0.2,
    steal_share=0.0,
    clock="kernel",
    clock_drift_ms=0.0,
    rate_asked_per_s=10.0,
    rate_achieved_per_s=10.0,
    resends=0,
    workers=1,
    token_source="tokenizer",
    cached_share=0.0,
    output_short_share=0.0,
)


def drift(overhead_tokens: float, off_share: float = 0.0) -> PromptDrift:
    return PromptDrift(overhead_tokens=overhead_tokens, overhead_tokens_max=256, off_share=off_share)


def cached(
    cache: Cache = "cold",
    *,
    strict: bool = True,
    expected_share: float = 0.0,
    found_share: float | None = 0.0,
    excess_share: float = 0.0,
) -> CacheUse:
    return CacheUse(cache=cache, strict=strict, expected_share=expected_share, found_share=found_share, excess_share=excess_share)


def found(limit_ms: float | None = None, **changed: Any) -> list[Finding]:
    return list(findings(replace(FINE, **changed), tightest_limit_ms=limit_ms))


def test_a_client_without_fault_has_no_findings() -> None:
    assert found(1.0) == []
    assert found(steal_share=None, cached_share=None, rate_asked_per_s=None) == []


@pytest.mark.parametrize(
    ("at_limit", "beyond", "what", "advice", "invalidates"),
    [
        (
            {"send_lag_ms_p99": 10.0},
            {"send_lag_ms_p99": 10.1},
            "requests were sent late: 10.1 ms at p99, more than 10 ms",
            "lower the rate, or give the client a CPU of its own (taskset)",
            True,
        ),
        (
            {"loop_busy_share": 0.9},
            {"loop_busy_share": 0.95},
            "the load process was busy 95% of the time",
            "give it more load processes (--inferbench-workers, --workers), lower the load, or use a faster machine",
            True,
        ),
        (
            {"clock": "kernel"},
            {"clock": "userspace"},
            "times were taken in user space: the kernel gave no receive stamps",
            "measure on Linux for times that do not depend on when the client is scheduled",
            False,
        ),
        (
            {"clock_drift_ms": 1.0},
            {"clock_drift_ms": 1.5},
            "wall clock and monotonic clock moved 1.5 ms apart during the load",
            "something set the clock (ntpd, chrony, a suspended machine): run again",
            True,
        ),
        (
            {"steal_share": 0.1},
            {"steal_share": 0.25},
            "the hypervisor took 25% of the CPU time",
            "expect noise; use a machine that is not shared for figures to be kept",
            False,
        ),
        (
            {"token_source": "tokenizer"},
            {"token_source": "estimated"},
            "prompt lengths are estimated: no tokenizer was given",
            "give one with --tokenizer PATH (tokenizer.json, a folder that holds one, or a GGUF file)",
            False,
        ),
        (
            {"usage_share": 1.0},
            {"usage_share": 0.75},
            "the server counted the tokens of only 75% of the answers",
            "the others are counted by events (one may carry several tokens), or not at all where they came whole",
            False,
        ),
        (
            {"cache_use": cached(excess_share=0.02)},
            {"cache_use": cached(excess_share=0.6)},
            "60% of the prompt tokens were to be new to the server and came from its prompt cache",
            "restart it, reset its cache, or leave the seed out; where rows of a file begin alike, cache: shared",
            True,
        ),
        (
            {"cache_use": cached("shared", strict=False, excess_share=0.6)},
            {"cache_use": cached("shared", excess_share=0.6)},
            "60% of the prompt tokens were to be new to the server and came from its prompt cache",
            "restart it, reset its cache, or leave the seed out; where rows of a file begin alike, cache: shared",
            True,
        ),
        (
            {"cache_use": cached("warm", expected_share=0.8, found_share=0.4)},
            {"cache_use": cached("warm", expected_share=0.8, found_share=0.3)},
            "30% of the prompt tokens came from the server's prompt cache, 80% had been sent to it before",
            "its prefix cache is off, or has no room for all that the case sends",
            True,
        ),
        (
            {"cache_use": cached("shared", expected_share=0.02)},
            {"cache_use": cached("shared", expected_share=0.5, found_share=0.1)},
            "10% of the prompt tokens came from the server's prompt cache, 50% had been sent to it before",
            "its prefix cache is off, or has no room for all that the case sends",
            False,
        ),
        (
            {"cache_use": cached(found_share=None)},
            {"cache_use": cached("warm", expected_share=0.9, found_share=None)},
            "the server does not say what it took from its prompt cache: 'warm' could not be checked",
            "most servers do with an option of their own (vLLM: --enable-prompt-tokens-details)",
            False,
        ),
        (
            {"output_short_share": 0.05},
            {"output_short_share": 0.5},
            "50% of the answers are shorter than asked for",
            'the model ended early; most servers take {"ignore_eos": true} in the request (--extra-body)',
            False,
        ),
        (
            {"output_long_share": 0.05},
            {"output_long_share": 0.5},
            "50% of the answers are longer than asked for",
            "the server takes no notice of the limit in the request: its API may spell it otherwise (--extra-body)",
            False,
        ),
        (
            {"prompt_drift": drift(256, 0.05)},
            {"prompt_drift": drift(257)},
            "the server counts prompts +257 tokens off the tokenizer's count, at the median",
            "lengths are not those asked for: give the model's own tokenizer (--tokenizer PATH)",
            False,
        ),
        (
            {"prompt_drift": drift(-2)},
            {"prompt_drift": drift(-3)},
            "the server counts prompts -3 tokens off the tokenizer's count, at the median",
            "lengths are not those asked for: give the model's own tokenizer (--tokenizer PATH)",
            False,
        ),
        (
            {"prompt_drift": None},
            {"prompt_drift": drift(31, 0.5)},
            "the server counts 50% of the prompts otherwise than the tokenizer: +31 tokens at the median, these further off",
            "lengths are not those asked for: give the model's own tokenizer (--tokenizer PATH)",
            False,
        ),
        (
            {"starved_ms": 0.0},
            {"starved_ms": 12.0},
            "users waited 12 ms for prompts to be made",
            "give a number of requests instead of only a duration, so that the plan is made beforehand",
            True,
        ),
        (
            {"resends": 0},
            {"resends": 4},
            "4 requests were sent again: the server had closed a pooled connection",
            "none needed: no byte of an answer had come, and the time counts from the send that was answered",
            False,
        ),
        (
            {"cap_waited_share": 0.0, "cap_wait_ms_p99": 0.0},
            {"cap_waited_share": 0.25, "cap_wait_ms_p99": 1234.0},
            "25% of the requests waited for the cap on requests in flight, 1234 ms at p99",
            "latencies count from the time each was due; raise max_in_flight to see the server without the cap",
            False,
        ),
    ],
)
def test_a_finding_is_there_beyond_its_limit_and_not_at_it(
    at_limit: dict[str, Any], beyond: dict[str, Any], what: str, advice: str, invalidates: bool
) -> None:
    assert found(**at_limit) == []
    assert found(**beyond) == [Finding(what=what, advice=advice, invalidates=invalidates)]


def test_all_at_once_takes_as_long_as_sending_takes_unless_an_objective_is_as_tight_as_that() -> None:
    assert found(send_lag_ms_p99=60.0, rate_asked_per_s=inf) == []
    assert found(1000.0, send_lag_ms_p99=60.0, rate_asked_per_s=inf) == []
    (finding,) = found(500.0, send_lag_ms_p99=60.0, rate_asked_per_s=inf)
    assert finding.what == "requests were sent late: 60 ms at p99, more than 50 ms"


def test_a_tight_objective_makes_the_limit_on_late_sends_tighter() -> None:
    assert found(20.0, send_lag_ms_p99=2.0) == []
    (finding,) = found(20.0, send_lag_ms_p99=2.5)
    assert finding.what == "requests were sent late: 2.5 ms at p99, more than 2 ms"
    assert finding.invalidates


@pytest.mark.parametrize(
    ("changed", "spoils"),
    [
        ({}, False),
        ({"merged_reads_share": 0.01}, False),
        ({"merged_reads_share": 0.02}, True),
        ({"clock": "userspace"}, True),
    ],
)
def test_late_reads_matter_where_the_kernels_stamps_do_not_make_up_for_them(changed: dict[str, Any], spoils: bool) -> None:
    late = [each for each in found(20.0, read_lag_ms_p99=3.0, **changed) if "read late" in each.what]
    expected = Finding(
        what="answers were read late: 3 ms at p99", advice="give the client a CPU of its own (taskset)", invalidates=True
    )
    assert late == ([expected] if spoils else [])


def behind(rate_achieved_per_s: float, *, lag_ms: float = 50.0) -> list[Finding]:
    late = found(rate_planned_per_s=12.0, rate_achieved_per_s=rate_achieved_per_s, send_lag_ms_p99=lag_ms)
    return [finding for finding in late if "requests/s" in finding.what]


def test_a_load_that_took_longer_than_its_plan_fell_behind() -> None:
    expected = Finding(
        what="11.3 requests/s were sent where the plan has 12",
        advice="the client fell behind: lower the rate, or give it a CPU of its own (taskset)",
        invalidates=False,
    )
    assert behind(11.3) == [expected]
    assert behind(11.4) == []


def test_a_short_load_did_not_fall_behind_by_a_lag_that_does_not_matter() -> None:
    assert behind(6.0, lag_ms=9.0) == []


def test_what_chance_makes_of_a_rate_is_no_finding() -> None:
    assert found(rate_asked_per_s=10.0, rate_planned_per_s=8.0, rate_achieved_per_s=8.0) == []


@pytest.mark.parametrize(("limit_ms", "invalidates"), [(20.0, False), (4.0, False), (2.5, True), (1.0, True)])
def test_a_limit_that_is_near_to_what_the_machine_allows_is_told(limit_ms: float, invalidates: bool) -> None:
    floor = Floor(first_p50_ms=0.1, first_p99_ms=2.5, lag_p50_ms=0.1, lag_p99_ms=1.0, requests=150, clock="kernel")
    assert found(25.0, floor=floor) == []
    assert found(floor=floor) == []
    assert found(limit_ms, floor=floor) == [
        Finding(
            what="this machine times first tokens to 2.5 ms (p99, against a server whose times are known), and "
            f"the tightest limit is {limit_ms:g} ms",
            advice="give the client a CPU of its own (taskset), or measure where less else runs; inferbench calibrate shows more",
            invalidates=invalidates,
        )
    ]


def connections(**changed: Any) -> ConnectionUse:
    usual = ConnectionUse(opened=7, wait_ms_p50=0.1, wait_ms_p99=5.0, wait_ms_max=6.0, ttft_share=0.25, own_lag_ms_p99=0.1)
    return replace(usual, **changed)


@pytest.mark.parametrize(
    ("use", "rate_planned_per_s", "counts"),
    [
        (connections(), 8.0, "25% of their time to first token"),
        (connections(ttft_share=None), 8.0, "which is in their latencies"),
        (connections(ttft_share=None), None, "which is in no latency"),
    ],
)
def test_waits_for_connections_are_told_where_they_could_change_a_verdict(
    use: ConnectionUse, rate_planned_per_s: float | None, counts: str
) -> None:
    assert found(50.0, connections=use) == []
    assert found(connections=use) == []
    (finding,) = found(40.0, connections=use, rate_planned_per_s=rate_planned_per_s)
    assert finding == Finding(
        what=f"7 requests opened a connection and waited for it: 5 ms at p99, {counts}",
        advice="send as many warm-up requests as will be in flight, so that connections are open before the load begins",
        invalidates=False,
    )


def test_a_server_that_is_slow_to_take_connections_does_not_make_the_client_a_late_one() -> None:
    assert found(send_lag_ms_p99=30.0, connections=connections(wait_ms_p99=30.0)) == []
    (finding,) = found(send_lag_ms_p99=60.0, connections=connections(wait_ms_p99=30.0, own_lag_ms_p99=30.0))
    assert finding.what == "requests were sent late: 30 ms at p99, more than 10 ms"


def test_an_infinite_rate_is_not_missed() -> None:
    assert found(rate_asked_per_s=float("inf"), rate_planned_per_s=0.0, rate_achieved_per_s=100.0) == []


def test_estimated_lengths_are_not_held_against_the_servers() -> None:
    (finding,) = found(token_source="estimated", prompt_drift=drift(900, 1.0))
    assert finding.what == "prompt lengths are estimated: no tokenizer was given"


@pytest.mark.parametrize(
    ("wait_ms", "merged", "limit_ms", "outcome"),
    [
        (60.0, 0.9, 500.0, True),  # a tenth of the limit is 50 ms
        (40.0, 0.9, 500.0, False),
        (60.0, 0.9, None, False),
        (60.0, 0.005, 500.0, None),  # the kernel's stamps make up for it
        (4.0, 0.9, 500.0, None),
        (None, 0.9, 500.0, None),
    ],
)
def test_a_wait_for_a_cpu_matters_where_reads_merge(
    wait_ms: float | None, merged: float, limit_ms: float | None, outcome: bool | None
) -> None:
    audit = replace(FINE, cpu_wait_ms_p99=wait_ms, merged_reads_share=merged)
    found = [each for each in findings(audit, tightest_limit_ms=limit_ms) if "waited for a CPU" in each.what]
    assert [each.invalidates for each in found] == ([] if outcome is None else [outcome])

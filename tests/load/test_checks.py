"""The table of checks: every entry can be told, and none is there that nothing sets off."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_inferbench.load.audit import Audit
from pytest_inferbench.load.cache import CacheUse
from pytest_inferbench.load.checks import CHECKS, Check, Seen
from pytest_inferbench.load.connecting import ConnectionUse
from pytest_inferbench.load.drift import PromptDrift
from pytest_inferbench.load.floor import Floor
from tests.load.test_audit import FINE

LIMIT_MS = 20.0
FLOOR = Floor(first_p50_ms=1.0, first_p99_ms=30.0, lag_p50_ms=1.0, lag_p99_ms=30.0, requests=150, clock="userspace")
CONNECTIONS = ConnectionUse(opened=9, wait_ms_p50=20.0, wait_ms_p99=30.0, wait_ms_max=40.0, ttft_share=0.5, own_lag_ms_p99=30.0)
WRONG = replace(
    FINE,
    send_lag_ms_p99=60.0,
    read_lag_ms_p99=30.0,
    cpu_wait_ms_p99=30.0,
    loop_busy_share=0.99,
    rate_planned_per_s=20.0,
    clock="userspace",
    clock_drift_ms=5.0,
    steal_share=0.5,
    usage_share=0.5,
    output_short_share=0.5,
    output_long_share=0.5,
    prompt_drift=PromptDrift(overhead_tokens=900.0, overhead_tokens_max=256, off_share=0.5),
    starved_ms=5.0,
    cap_waited_share=0.5,
    cap_wait_ms_p99=9.0,
    resends=2,
    connections=CONNECTIONS,
    floor=FLOOR,
)
UNSURE = CacheUse(cache="warm", strict=True, expected_share=0.9, found_share=None, excess_share=0.0)
OTHERWISE = [
    replace(WRONG, token_source="estimated"),
    replace(WRONG, cache_use=replace(UNSURE, found_share=0.9, excess_share=0.5)),
    replace(WRONG, cache_use=UNSURE),
    replace(WRONG, cache_use=replace(UNSURE, found_share=0.1)),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.advice[:40])
def test_every_check_is_set_off_by_something_and_told_in_whole_words(check: Check) -> None:
    audits: list[Audit] = [audit for audit in (WRONG, *OTHERWISE) if check.holds(Seen(audit, LIMIT_MS))]
    assert audits, "nothing sets it off"
    for audit in audits:
        finding = check.finding(Seen(audit, LIMIT_MS))
        assert not set("{}") & set(finding.what)
        assert not {"None", "nan", "inf"} & set(finding.what.split())
        assert finding.advice == check.advice


def test_no_check_is_set_off_by_a_client_without_fault() -> None:
    for limit_ms in (None, LIMIT_MS):
        assert [check for check in CHECKS if check.holds(Seen(FINE, limit_ms))] == []


def test_without_a_limit_nothing_is_too_late_that_only_a_limit_makes_so() -> None:
    held = {check.advice for check in CHECKS if check.holds(Seen(WRONG, LIMIT_MS))}
    without = {check.advice for check in CHECKS if check.holds(Seen(WRONG, None))}
    assert len(held - without) == 3
    assert without < held

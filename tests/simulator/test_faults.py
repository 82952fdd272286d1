"""Faults as decisions: what a plan does at start, with requests, to steps and to memory."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.simulator.faults import FAULTS, FaultPlan, RequestFault, StartFault

draws = st.floats(min_value=0, max_value=1, exclude_max=True)


def plan(*texts: str) -> FaultPlan:
    return FaultPlan.parse(texts)


def asked(*texts: str, index: int = 0, header: str | None = None, draw: float = 0.5) -> RequestFault:
    return plan(*texts).on_request(index, header, draw)


def test_nothing_goes_wrong_without_faults() -> None:
    nothing = plan()
    assert nothing.at_start() == StartFault()
    assert nothing.on_request(10**6, None, 0.0) == RequestFault()
    assert not nothing.crash_due(10**6, 10.0**6)
    assert (nothing.step_factor(100.0), nothing.clock_share(100.0), nothing.leaked_bytes(100.0)) == (1.0, 1.0, 0)


def test_a_start_is_slow_or_never_ends() -> None:
    assert plan("slow-start=1m30s").at_start() == StartFault(delay_s=90.0)
    assert plan("never-ready").at_start() == StartFault(never=True)


def test_a_server_crashes_once_enough_requests_are_answered() -> None:
    crashing = plan("crash-after-requests=3")
    assert [crashing.crash_due(answered, 1e9) for answered in (0, 2, 3, 4)] == [False, False, True, True]


def test_a_server_crashes_once_its_time_has_come() -> None:
    crashing = plan("crash-after=30s")
    assert [crashing.crash_due(10**6, elapsed_s) for elapsed_s in (0.0, 29.9, 30.0)] == [False, False, True]


def test_requests_after_the_first_ones_hang() -> None:
    assert [asked("hang-after-requests=2", index=index).hang for index in range(4)] == [False, False, True, True]


def test_a_stream_stalls_for_ever_unless_a_time_is_given() -> None:
    for_ever, for_a_time = asked("stall-after-tokens=8"), asked("stall-after-tokens=8:for=500ms")
    assert (for_ever.stall_after_tokens, for_ever.stall_s) == (8, inf)
    assert (for_a_time.stall_after_tokens, for_a_time.stall_s) == (8, 0.5)


def test_a_stream_is_reset_after_its_tokens() -> None:
    assert asked("reset-after-tokens=0").reset_after_tokens == 0


def test_usage_is_wrong_or_missing() -> None:
    assert asked("wrong-usage=+5") == RequestFault(usage_offset=5)
    assert asked("wrong-usage=-2") == RequestFault(usage_offset=-2)
    assert asked("missing-usage") == RequestFault(usage=False)


def test_several_tokens_come_in_a_chunk() -> None:
    assert asked("tokens-per-chunk=4") == RequestFault(tokens_per_chunk=4)


def test_a_slow_network_delays_each_write() -> None:
    assert asked("slow-network=10ms").write_pause_s(5000) == pytest.approx(0.01)
    assert asked("slow-network=100KB/s").write_pause_s(5000) == pytest.approx(0.05)
    assert asked().write_pause_s(5000) == 0.0


@given(st.lists(draws, min_size=1, max_size=50))
def test_each_status_has_its_share_of_the_draws(values: list[float]) -> None:
    failing = plan("error-rate=429:0.25", "error-rate=500:50%")
    for value in values:
        expected = 429 if value < 0.25 else 500 if value < 0.75 else None
        assert failing.on_request(0, None, value).status == expected


def test_a_refusal_says_when_to_come_again_where_its_status_does() -> None:
    said = {status: asked(f"error-rate={status}:1").retry_after_s for status in (429, 500, 503)}
    assert said == {429: 1.0, 500: None, 503: 1.0}
    assert asked("error-rate=429:1:retry-after=7s").retry_after_s == 7.0


def test_throttling_slows_steps_between_its_times_only() -> None:
    throttled = plan("throttle=0.5:from=10s:for=20s")
    assert [throttled.step_factor(elapsed_s) for elapsed_s in (0.0, 9.9, 10.0, 29.9, 30.0)] == [1.0, 1.0, 2.0, 2.0, 1.0]
    assert plan("throttle=0.5").clock_share(1e9) == 0.5


def test_a_drift_stays_once_it_has_begun() -> None:
    drifting = plan("drift=10%:from=30s")
    assert [drifting.step_factor(elapsed_s) for elapsed_s in (0.0, 29.9, 30.0, 1e9)] == pytest.approx([1.0, 1.0, 1.1, 1.1])


def test_what_slows_steps_multiplies() -> None:
    assert plan("drift=50%, throttle=0.5").step_factor(1.0) == pytest.approx(3.0)


@given(st.floats(min_value=0, max_value=1e6), st.floats(min_value=0, max_value=1e6))
def test_a_leak_grows_with_time_and_is_never_negative(earlier_s: float, more_s: float) -> None:
    leaking = plan("memory-leak=100MB/s:from=5s")
    assert 0 <= leaking.leaked_bytes(earlier_s) <= leaking.leaked_bytes(earlier_s + more_s)
    assert leaking.leaked_bytes(7.0) == 200_000_000


@given(draws, st.integers(min_value=0, max_value=1000))
def test_a_request_asks_for_its_own_faults(draw: float, index: int) -> None:
    fault = asked(header="stall-after-tokens=2:for=1s, tokens-per-chunk=3", draw=draw, index=index)
    assert fault == RequestFault(stall_after_tokens=2, stall_s=1.0, tokens_per_chunk=3)


def test_a_request_s_fault_takes_the_place_of_the_server_s_of_that_name_only() -> None:
    fault = asked("error-rate=429:1", "wrong-usage=+1", header="error-rate=503:1")
    assert (fault.status, fault.usage_offset) == (503, 1)
    slow = asked("slow-network=10ms", header="slow-network=1KB/s")
    assert (slow.write_delay_s, slow.write_bytes_per_s) == (0.0, 1000.0)


def test_a_header_cannot_ask_for_what_is_of_the_whole_server() -> None:
    with pytest.raises(ConfigError) as caught:
        asked(header="drift=10%")
    assert str(caught.value) == ("x-inferbench-fault: drift is of the whole server; give it at its start: --fault drift=10%")


def test_shares_of_refused_requests_cannot_add_up_to_more_than_all() -> None:
    with pytest.raises(ConfigError) as caught:
        plan("error-rate=429:0.6", "error-rate=500:0.5")
    assert str(caught.value) == "--fault: error-rate: the shares of refused requests add up to more than 1: 0.6 + 0.5"


@pytest.mark.parametrize("form", FAULTS, ids=lambda form: str(form.name))
def test_the_example_of_each_fault_changes_a_plan(form: object) -> None:
    example = getattr(form, "example", "")
    assert plan(example) != plan()

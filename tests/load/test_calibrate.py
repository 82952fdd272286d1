"""A client's times held against a server's log, and a calibration of this machine, small."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.case import Case, Load
from pytest_inferbench.errors import LoadError
from pytest_inferbench.load.calibrate import Spread, Trial, calibrate, drive_known, errors_against, quick
from pytest_inferbench.load.drive import Driven
from pytest_inferbench.load.loopback import Schedule
from tests.traces import MS, lost, streamed, traces_of

QUICK = Trial(
    schedule=Schedule(ttft_ms=5, itl_ms=1, tokens=4),
    closed=Load(concurrency=4, requests=8),
    open=Load(rate_per_s=100, arrival="constant", requests=10),
)


def log_of(*requests: tuple[float, ...]) -> dict[str, list[int]]:
    """A server's log: the instants of the tokens of r0, r1 ..., in milliseconds."""
    return {f"r{i}": [round(at_ms * MS) for at_ms in each] for i, each in enumerate(requests)}


def figures(spread: Spread) -> tuple[float, float, float]:
    return spread.p50_ms, spread.p99_ms, spread.max_ms


def test_an_error_is_the_clients_time_less_the_servers() -> None:
    traces = traces_of([streamed(100, 20, tokens=3), streamed(200, 20, tokens=2)])
    errors = errors_against(traces, log_of((99, 118, 140), (198, 219)))
    assert figures(errors.first) == pytest.approx((1.5, 1.99, 2.0))
    assert figures(errors.last) == pytest.approx((0.5, 0.99, 1.0))
    # Gaps are 20, 20 and 20 for the client; 19, 22 and 21 for the server.
    assert figures(errors.gap) == pytest.approx((1.0, 1.98, 2.0))
    assert (errors.requests, errors.tokens) == (2, 5)


@given(st.integers(-(10**9), 10**9), st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_a_client_that_is_late_by_the_same_time_everywhere_has_no_error_in_gaps(late_ns: int, tokens: list[int]) -> None:
    traces = traces_of([streamed(100 * i, 7, tokens=count) for i, count in enumerate(tokens)])
    edges = zip(traces.event_offset[:-1], traces.event_offset[1:], strict=True)
    log = {f"r{i}": (traces.event_ns[start:end] - late_ns).tolist() for i, (start, end) in enumerate(edges)}
    errors = errors_against(traces, log)
    assert errors.first.p50_ms == errors.last.max_ms == pytest.approx(late_ns / 1e6)
    assert max(tokens) == 1 or errors.gap.max_ms == pytest.approx(0, abs=1e-6)


def test_requests_that_did_not_complete_are_not_compared() -> None:
    errors = errors_against(traces_of([lost(), streamed(100, tokens=1)]), {"r1": [100 * MS]})
    assert (errors.requests, errors.first.max_ms) == (1, 0.0)
    assert np.isnan(errors.gap.p99_ms)


def test_nothing_to_compare_has_no_error_at_all() -> None:
    errors = errors_against(traces_of([]), {})
    assert (errors.requests, errors.tokens) == (0, 0)
    assert np.isnan([errors.first.p50_ms, errors.last.p99_ms, errors.gap.max_ms]).all()


@pytest.mark.parametrize(
    ("log", "problem"),
    [
        ({}, "request r0 completed, and is not in the server's log"),
        ({"r0": [1, 2]}, "request r0 has 3 content events, and the server sent 2 tokens"),
    ],
)
def test_a_log_that_does_not_fit_is_an_error(log: dict[str, list[int]], problem: str) -> None:
    with pytest.raises(LoadError, match=re.escape(problem)):
        errors_against(traces_of([streamed(tokens=3)]), log)


def test_a_calibration_compares_every_token_of_a_real_load() -> None:
    found = calibrate(QUICK)
    assert (found.errors.requests, found.errors.tokens, found.users) == (8, 32, 4)
    assert found.rate_asked_per_s == 100
    assert found.cpu_us_per_token > 0
    assert found.tokens_per_s > 0
    assert found.send_lag_p99_ms >= found.send_lag_p50_ms
    # A client that took another token's time, or counted from something else, would be whole milliseconds early.
    assert found.errors.first.p50_ms > -0.5


def test_a_calibration_with_requests_that_did_not_complete_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def losing(case: Case, *, url: str) -> Driven:
        return replace(drive_known(case, url=url), measured=traces_of([streamed(), lost(error="reset by peer")]))

    monkeypatch.setattr("pytest_inferbench.load.calibrate.drive_known", losing)
    with pytest.raises(LoadError, match="1 of 2 requests to the loopback server did not complete: reset by peer"):
        calibrate(QUICK)


def test_a_quick_calibration_is_one_of_a_process() -> None:
    found = quick()
    assert found.requests == 150
    assert found.first_p99_ms >= found.first_p50_ms > -0.5
    assert found.lag_p99_ms >= found.lag_p50_ms >= 0
    assert quick() is found


def test_a_server_that_does_not_start_is_an_error() -> None:
    with pytest.raises(LoadError, match="jitter must be at least 0 and below 1, not 2"):
        calibrate(replace(QUICK, schedule=replace(QUICK.schedule, jitter=2.0)))

"""Shaped loads, driven against a loopback server: caps, users that start one after the other, ramps and traces."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from pathlib import Path

import numpy as np
import pytest

from pytest_inferbench.cases.case import Load
from pytest_inferbench.cases.traffic import replayed_traffic
from pytest_inferbench.load.calibrate import drive_known, known_case
from pytest_inferbench.load.drive import Driven
from pytest_inferbench.load.loopback.process import Loopback
from pytest_inferbench.load.loopback.schedule import Schedule


def driven(load: Load) -> Driven:
    schedule = Schedule(ttft_ms=20, itl_ms=5, tokens=3)
    with Loopback.start(schedule) as server:
        return drive_known(known_case(load, output_tokens=schedule.tokens), url=server.url)


@pytest.mark.parametrize("warmup", [0, 2])
def test_a_cap_holds_back_what_a_server_is_not_to_have_at_once(warmup: int) -> None:
    load = Load(rate_per_s=inf, arrival="poisson", requests=12, warmup=warmup, max_in_flight=3)
    found = driven(load)
    traces = found.measured
    assert traces.completed.tolist() == [True] * 12
    assert len(set(traces.intended_send_ns.tolist())) == 1, "all are due at once, and latencies count from there"
    assert traces.start_ns.tolist() == traces.intended_send_ns.tolist()
    at_once = [int(((traces.send_ns <= at) & (traces.end_ns > at)).sum()) for at in traces.send_ns]
    assert max(at_once) <= 3
    assert (traces.cap_wait_ns > 0).tolist() == [False] * 3 + [True] * 9
    assert (traces.send_ns >= traces.intended_send_ns + traces.cap_wait_ns).all()
    ends_ns = np.sort(traces.end_ns)
    assert (traces.intended_send_ns + traces.cap_wait_ns)[3:].tolist() == ends_ns[:9].tolist()
    assert found.audit.cap_waited_share == 0.75
    assert found.audit.cap_wait_ms_p99 is not None
    # The wait for the cap is several answers long; the client's own lag is what remains.
    assert found.audit.send_lag_ms_p99 < found.audit.cap_wait_ms_p99


def test_a_cap_that_is_never_reached_changes_nothing() -> None:
    found = driven(Load(rate_per_s=100.0, arrival="constant", requests=5, max_in_flight=1000))
    assert found.measured.cap_wait_ns.tolist() == [0] * 5
    assert (found.audit.cap_wait_ms_p50, found.audit.cap_wait_ms_p99, found.audit.cap_waited_share) == (0.0, 0.0, 0.0)


def test_without_a_cap_there_is_no_wait_for_it() -> None:
    found = driven(Load(rate_per_s=100.0, arrival="constant", requests=3))
    assert (found.audit.cap_wait_ms_p50, found.audit.cap_wait_ms_p99, found.audit.cap_waited_share) == (None, None, None)


def test_users_start_evenly_over_the_ramp_up() -> None:
    found = driven(Load(concurrency=4, requests=16, ramp_up_s=0.2))
    intended_ns = found.measured.intended_send_ns
    starts_ns = {int(intended_ns[0]) + user * 50_000_000 for user in range(4)}
    assert starts_ns <= set(intended_ns.tolist())
    again_ns = set(found.measured.end_ns.tolist())
    assert all(at_ns in again_ns for at_ns in set(intended_ns.tolist()) - starts_ns), "the others: a user who was free again"
    assert found.measured.completed.all()


@pytest.mark.parametrize(
    ("arrival", "ramp_from", "steps"), [("linear", None, None), ("exponential", 10.0, None), ("steps", None, 2)]
)
def test_the_rate_asked_of_a_ramp_is_that_of_its_instants(arrival: str, ramp_from: float | None, steps: int | None) -> None:
    load = Load(rate_per_s=300.0, arrival=arrival, ramp_from_per_s=ramp_from, steps=steps, requests=30)  # type: ignore[arg-type]  # names of arrivals
    found = driven(load)
    span_s = float(np.ptp(found.measured.intended_send_ns)) / 1e9
    assert found.audit.rate_asked_per_s == pytest.approx(29 / span_s)
    assert 29 / span_s < 300


@pytest.mark.parametrize("time_scale", [1.0, 0.5])
def test_a_trace_is_replayed_with_its_times_and_lengths(tmp_path: Path, time_scale: float) -> None:
    path = tmp_path / "t.csv"
    path.write_text("timestamp,input_tokens,output_tokens\n3,8,1\n3.1,12,3\n3.1,5,2\n3.25,30,1\n")
    load = Load(trace=str(path), arrival="trace", requests=None, warmup=2, time_scale=time_scale)
    case = replace(known_case(load, output_tokens=3), traffic=replayed_traffic(str(path)))
    with Loopback.start(Schedule(ttft_ms=20, itl_ms=5, tokens=3)) as server:
        found = drive_known(case, url=server.url)
    due_ns = found.measured.intended_send_ns - found.measured.intended_send_ns[0]
    assert due_ns.tolist() == [round(at * time_scale * 1e9) for at in (0, 0.1, 0.1, 0.25)]
    assert found.measured.prompt_tokens_asked.tolist() == [8, 12, 5, 30]
    assert found.measured.output_tokens_asked.tolist() == [1, 3, 2, 1]
    assert found.warmup.prompt_tokens_asked.tolist() == [8, 12]
    assert found.audit.rate_asked_per_s == pytest.approx(3 / (0.25 * time_scale))

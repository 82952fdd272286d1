from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from math import inf

import pytest

from pytest_inferbench.cases.case import Case, EngineSpec, Load
from pytest_inferbench.cases.traffic import parse_traffic

CASE = Case(
    id="cpu-llamacpp-m-tp1-d8x8-c4",
    suite="chat",
    hardware="cpu",
    engine=EngineSpec(name="llamacpp", args=(("ctx", 8192),)),
    model="m",
    tensor_parallel=1,
    traffic=parse_traffic("D(8,8)"),
    load=Load(concurrency=4),
)


@pytest.mark.parametrize(
    ("load", "label"),
    [
        (Load(concurrency=64), "c64"),
        (Load(rate_per_s=5.0, arrival="poisson"), "r5"),
        (Load(rate_per_s=0.5, arrival="poisson"), "r0.5"),
        (Load(rate_per_s=inf, arrival="poisson"), "rinf"),
        (Load(rate_per_s=5.0, arrival="constant"), "r5const"),
        (Load(rate_per_s=5.0, arrival="gamma", burstiness=0.5), "r5gamma0.5"),
        (Load(rate_per_s=5.0, arrival="linear"), "r5linear"),
        (Load(rate_per_s=5.0, arrival="linear", ramp_from_per_s=1.0), "r1to5linear"),
        (Load(rate_per_s=5.0, arrival="exponential", ramp_from_per_s=0.5), "r0.5to5exp"),
        (Load(rate_per_s=5.0, arrival="steps", steps=4), "r5steps4"),
        (Load(rate_per_s=5.0, arrival="poisson", max_in_flight=32), "r5max32"),
        (Load(concurrency=64, ramp_up_s=10.0), "c64up10s"),
        (Load(concurrency=1, sweep_place=0, sweep_of=4), "c1"),
        (Load(rate_per_s=inf, arrival="poisson", sweep_place=5, sweep_of=4), "rinf"),
        (Load(arrival="constant", sweep_place=1, sweep_of=4, max_in_flight=9), "sweep1of4constmax9"),
        (Load(rate_per_s=3.21, arrival="poisson", sweep_place=1, sweep_of=4), "sweep1of4"),
        (Load(trace="day.csv", arrival="trace"), "trace"),
        (Load(trace="day.csv", arrival="trace", time_scale=0.5, max_in_flight=8), "trace0.5max8"),
    ],
)
def test_a_load_is_labelled_as_it_stands_in_ids(load: Load, label: str) -> None:
    assert load.label == label
    assert load.open_loop == (not label.startswith("c"))


@pytest.mark.parametrize(
    ("load", "shape"),
    [
        (Load(concurrency=64), "closed loop"),
        (Load(concurrency=64, ramp_up_s=10.0), "closed loop, users start over 10 s"),
        (Load(rate_per_s=5.0, arrival="poisson"), "poisson"),
        (Load(rate_per_s=5.0, arrival="gamma", burstiness=0.5), "gamma of burstiness 0.5"),
        (Load(rate_per_s=5.0, arrival="linear", ramp_from_per_s=1.0), "linear from 1"),
        (Load(rate_per_s=5.0, arrival="exponential", ramp_from_per_s=1.0), "exponential from 1"),
        (Load(rate_per_s=5.0, arrival="steps", steps=4), "4 steps"),
        (Load(rate_per_s=5.0, arrival="constant", max_in_flight=32), "constant, at most 32 in flight"),
        (Load(trace="day.csv", arrival="trace", time_scale=0.5), "trace"),
    ],
)
def test_a_load_says_how_requests_arrive_whatever_the_level(load: Load, shape: str) -> None:
    assert load.shape == shape
    assert load.steady == (load.arrival in ("closed", "poisson", "constant", "gamma"))


def test_cases_that_one_server_can_answer_share_its_key() -> None:
    same = replace(
        CASE, id="other", suite="other", traffic=parse_traffic("D(9,9)"), load=Load(concurrency=9), api="completions", slo=("x",)
    )
    assert same.server_key == CASE.server_key


@pytest.mark.parametrize(
    "other",
    [
        replace(CASE, hardware="h100"),
        replace(CASE, model="n"),
        replace(CASE, tensor_parallel=2),
        replace(CASE, engine=EngineSpec(name="vllm", args=CASE.engine.args)),
        replace(CASE, engine=replace(CASE.engine, args=())),
        replace(CASE, engine=replace(CASE.engine, image="x")),
        replace(CASE, engine=replace(CASE.engine, env=(("A", "1"),))),
    ],
)
def test_whatever_makes_a_server_different_is_in_its_key(other: Case) -> None:
    assert other.server_key != CASE.server_key


def test_axes_hold_the_level_under_its_own_name() -> None:
    server = {"suite": "chat", "hardware": "cpu", "engine": "llamacpp", "model": "m", "tp": 1}
    common = {**server, "traffic": "D(8,8)", "cache": "cold", "api": "chat"}
    assert CASE.axes == {**common, "concurrency": 4}
    assert replace(CASE, load=Load(rate_per_s=2.5, arrival="poisson")).axes == {**common, "rate": 2.5}
    assert replace(CASE, load=Load(trace="day.csv", arrival="trace", time_scale=0.5)).axes == {**common, "time_scale": 0.5}
    swept = Load(rate_per_s=3.21, arrival="poisson", sweep_place=1, sweep_of=4)
    assert replace(CASE, load=swept).axes == {**common, "sweep": "1of4", "rate": 3.21}
    assert replace(CASE, load=replace(swept, rate_per_s=None)).axes == {**common, "sweep": "1of4"}


def test_a_case_is_never_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        CASE.model = "n"  # type: ignore[misc]  # what must not be possible

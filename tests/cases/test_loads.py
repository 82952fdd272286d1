"""The load of a case, and what of it contradicts itself."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.case import Case, Load, Origin, SearchSpec
from pytest_inferbench.cases.suite import read_suite, suite_from_mapping
from pytest_inferbench.errors import ConfigError

ONE_LEVEL = "a load is a number of users, a rate, a sweep of rates, a search, or a trace; keep one"
SERVER: dict[str, Any] = {"hardware": "cpu", "engine": "llamacpp", "model": "m"}


def cases(**fields: Any) -> list[Case]:
    return list(suite_from_mapping({**SERVER, **fields}, "suite", Origin(file="test_x.py")).cases())


def load(**fields: Any) -> Load:
    (case,) = cases(traffic="D(8,8)", **fields)
    return case.load


def problem(**fields: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(**fields)
    return str(caught.value).removeprefix("test_x.py: ")


def test_without_an_end_there_are_a_hundred_requests() -> None:
    assert load(concurrency=4) == Load(concurrency=4, arrival="closed", requests=100)
    assert load(rate=4, duration="60s").requests is None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"rate": 5}, Load(rate_per_s=5.0, arrival="poisson")),
        ({"rate": 5, "arrival": "gamma", "burstiness": 0.5}, Load(rate_per_s=5.0, arrival="gamma", burstiness=0.5)),
        ({"rate": 5, "arrival": "linear"}, Load(rate_per_s=5.0, arrival="linear")),
        (
            {"rate": 5, "arrival": "exponential", "ramp_from": "0.5 req/s"},
            Load(rate_per_s=5.0, arrival="exponential", ramp_from_per_s=0.5),
        ),
        (
            {"rate": 1, "arrival": "steps", "ramp_from": 5, "steps": 4},
            Load(rate_per_s=1.0, arrival="steps", ramp_from_per_s=5.0, steps=4),
        ),
        ({"concurrency": 5, "ramp_up": "1m30s"}, Load(concurrency=5, ramp_up_s=90.0)),
        ({"rate": 5, "max_in_flight": 7}, Load(rate_per_s=5.0, arrival="poisson", max_in_flight=7)),
    ],
)
def test_options_shape_the_load(fields: dict[str, Any], expected: Load) -> None:
    assert load(**fields) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"rate": 5, "burstiness": 2}, "burstiness: does nothing with arrival poisson; write arrival: gamma, or leave it out"),
        (
            {"rate": 5, "ramp_from": 2},
            "ramp_from: does nothing with arrival poisson; write one of linear, exponential, steps, or leave it out",
        ),
        (
            {"rate": 5, "arrival": "linear", "steps": 2},
            "steps: does nothing with arrival linear; write arrival: steps, or leave it out",
        ),
        ({"rate": 5, "arrival": "steps"}, "steps: is missing: say how many levels the ramp has, such as 5"),
        (
            {"rate": 5, "arrival": "exponential"},
            "ramp_from: is missing: an exponential ramp multiplies the rate, and cannot begin at none",
        ),
        ({"rate": inf, "arrival": "linear"}, "arrival: 'linear' cannot reach an infinite rate; give a finite one"),
        (
            {"rate": 5, "ramp_from": "inf", "arrival": "linear"},
            "arrival: 'linear' cannot reach an infinite rate; give a finite one",
        ),
        (
            {"rate": 5, "ramp_up": "10s"},
            "ramp_up: is how the users of a closed loop start; give concurrency, or an arrival of linear for a rising rate",
        ),
        (
            {"concurrency": 5, "max_in_flight": 3},
            "max_in_flight: is a cap on an open loop; in a closed loop, concurrency is that already",
        ),
        (
            {"concurrency": 5, "arrival": "gamma"},
            "arrival: 'gamma' does not go with concurrency 5: a number of users is a closed loop; give rate",
        ),
        (
            {"rate": inf, "duration": "5s"},
            "duration: does not end a load of rate inf, which sends everything at once; give requests",
        ),
        ({"rate": 5, "arrival": "gamma", "burstiness": 0}, "burstiness: must be a number above 0, not 0"),
        ({"rate": 5, "arrival": "gamma", "burstiness": "1"}, "burstiness: must be a number above 0, not '1'"),
        ({"rate": 5, "arrival": "gamma", "burstiness": inf}, "burstiness: must be a number above 0, not inf"),
        ({"rate": 5, "arrival": "steps", "steps": 1}, "steps: must be at least 2, not 1"),
        ({"rate": 5, "max_in_flight": 0}, "max_in_flight: must be at least 1, not 0"),
        ({"rate": 5, "time_scale": 2}, "has 'time_scale' without 'trace', whose times it is for"),
    ],
)
def test_an_option_that_does_nothing_or_contradicts_another_is_an_error(fields: dict[str, Any], expected: str) -> None:
    assert problem(**fields).removeprefix("load: ") == expected


# --- sweeps -----------------------------------------------------------------------------------------------------------------


def test_a_sweep_is_its_two_ends_and_the_rates_between_them() -> None:
    found = cases(traffic="D(8,8)", sweep=2, requests=50, warmup=3)
    assert [case.id.rpartition("-")[2] for case in found] == ["c1", "rinf", "sweep1of2", "sweep2of2"]
    ends = [
        Load(concurrency=1, requests=50, warmup=3, sweep_place=0, sweep_of=2),
        Load(rate_per_s=inf, arrival="poisson", requests=50, warmup=3, sweep_place=3, sweep_of=2),
    ]
    between = [Load(arrival="poisson", requests=50, warmup=3, sweep_place=place, sweep_of=2) for place in (1, 2)]
    assert [case.load for case in found] == ends + between


def test_what_shapes_rates_does_not_concern_the_idle_end() -> None:
    found = cases(traffic="D(8,8)", sweep=1, arrival="gamma", burstiness=0.5, max_in_flight=9)
    assert [case.id.rpartition("-")[2] for case in found] == ["c1", "rinfgamma0.5max9", "sweep1of1gamma0.5max9"]
    assert found[0].load == Load(concurrency=1, sweep_place=0, sweep_of=1)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"sweep": 2, "arrival": "linear"},
            "arrival: 'linear' does not go with a sweep, whose rates are steady; write poisson, constant or gamma",
        ),
        (
            {"sweep": 2, "duration": "10s"},
            "duration: does not end a load of rate inf, which sends everything at once; give requests",
        ),
        (
            {"sweep": 2, "rate": 5},
            f"sweep: cannot stand beside 'rate': {ONE_LEVEL}",
        ),
        ({"sweep": 0}, "sweep: must be at least 1, not 0"),
    ],
)
def test_a_sweep_that_contradicts_itself_is_an_error(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cases(traffic="D(8,8)", **fields)
    assert str(caught.value) == f"test_x.py: {expected}"


# --- traces -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "Azure conv.csv"
    path.write_text("timestamp,input_tokens,output_tokens\n0,8,4\n")
    return path


def test_a_trace_is_traffic_and_load_in_one(trace: Path) -> None:
    (case,) = cases(trace=trace)
    assert case.load == Load(trace=str(trace), arrival="trace", requests=None)
    assert case.id == "cpu-llamacpp-m-tp1-azure-conv-trace"
    assert case.traffic.text == "trace(Azure conv)"
    assert case.traffic.input_tokens.kind == case.traffic.output_tokens.kind == "trace"


def test_each_time_scale_is_a_case(trace: Path) -> None:
    found = cases(trace=str(trace), time_scale=[1, 0.5, 2], requests=10)
    assert [case.id.rpartition("-")[2] for case in found] == ["trace", "trace0.5", "trace2"]
    assert [case.load.time_scale for case in found] == [1.0, 0.5, 2.0]
    assert {case.load.requests for case in found} == {10}


def test_a_trace_is_taken_from_the_folder_of_its_suite(trace: Path) -> None:
    suite = trace.parent / "x.bench.yaml"
    suite.write_text("hardware: cpu\nengine: llamacpp\nmatrix: {model: m}\nload: {trace: Azure conv.csv, max_in_flight: 3}\n")
    (case,) = read_suite(suite).cases()
    assert (case.load.trace, case.load.max_in_flight) == (str(trace), 3)


def test_a_trace_replaces_the_load_and_traffic_of_a_base(trace: Path) -> None:
    matrix = "matrix: {model: m, traffic: 'D(8,8)', rate: 5}\nload: {arrival: constant, requests: 7}\n"
    (trace.parent / "base.yaml").write_text(f"hardware: cpu\nengine: llamacpp\n{matrix}")
    suite = trace.parent / "x.bench.yaml"
    suite.write_text("base: base.yaml\nload: {trace: Azure conv.csv}\n")
    (case,) = read_suite(suite).cases()
    assert case.load == Load(trace=str(trace), arrival="trace", requests=7)
    suite.write_text("base: x.bench.yaml\n")
    heir = trace.parent / "y.bench.yaml"
    suite.write_text("base: base.yaml\nload: {trace: Azure conv.csv, time_scale: 2}\n")
    heir.write_text("base: x.bench.yaml\nmatrix: {traffic: 'D(9,9)', concurrency: 2}\n")
    (case,) = read_suite(heir).cases()
    assert case.load == Load(concurrency=2, requests=7)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (
            {"rate": 5},
            f"trace: cannot stand beside 'rate': {ONE_LEVEL}",
        ),
        ({"traffic": "D(8,8)"}, "traffic: cannot stand beside 'trace': a trace says how long requests are; keep one"),
    ],
)
def test_a_trace_stands_alone(trace: Path, other: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cases(trace=trace, **other)
    assert str(caught.value) == f"test_x.py: {expected}"


def test_a_trace_that_is_not_there_is_said_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        cases(trace=str(tmp_path / "none.csv"))
    assert str(caught.value) == f"test_x.py: trace: there is no file {tmp_path}/none.csv"


def test_a_trace_has_its_own_times(trace: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        cases(trace=trace, arrival="constant")
    assert str(caught.value) == "test_x.py: arrival: 'constant' does not go with a trace, which has its own times; leave it out"


def test_an_entry_may_add_a_trace_or_a_rate_but_not_half_of_either(trace: Path) -> None:
    found = cases(traffic="D(8,8)", rate=5, include=[{"trace": str(trace), "time_scale": 2}])
    assert [case.id for case in found] == ["cpu-llamacpp-m-tp1-d8x8-r5", "cpu-llamacpp-m-tp1-azure-conv-trace2"]
    with pytest.raises(ConfigError) as caught:
        cases(trace=trace, include=[{"rate": 5}])
    said = "of a trace and a load level of another kind were mixed; give traffic and rate, or trace alone"
    assert str(caught.value) == f"test_x.py: traffic: {said}"
    with pytest.raises(ConfigError) as caught:
        cases(traffic="D(8,8)", rate=5, include=[{"rate": 5, "trace": str(trace)}])
    said = "has both 'rate' and 'trace': a load is a number of users, a rate, a sweep of rates, a search, or a trace; keep one"
    assert str(caught.value) == f"test_x.py: include[0]: {said}"
    with pytest.raises(ConfigError) as caught:
        cases(traffic="D(8,8)", rate=5, include=[{"traffic": "D(8,8)", "trace": str(trace)}])
    said = "has both 'trace' and 'traffic': a trace says how long requests are; keep one"
    assert str(caught.value) == f"test_x.py: include[0]: {said}"


# --- searches ---------------------------------------------------------------------------------------------------------------

RATE = {"for": "max_rate", "from": 1, "to": 200}
HOW = "give search: {for: max_rate, from: 1, to: 100} in the load, in place of a level"
USERS = {"for": "max_concurrency", "from": 1, "to": 64}


def test_a_search_is_one_case_whose_level_is_still_to_be_found() -> None:
    (case,) = cases(traffic="D(8,8)", search={**RATE, "within": "10%", "most": 4000, "budget": 9000}, requests=400, warmup=3)
    assert case.id.rpartition("-")[2] == "maxrate"
    spec = SearchSpec(metric="max_rate", low=1.0, high=200.0, within=0.1, most=4000, budget=9000)
    assert case.load == Load(arrival="poisson", requests=400, warmup=3, search=spec)
    assert case.load.open_loop


def test_a_search_for_users_is_a_closed_loop() -> None:
    found = load(search=USERS, ramp_up=10)
    assert found == Load(ramp_up_s=10.0, requests=500, search=SearchSpec(metric="max_concurrency", low=1.0, high=64.0))
    assert not found.open_loop
    assert (found.label, found.shape) == ("maxconcurrencyup10s", "closed loop, users start over 10 s")


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({"arrival": "constant"}, "maxrateconst"),
        ({"arrival": "gamma", "burstiness": 0.5, "max_in_flight": 8}, "maxrategamma0.5max8"),
    ],
)
def test_a_search_goes_by_how_requests_arrive(fields: dict[str, Any], label: str) -> None:
    assert load(search=RATE, **fields).label == label


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"search": RATE, "rate": 5},
            f"search: cannot stand beside 'rate': {ONE_LEVEL}",
        ),
        ({"search": {**RATE, "to": 0.5}}, "search: goes from 1 to 0.5; 'to' must be more than 'from'"),
        ({"search": {**RATE, "for": "rate"}}, "search.for: must be 'max_rate' or 'max_concurrency', not 'rate'"),
        ({"search": {"for": "max_rate", "to": 5}}, "search.from: is missing"),
        ({"search": {**RATE, "form": 1}}, "search.form: unknown field (did you mean 'for'?)"),
        (
            {"search": {**USERS, "to": 7.5}},
            "search: is for users, who are counted in whole numbers; write such as from: 1, to: 64",
        ),
        ({"search": {**RATE, "within": 0}}, "search.within: must be more than 0 and at most 1, not 0"),
        (
            {"search": {**RATE, "most": 30}},
            "search: most is 30, and a first load has 500 requests already; give more, or fewer requests",
        ),
        (
            {"search": RATE, "duration": "10s"},
            "duration: does not go with a search, which counts requests; give requests, those of a first load at a level",
        ),
        (
            {"search": RATE, "stop": "when-sure"},
            "stop: does nothing in a search, which asks again where few requests are not sure; leave it out",
        ),
        (
            {"search": RATE, "arrival": "linear"},
            "arrival: 'linear' does not go with a search for max_rate, whose rates are steady; write poisson, constant or gamma",
        ),
        (
            {"search": USERS, "arrival": "poisson"},
            "arrival: 'poisson' does not go with a search for max_concurrency, whose users are a closed loop; leave it out",
        ),
        (
            {"rate": 5, "slo": ["ttft_p99 <= 1s", "max_rate >= 40 req/s"]},
            f"slo: 'max_rate >= 40 req/s': no load has it by itself; {HOW}",
        ),
        (
            {"search": USERS, "slo": ["max_rate >= 40 req/s"]},
            f"slo: 'max_rate >= 40 req/s': the search is for max_concurrency; {HOW}",
        ),
    ],
)
def test_a_search_that_contradicts_itself_is_an_error(fields: dict[str, Any], expected: str) -> None:
    assert problem(**fields) == expected


def test_an_objective_on_what_is_searched_for_is_no_contradiction() -> None:
    assert load(search=RATE, slo=["ttft_p99 <= 1s", "max_rate >= 40 req/s"]).search is not None


def test_an_heir_may_search_where_its_base_has_levels(tmp_path: Path) -> None:
    base = "hardware: cpu\nengine: llamacpp\nmatrix: {model: m, traffic: 'D(8,8)', concurrency: [1, 2]}\n"
    (tmp_path / "base.bench.yaml").write_text(base)
    heir = tmp_path / "heir.bench.yaml"
    heir.write_text("base: base.bench.yaml\nload: {search: {for: max_rate, from: 1, to: 8}, requests: 40}\n")
    assert [case.id for case in read_suite(heir).cases()] == ["cpu-llamacpp-m-tp1-d8x8-maxrate"]

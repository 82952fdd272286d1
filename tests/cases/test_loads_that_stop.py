"""Loads that end as soon as their verdict is sure: how people ask for it, and where that would do nothing."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.case import Case, Load, Origin, Tool
from pytest_inferbench.cases.loads import when_sure
from pytest_inferbench.cases.suite import read_suite, suite_from_mapping
from pytest_inferbench.errors import ConfigError

SERVER: dict[str, Any] = {"hardware": "cpu", "engine": "llamacpp", "model": "m", "traffic": "D(8,8)"}


def cases(**fields: Any) -> list[Case]:
    return list(suite_from_mapping({**SERVER, **fields}, "suite", Origin(file="test_x.py")).cases())


def test_a_suite_says_so_with_the_most_and_the_least() -> None:
    (case,) = cases(rate=5, requests=20_000, stop="when-sure", least=300, warmup=20)
    expected = Load(rate_per_s=5.0, arrival="poisson", requests=20_000, warmup=20, stop_when_sure=True, requests_min=300)
    assert case.load == expected
    assert case.id == cases(rate=5)[0].id, "it is the same case, measured for as long as it takes"


def test_in_a_file_it_stands_under_load(tmp_path: Path) -> None:
    file = tmp_path / "x.bench.yaml"
    file.write_text(
        "hardware: cpu\nengine: llamacpp\nmatrix: {model: m, traffic: 'D(8,8)', concurrency: [1, 4]}\n"
        "load: {duration: 10m, stop: when-sure}\n"
    )
    loads = [case.load for case in read_suite(file).cases()]
    assert [(load.stop_when_sure, load.requests_min, load.duration_s) for load in loads] == [(True, 200, 600.0)] * 2


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"rate": 5, "least": 300}, "least: does nothing without stop: when-sure, whose least number of requests it is"),
        ({"rate": 5, "stop": "sure"}, "stop: must be 'when-sure', not 'sure'"),
        ({"rate": 5, "stop": "when-sure"}, "stop: needs the most that may be sent: give requests, such as 20000, or duration"),
        (
            {"rate": 5, "stop": "when-sure", "requests": 200},
            "stop: cannot end before 200 requests, and the load has 200; give more, or fewer as 'least'",
        ),
        (
            {"rate": inf, "stop": "when-sure", "requests": 2000},
            "stop: does nothing at rate inf, which sends everything at once; leave it out",
        ),
        (
            {"rate": 5, "stop": "when-sure", "requests": 2000, "arrival": "linear"},
            "stop: does not go with arrival linear, whose load is not the same throughout; leave it out",
        ),
    ],
)
def test_where_it_would_do_nothing_it_is_an_error(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cases(**fields)
    assert str(caught.value) == f"test_x.py: {expected}"


def test_of_a_sweep_all_but_its_end_where_everything_is_sent_at_once_stops() -> None:
    loads = [case.load for case in cases(sweep=2, requests=2000, stop="when-sure", least=250)]
    assert [(load.sweep_place, load.stop_when_sure) for load in loads] == [(0, True), (3, False), (1, True), (2, True)]
    assert {load.requests_min for load in loads} == {250}


def test_any_case_can_be_asked_to_stop_when_sure_as_far_as_it_can() -> None:
    closed, *_ = cases(concurrency=3, requests=500)
    assert when_sure(closed) == replace(closed, load=replace(closed.load, stop_when_sure=True))
    for fields in ({"rate": inf, "requests": 500}, {"rate": 5, "arrival": "linear"}):
        (case,) = cases(**fields)
        assert when_sure(case) is case
    foreign = replace(closed, tool=Tool(name="guidellm", image="x", results="/results"))
    assert when_sure(foreign) is foreign

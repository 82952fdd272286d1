"""What cases say of their groups, and the file that carries it."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_inferbench.cases.case import Case, EngineSpec, Lengths, Load, Traffic
from pytest_inferbench.durations import Durations
from pytest_inferbench.grouping import (
    Member,
    StopListener,
    ask_to_stop,
    case_s,
    groups_of,
    member_of,
    read_groups,
    stop_reason,
    tell_groups,
    write_groups,
)

CASE = Case(
    id="h100-vllm-llama-tp2-d100x100-c4",
    suite="chat",
    hardware="h100",
    engine=EngineSpec(name="vllm"),
    model="llama",
    tensor_parallel=2,
    traffic=Traffic(
        text="D(100,100)", input_tokens=Lengths(kind="fixed", first=100), output_tokens=Lengths(kind="fixed", first=100)
    ),
    load=Load(concurrency=4, requests=100),
)
MEMBER = Member(server="a", hardware="h100", devices=2, startup_s=120.0, case_s=60.0)


def loaded(**fields: Any) -> Case:
    return replace(CASE, load=replace(CASE.load, **fields))


def test_a_case_says_which_server_it_needs_and_on_what() -> None:
    member = member_of(CASE)
    assert (member.server, member.hardware, member.devices) == (CASE.server_key, "h100", 2)
    assert member.startup_s > 0
    assert member.case_s == case_s(CASE)


def test_a_server_of_a_cpu_needs_no_devices_and_is_soon_up() -> None:
    member = member_of(replace(CASE, hardware="cpu"))
    assert member.devices == 0
    assert member.startup_s < member_of(CASE).startup_s


def test_a_case_with_a_server_of_its_own_takes_the_start_as_well() -> None:
    fresh = member_of(replace(CASE, fresh_server=True))
    assert fresh.case_s == member_of(CASE).case_s + fresh.startup_s


def test_what_took_how_long_the_last_time_is_better_than_an_estimate() -> None:
    known = Durations(startups_s={CASE.server_key: 33.0}, cases_s={CASE.id: 7.0})
    member = member_of(CASE, known)
    assert (member.startup_s, member.case_s) == (33.0, 7.0)
    assert member_of(replace(CASE, fresh_server=True), known).case_s == 40.0
    other = replace(CASE, id="other", model="other")
    assert member_of(other, known) == member_of(other)


@pytest.mark.parametrize(
    ("longer", "shorter"),
    [
        (loaded(requests=1000), loaded(requests=100)),
        (loaded(warmup=100), loaded(warmup=0)),
        (loaded(concurrency=1), loaded(concurrency=4)),
        (loaded(concurrency=None, rate_per_s=1.0), loaded(concurrency=None, rate_per_s=2.0)),
        (loaded(concurrency=None, rate_per_s=1.0), loaded(concurrency=None, rate_per_s=inf)),
        (loaded(requests=10_000), loaded(requests=10_000, duration_s=30)),
        (replace(CASE, hardware="cpu"), CASE),
        (replace(CASE, traffic=replace(CASE.traffic, turns=5)), CASE),
        (replace(CASE, traffic=replace(CASE.traffic, output_tokens=Lengths(kind="uniform", first=100, second=301))), CASE),
        (replace(CASE, traffic=replace(CASE.traffic, output_tokens=Lengths(kind="choice", choices=(100, 300)))), CASE),
    ],
)
def test_what_has_more_to_do_is_expected_to_take_longer(longer: Case, shorter: Case) -> None:
    assert case_s(longer) > case_s(shorter) > 0


def test_the_rate_or_the_time_of_a_load_is_about_how_long_it_takes() -> None:
    assert 100 <= case_s(loaded(concurrency=None, rate_per_s=1.0)) <= 110
    assert 60 <= case_s(loaded(requests=None, duration_s=60)) <= 70


@pytest.mark.parametrize("load", [Load(trace="a.csv", arrival="trace", requests=None), Load(sweep_place=2, sweep_of=4)])
def test_a_load_of_unknown_length_is_expected_to_take_some_time(load: Load) -> None:
    assert 0 < case_s(replace(CASE, load=load)) < 300


def test_tests_that_are_no_cases_say_nothing() -> None:
    case_item: Any = SimpleNamespace(nodeid="a.py::a[c1]", callspec=SimpleNamespace(params={"case": CASE}))
    other: Any = SimpleNamespace(nodeid="a.py::b")
    assert groups_of([other, case_item]) == {"a.py::a[c1]": member_of(CASE)}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_groups(tmp_path, {"a.py::a": MEMBER, "ä::[b]": replace(MEMBER, server="b")})
    assert read_groups(tmp_path) == {"a.py::a": MEMBER, "ä::[b]": replace(MEMBER, server="b")}
    assert [path.name for path in tmp_path.iterdir()] == ["groups.json"]


def test_the_worker_that_comes_first_has_said_it_for_all(tmp_path: Path) -> None:
    write_groups(tmp_path, {"a": MEMBER})
    write_groups(tmp_path, {"b": MEMBER})
    assert list(read_groups(tmp_path)) == ["a"]


def test_where_there_are_no_cases_nothing_is_written(tmp_path: Path) -> None:
    write_groups(tmp_path, {})
    assert list(tmp_path.iterdir()) == []
    assert read_groups(tmp_path) == {}
    assert read_groups(tmp_path / "elsewhere") == {}


def test_a_worker_that_is_asked_to_stop_begins_nothing_more(tmp_path: Path) -> None:
    item: Any = SimpleNamespace(session=SimpleNamespace(shouldstop=False))
    listener = StopListener(tmp_path)
    assert listener.pytest_runtest_protocol(item) is None
    assert stop_reason(tmp_path) is None
    ask_to_stop(tmp_path, "stopping after 1 failures")
    assert listener.pytest_runtest_protocol(item) is True
    assert item.session.shouldstop == "stopping after 1 failures"


def test_a_worker_with_cases_writes_them_down_and_listens(tmp_path: Path) -> None:
    case_item: Any = SimpleNamespace(nodeid="a.py::a[c1]", callspec=SimpleNamespace(params={"case": CASE}))
    plugins: dict[str, object] = {}
    config: Any = SimpleNamespace(pluginmanager=SimpleNamespace(register=lambda plugin, name: plugins.update({name: plugin})))
    tell_groups(config, [], tmp_path)
    assert plugins == {}
    tell_groups(config, [case_item], tmp_path)
    assert read_groups(tmp_path) == {"a.py::a[c1]": member_of(CASE)}
    assert isinstance(plugins["inferbench-stop-listener"], StopListener)


def test_hardware_has_the_name_that_the_inventory_gives_it() -> None:
    assert member_of(replace(CASE, hardware="NVIDIA H100 80GB HBM3")).hardware == "h100"


def test_asking_where_nobody_is_left_asks_nobody(tmp_path: Path) -> None:
    ask_to_stop(tmp_path / "gone", "stopping after 1 failures")
    assert stop_reason(tmp_path / "gone") is None

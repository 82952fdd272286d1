"""The scheduler in sessions on a clock that jumps: who runs what, and that no session waits for ever."""

from __future__ import annotations

import random
from collections.abc import Mapping
from itertools import groupby, pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_inferbench.devices.packing import bound_s
from pytest_inferbench.dispatch import runs_of
from pytest_inferbench.grouping import Member, stop_reason, write_groups

pytest.importorskip("xdist")

from xdist.remote import Producer
from xdist.scheduler import LoadScheduling

from pytest_inferbench.scheduling import ServerScheduling, auto_workers, capacity_of, make_scheduler
from tests.simulated_xdist import COLLECTED_S, World, random_suite, served

LOG = Producer("test", enabled=False)
H100 = {"h100": 8}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return lambda: tmp_path_factory.mktemp("handover")


def play(world: World, folder: Path, capacity: Mapping[str, int] | None = H100) -> World:
    write_groups(folder, world.suite)
    return world.run(ServerScheduling(world.config, LOG, folder=folder, capacity=capacity, clock=world.clock))


def lower_bound_s(world: World) -> float:
    """Of the session's length, with what its cases take in truth."""
    groups, _ = runs_of(world.collection, world.suite, capacity=H100, workers=8)
    return bound_s([run.group for run in groups], H100)


def off(suite: Mapping[str, Member], seed: int, share: float) -> dict[str, float]:
    """How long cases and starts take in truth, where estimates are wrong by up to a share of it."""
    draw = random.Random(seed)  # noqa: S311 - the same seed must give the same truth
    cases = {nodeid: member.case_s * draw.uniform(1 - share, 1 + share) for nodeid, member in suite.items()}
    startups_s = {member.server: member.startup_s for member in suite.values()}
    return cases | {server: startup_s * draw.uniform(1 - share, 1 + share) for server, startup_s in startups_s.items()}


def true_suite(world: World) -> dict[str, Member]:
    return {
        nodeid: Member(
            server=member.server,
            hardware=member.hardware,
            devices=member.devices,
            startup_s=world.actual_s.get(member.server, member.startup_s),
            case_s=world.actual_s.get(nodeid, member.case_s),
        )
        for nodeid, member in world.suite.items()
    }


def by_worker(world: World) -> dict[str, list[str]]:
    """What each worker began, in order."""
    found: dict[str, list[str]] = {}
    for _, worker, nodeid in world.begun:
        found.setdefault(worker, []).append(nodeid)
    return found


def servers_of(world: World) -> dict[str, list[str | None]]:
    """The servers that each worker started, in order; None for ordinary tests."""
    return {
        worker: [key for key, _ in groupby(world.server_of(nodeid) for nodeid in begun)]
        for worker, begun in by_worker(world).items()
    }


# -- how full the machine is ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("share", [0.0, 0.3], ids=["exact", "off by 30 %"])
def test_eight_gpus_are_full_and_each_server_starts_once(seed: int, share: float, tmp_path: Path) -> None:
    """All of 100 seeds: ``tests/benchmarks/packing.py``."""
    suite = random_suite(seed)
    world = play(World(suite=suite, actual_s=off(suite, seed, share)), tmp_path)
    truth = World(suite=true_suite(world))
    assert (world.measured_s - COLLECTED_S) / lower_bound_s(truth) <= 1.10
    assert world.starts == {f"s{server}": 1 for server in range(24)}
    assert world.devices_max <= 8
    assert world.done == dict.fromkeys(suite, 1)


# -- sessions that must end -------------------------------------------------------------------------------------------

servers = st.lists(
    st.tuples(
        st.sampled_from(["h100", "h100", "h100", "cpu", "mi300x"]),
        st.sampled_from([1, 2, 4, 8, 16]),
        st.floats(0, 100),
        st.lists(st.floats(0.1, 100), min_size=1, max_size=4),
    ),
    max_size=7,
)


@st.composite
def worlds(draw: st.DrawFn, *, deadly: bool) -> World:
    """Sessions of any shape; in the deadly ones, workers die at any time, at their start too."""
    suite: dict[str, Member] = {}
    for number, (hardware, devices, startup_s, cases_s) in enumerate(draw(servers)):
        needed = 0 if hardware == "cpu" else devices
        suite |= served(f"s{number}", devices=needed, startup_s=startup_s, cases_s=cases_s, hardware=hardware)
    ordinary = [f"test_it.py::test_{number}" for number in range(draw(st.integers(0, 9)))]
    collection = draw(st.permutations([*suite, *ordinary]))
    times = st.dictionaries(st.sampled_from([f"gw{number}" for number in range(6)]), st.floats(0, 500), max_size=5)
    return World(
        suite=suite,
        collection=collection,
        workers=draw(st.integers(1, 5)),
        actual_s=off(suite, draw(st.integers(0, 99)), 0.9),
        deaths_s=draw(times) if deadly else {},
        retried=deadly and draw(st.booleans()),
    )


@settings(max_examples=60, deadline=None)
@given(worlds(deadly=False))
def test_every_test_runs_once_and_each_server_is_one_stretch_on_one_worker(folders: Any, world: World) -> None:
    assert play(world, folders()).devices_max <= 8
    assert world.done == dict.fromkeys(world.collection, 1)
    assert world.starts == dict.fromkeys((member.server for member in world.suite.values()), 1)
    # The order within a server is that of the collection: ends of a sweep come before what lies between them.
    for begun in by_worker(world).values():
        for _, group in groupby(begun, key=world.server_of):
            places = [world.collection.index(nodeid) for nodeid in group]
            if world.server_of(world.collection[places[0]]) is not None:
                assert places == sorted(places)


@settings(max_examples=60, deadline=None)
@given(worlds(deadly=True))
def test_what_a_dead_worker_leaves_is_run_by_others(folders: Any, world: World) -> None:
    assert play(world, folders()).devices_max <= 8
    for nodeid in world.collection:
        ran, crashed = world.done.get(nodeid, 0), world.crashed.count(nodeid)
        assert ran == 1 if world.retried else ran + crashed == 1, nodeid


@settings(max_examples=40, deadline=None)
@given(worlds(deadly=True), st.integers(0, 2))
def test_a_session_that_replaces_no_more_workers_ends(folders: Any, world: World, restarts_max: int) -> None:
    world.restarts_max = restarts_max
    play(world, folders())
    assert max(world.done.values(), default=1) == 1


@settings(max_examples=60, deadline=None)
@given(worlds(deadly=False))
def test_one_at_a_time_is_one_at_a_time_and_on_one_worker(folders: Any, world: World) -> None:
    play(world, folders(), None)
    # A suite without cases is xdist's own to schedule: there is nothing to measure.
    if world.suite:
        assert len(by_worker(world)) == 1
        assert all(at_s >= world.ended[before] for (_, _, before), (at_s, _, _) in pairwise(world.begun))
    assert world.done == dict.fromkeys(world.collection, 1)


# -- who runs what ----------------------------------------------------------------------------------------------------


def test_a_worker_begins_its_next_group_when_its_devices_come_free(tmp_path: Path) -> None:
    suite = served("a", devices=8, startup_s=60, cases_s=[30, 30]) | served("b", devices=8, startup_s=60, cases_s=[30])
    world = play(World(suite=suite, workers=1), tmp_path)
    assert [(at_s, nodeid) for at_s, _, nodeid in world.begun] == [(2, "a::0"), (92, "a::1"), (122, "b::0")]


def test_groups_of_one_case_each_follow_one_another(tmp_path: Path) -> None:
    suite = {nodeid: member for key in "abcde" for nodeid, member in served(key, devices=8, startup_s=1, cases_s=[1]).items()}
    world = play(World(suite=suite, workers=3), tmp_path)
    assert [at_s for at_s, _, _ in world.begun] == [2, 4, 6, 8, 10]


def test_workers_that_nobody_needs_are_sent_home_at_once(tmp_path: Path) -> None:
    suite = served("a", devices=8, startup_s=60, cases_s=[30, 30]) | served("b", devices=8, startup_s=60, cases_s=[30])
    world = World(suite=suite, workers=4)
    seen: list[list[bool]] = []
    world.at(COLLECTED_S + 1, lambda: seen.append([node.gone for node in world.nodes]))
    play(world, tmp_path)
    assert sorted(seen[0]) == [False, True, True, True]


def test_ordinary_tests_go_first_and_cpu_servers_wait_for_them(tmp_path: Path) -> None:
    suite = served("cpu", devices=0, startup_s=10, cases_s=[5, 5], hardware="cpu")
    world = World(suite=suite, collection=[*suite, *(f"test_it.py::{number}" for number in range(16))], workers=2)
    play(world, tmp_path)
    ordinary_end_s = max(at_s for nodeid, at_s in world.ended.items() if nodeid not in suite)
    (first_s,) = (at_s for at_s, _, nodeid in world.begun if nodeid == "cpu::0")
    assert first_s == ordinary_end_s == COLLECTED_S + 8


def test_servers_of_one_cpu_run_one_after_the_other(tmp_path: Path) -> None:
    suite = {
        nodeid: member
        for key in "abc"
        for nodeid, member in served(key, devices=0, startup_s=10, cases_s=[5], hardware="cpu").items()
    }
    assert play(World(suite=suite, workers=4), tmp_path).measured_s == COLLECTED_S + 45


def test_cases_whose_hardware_is_not_here_wait_for_nothing(tmp_path: Path) -> None:
    suite = served("a", devices=8, startup_s=60, cases_s=[30]) | served("b", devices=2, startup_s=0, cases_s=[1], hardware="b200")
    world = play(World(suite=suite, workers=2), tmp_path)
    assert {nodeid: at_s for at_s, _, nodeid in world.begun} == {"a::0": 2, "b::0": 2}


def test_a_dead_workers_group_goes_to_another_worker_that_starts_its_server_anew(tmp_path: Path) -> None:
    suite = served("a", devices=8, startup_s=60, cases_s=[30] * 4) | served("b", devices=8, startup_s=60, cases_s=[30])
    world = play(World(suite=suite, workers=2, deaths_s={"gw0": 100}), tmp_path)
    assert world.crashed == ["a::1"]
    assert world.starts == {"a": 2, "b": 1}
    assert set(world.done) == {"a::0", "a::2", "a::3", "b::0"}


def test_a_worker_that_dies_while_it_waits_for_devices_has_crashed_in_nothing(tmp_path: Path) -> None:
    suite = served("a", devices=4, startup_s=0, cases_s=[10]) | served("b", devices=4, startup_s=0, cases_s=[100])
    suite |= served("wide", devices=8, startup_s=0, cases_s=[10])
    world = World(suite=suite, workers=2)
    world.at(50, lambda: world.kill(next(node for node in world.nodes if node.running is None and not node.gone)))
    play(world, tmp_path)
    assert world.crashed == []
    assert world.done == dict.fromkeys(suite, 1)


def test_workers_hear_why_to_stop_before_they_are_shut_down(tmp_path: Path) -> None:
    suite = served("a", devices=8, startup_s=60, cases_s=[30] * 4) | served("b", devices=8, startup_s=60, cases_s=[30])
    world = World(suite=suite, workers=1)
    heard: list[str | None] = []
    world.at(70, lambda: world.stop("stopping after 1 failures"))
    world.on_shutdown = lambda: heard.append(stop_reason(tmp_path))
    play(world, tmp_path)
    assert heard[0] == "stopping after 1 failures"
    assert "a::3" not in world.done


def test_a_replacement_that_collects_something_else_gets_nothing_and_that_is_said(tmp_path: Path) -> None:
    suite = served("a", devices=4, startup_s=1, cases_s=[30] * 4) | served("b", devices=4, startup_s=1, cases_s=[250, 250])
    world = play(World(suite=suite, workers=2, deaths_s={"gw0": 40}, clones_collect=["other::0"]), tmp_path)
    (report,) = world.reports
    assert "Different tests were collected between the first worker and gw2" in str(report.longrepr)
    assert by_worker(world).keys() == {"gw0", "gw1"}
    assert set(world.done) | set(world.crashed) == set(suite)


def test_a_session_whose_last_worker_is_replaced_by_one_that_cannot_help_ends(tmp_path: Path) -> None:
    suite = served("a", devices=4, startup_s=1, cases_s=[30] * 4)
    world = World(suite=suite, workers=1, deaths_s={"gw0": 40}, clones_collect=["other::0"])
    with pytest.raises(RuntimeError, match="no active workers"):
        play(world, tmp_path)


# -- xdist's own, where there is nothing to add -----------------------------------------------------------------------


def test_a_session_without_cases_is_scheduled_as_by_xdist_itself(tmp_path: Path) -> None:
    ours, theirs = (World(suite={}, collection=[f"test_it.py::{number}" for number in range(37)], workers=3) for _ in range(2))
    play(ours, tmp_path)
    theirs.run(LoadScheduling(theirs.config, LOG))
    assert ours.begun == theirs.begun
    assert len(ours.done) == 37


def test_cases_that_no_file_tells_of_are_scheduled_as_by_xdist_itself(tmp_path: Path) -> None:
    suite = served("a", devices=8, startup_s=60, cases_s=[30] * 5)
    ours, theirs = World(suite=suite, workers=2), World(suite=suite, workers=2)
    ours.run(ServerScheduling(ours.config, LOG, folder=tmp_path / "elsewhere", capacity=H100))
    theirs.run(LoadScheduling(theirs.config, LOG))
    assert ours.begun == theirs.begun


def test_workers_that_collect_different_cases_are_xdists_to_report(tmp_path: Path) -> None:
    suite = served("a", devices=8, startup_s=60, cases_s=[30] * 5)
    world = World(suite=suite, workers=2, odd_one=["other::0"])
    play(world, tmp_path)
    assert world.done == {}
    (report,) = world.reports
    assert "Different tests were collected between gw0 and gw1" in str(report.longrepr)


@pytest.mark.parametrize(
    ("dist", "tx", "ours"),
    [
        ("load", ["popen", "popen"], True),
        ("load", ["3*popen//python=python3.12"], True),
        ("loadfile", ["popen"], False),
        ("worksteal", ["popen"], False),
        ("each", ["popen"], False),
        ("load", ["popen", "ssh=gpu1"], False),
        ("load", ["popen//via=gpu1"], False),
    ],
)
def test_only_the_default_distribution_on_this_host_is_ours(dist: str, tx: list[str], ours: bool, tmp_path: Path) -> None:
    config: Any = SimpleNamespace(getvalue={"dist": dist, "tx": tx}.get, getoption=lambda _: None)
    assert (make_scheduler(config, LOG, folder=tmp_path, devices=["cpu"], serial=False) is not None) is ours


def test_there_is_a_worker_for_each_gpu_and_xdists_own_number_without_any() -> None:
    assert auto_workers(["cpu", "h100", "h100", "l4"]) == 3
    assert auto_workers(["cpu"]) is None


def test_capacity_is_the_number_of_gpus_by_name() -> None:
    assert capacity_of(["cpu", "h100", "h100", "l4"]) == {"h100": 2, "l4": 1}


def test_nothing_is_ever_taken_back_from_a_worker(tmp_path: Path) -> None:
    scheduler = ServerScheduling(World(suite={}).config, LOG, folder=tmp_path, capacity=H100)
    with pytest.raises(NotImplementedError):
        scheduler.remove_pending_tests_from_node(SimpleNamespace(), [0])

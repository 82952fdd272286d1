"""Packing of groups on devices, on made-up estimates."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_inferbench.devices.packing import (
    Busy,
    Floor,
    Group,
    Start,
    bound_s,
    forecast,
    makespan_s,
    next_start,
    planned,
    side_by_side,
)

H100 = {"h100": 8}
IDLE = tuple(f"gw{number}" for number in range(8))


def group(key: str, devices: int, duration_s: float, hardware: str = "h100") -> Group:
    return Group(key=key, hardware=hardware, devices=devices, startup_s=0.0, cases_s=(duration_s,))


def started(starts: Sequence[Start]) -> list[tuple[str, str, float]]:
    return [(start.group.key, start.worker, start.at_s) for start in starts]


groups = st.lists(
    st.builds(
        Group,
        key=st.uuids().map(str),
        hardware=st.sampled_from(["h100", "l4"]),
        devices=st.sampled_from([0, 1, 2, 4]),
        startup_s=st.floats(0, 300),
        cases_s=st.lists(st.floats(0.1, 120), min_size=1, max_size=5).map(tuple),
    ),
    max_size=14,
    unique_by=lambda one: one.key,
)
capacities = st.fixed_dictionaries({"h100": st.integers(4, 8), "l4": st.integers(4, 5)})


def test_a_group_takes_the_start_of_its_server_and_all_of_its_cases() -> None:
    assert Group(key="a", hardware="cpu", devices=0, startup_s=60, cases_s=(30, 40)).duration_s == 130


def test_groups_that_fit_start_now_and_others_when_devices_come_free() -> None:
    waiting = [group("a", 4, 100), group("b", 8, 50), group("c", 4, 30)]
    assert started(forecast(waiting, Floor(capacity=H100, idle=IDLE))) == [("a", "gw0", 0), ("c", "gw1", 0), ("b", "gw2", 100)]


def test_without_a_free_worker_a_group_waits_for_one() -> None:
    waiting = [group("a", 1, 100), group("b", 1, 50)]
    assert started(forecast(waiting, Floor(capacity=H100, idle=("gw0",)))) == [("a", "gw0", 0), ("b", "gw0", 100)]


def test_what_runs_holds_its_devices_and_its_worker_takes_a_group_when_it_ends() -> None:
    busy = (Busy(worker="gw0", hardware="h100", devices=8, remaining_s=20),)
    assert started(forecast([group("a", 2, 10)], Floor(capacity=H100, busy=busy))) == [("a", "gw0", 20)]


def test_a_worker_that_leaves_gives_its_devices_back_and_takes_nothing() -> None:
    busy = (Busy(worker=None, hardware="h100", devices=8, remaining_s=20),)
    floor = Floor(capacity=H100, busy=busy, idle=("gw1",))
    assert started(forecast([group("a", 8, 10)], floor)) == [("a", "gw1", 20)]
    assert forecast([group("a", 8, 10)], Floor(capacity=H100, busy=busy)) == ()


def test_a_bound_group_is_for_its_worker_alone_and_that_worker_for_it_alone() -> None:
    busy = (Busy(worker="gw0", hardware="h100", devices=1, remaining_s=20),)
    floor = Floor(capacity=H100, busy=busy, idle=("gw1",), bound={"gw0": "a"})
    waiting = [group("a", 1, 10), group("b", 1, 10), group("c", 1, 10)]
    assert started(forecast(waiting, floor)) == [("b", "gw1", 0), ("c", "gw1", 10), ("a", "gw0", 20)]


def test_a_bound_worker_that_waits_starts_as_soon_as_there_are_devices() -> None:
    busy = (Busy(worker="gw0", hardware="h100", devices=8, remaining_s=20),)
    floor = Floor(capacity=H100, busy=busy, bound={"gw1": "a"})
    assert next_start([group("a", 1, 10)], floor) is None
    assert started(forecast([group("a", 1, 10)], floor)) == [("a", "gw1", 20)]


def test_next_start_is_the_first_that_can_start_now() -> None:
    busy = (Busy(worker="gw0", hardware="h100", devices=4, remaining_s=20),)
    start = next_start([group("a", 8, 10), group("b", 4, 10)], Floor(capacity=H100, busy=busy, idle=("gw1",)))
    assert start == Start(worker="gw1", group=group("b", 4, 10), at_s=0)
    assert next_start([], Floor(capacity=H100, idle=IDLE)) is None


@pytest.mark.parametrize("waiting", [[group("a", 9, 1)], [group("a", 1, 1, "mi300x")]])
def test_a_group_that_can_never_fit_has_no_start_and_keeps_nobody_waiting(waiting: list[Group]) -> None:
    floor = Floor(capacity=H100, idle=IDLE)
    assert started(forecast([*waiting, group("b", 8, 1)], floor)) == [("b", "gw0", 0)]


def test_a_wide_group_does_not_starve_behind_narrow_ones() -> None:
    narrow = [group(f"n{number}", 1, 60 + number) for number in range(40)]
    order = planned([*narrow, group("wide", 8, 100)], H100, workers=8)
    starts = {start.group.key: start.at_s for start in forecast(order, Floor(capacity=H100, idle=IDLE))}
    # First of all or last of all: in between, devices would idle while it waits for the last of eight.
    assert starts["wide"] == min(starts.values()) or starts["wide"] == max(starts.values())
    assert makespan_s(order, H100, workers=8) <= 1.1 * bound_s(order, H100)


def test_small_groups_fill_the_gaps_beside_wide_ones() -> None:
    waiting = [*(group(f"small{number}", 1, 50) for number in range(8)), group("a", 4, 100), group("b", 4, 100)]
    assert makespan_s(planned(waiting, H100, workers=8), H100, workers=8) == bound_s(waiting, H100) == 150


def test_the_longest_starts_first_where_the_end_hangs_on_it() -> None:
    waiting = [*(group(f"short{number}", 1, 50) for number in range(14)), group("long", 1, 100)]
    order = planned(waiting, H100, workers=8)
    assert makespan_s(order, H100, workers=8) == 100
    assert makespan_s(waiting, H100, workers=8) == 150


def test_groups_stay_as_they_are_where_nothing_is_to_be_gained() -> None:
    waiting = tuple(group(f"{number}", 1, 10.0 * number, "cpu") for number in range(5))
    assert planned(waiting, {"cpu": 1}, workers=4) == waiting


def test_nothing_to_plan_is_a_plan() -> None:
    assert planned([], H100, workers=8) == ()
    assert makespan_s([], H100, workers=8) == 0
    assert bound_s([], H100) == 0


def test_the_bound_is_the_longest_group_or_the_work_over_the_devices() -> None:
    assert bound_s([group("a", 1, 100), group("b", 8, 10)], H100) == 100
    assert bound_s([group("a", 4, 100), group("b", 8, 60)], H100) == 110


def test_as_many_workers_are_useful_as_groups_fit_side_by_side() -> None:
    assert side_by_side([group("a", 8, 1), group("b", 8, 1)], H100) == 1
    assert side_by_side([group("a", 8, 1), *(group(f"{number}", 2, 1) for number in range(9))], H100) == 4
    assert side_by_side([group("a", 1, 1, "l4"), group("b", 0, 1), group("c", 1, 1)], {**H100, "l4": 1}) == 3


@settings(max_examples=60, deadline=None)
@given(groups, capacities, st.integers(1, 8))
def test_never_more_devices_or_workers_than_there_are_and_each_group_starts_once(
    waiting: list[Group], capacity: dict[str, int], workers: int
) -> None:
    order = planned(waiting, capacity, workers=workers)
    floor = Floor(capacity=capacity, idle=tuple(f"gw{number}" for number in range(workers)))
    starts = forecast(order, floor)
    assert sorted(start.group.key for start in starts) == sorted(one.key for one in waiting)
    for instant_s in {start.at_s for start in starts}:
        running = [start for start in starts if start.at_s <= instant_s < start.at_s + start.group.duration_s]
        assert len({start.worker for start in running}) == len(running)
        for hardware, number in capacity.items():
            assert sum(start.group.devices for start in running if start.group.hardware == hardware) <= number


@settings(max_examples=60, deadline=None)
@given(groups, capacities, st.integers(1, 8))
def test_a_plan_is_never_longer_than_the_order_given_and_is_the_same_again(
    waiting: list[Group], capacity: dict[str, int], workers: int
) -> None:
    order = planned(waiting, capacity, workers=workers)
    took_s = makespan_s(order, capacity, workers=workers)
    assert bound_s(waiting, capacity) - 1e-6 <= took_s <= makespan_s(waiting, capacity, workers=workers) + 1e-6
    assert planned(waiting, capacity, workers=workers) == order

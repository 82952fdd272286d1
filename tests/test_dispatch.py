"""What runs a session is made of, and in what order; how they reach workers is in the tests of `scheduling`."""

from __future__ import annotations

from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from pytest_inferbench.dispatch import CPU, HOST, Dispatch, Run, runs_of
from pytest_inferbench.grouping import Member


def member(server: str, devices: int = 1, hardware: str = "h100", case_s: float = 10.0) -> Member:
    return Member(server=server, hardware=hardware, devices=devices, startup_s=5.0, case_s=case_s)


def shapes(runs: list[Run]) -> list[tuple[str, str, int, list[int]]]:
    return [(run.key, run.hardware, run.devices, list(run.left)) for run in runs]


def test_cases_of_a_server_are_one_run_in_the_order_of_the_collection() -> None:
    members = {"b1": member("b"), "a1": member("a"), "b2": member("b")}
    runs, room = runs_of(["b1", "a1", "b2"], members, capacity={"h100": 8}, workers=2)
    assert shapes(runs) == [("b", "h100", 1, [0, 2]), ("a", "h100", 1, [1])]
    assert room == {"h100": 8, CPU: 2}
    assert runs[0].group.duration_s == 25


def test_other_tests_come_first_in_slices_of_their_order() -> None:
    names = [f"test_{number}" for number in range(20)]
    runs, _ = runs_of(["a1", *names], {"a1": member("a")}, capacity={"h100": 8}, workers=2)
    *slices, case = shapes(runs)
    assert case == ("a", "h100", 1, [0])
    assert [index for _, _, _, indices in slices for index in indices] == list(range(1, 21))
    assert {(hardware, devices, len(indices)) for _, hardware, devices, indices in slices[:-1]} == {(CPU, 1, 3)}


def test_a_server_of_the_cpu_takes_all_of_it() -> None:
    runs, _ = runs_of(["a1"], {"a1": member("a", 0, "cpu")}, capacity={}, workers=3)
    assert shapes(runs) == [("a", CPU, 3, [0])]


@pytest.mark.parametrize("absent", [member("a", 9), member("a", 1, "mi300x")])
def test_a_server_that_cannot_be_here_needs_nothing(absent: Member) -> None:
    runs, _ = runs_of(["a1"], {"a1": absent}, capacity={"h100": 8}, workers=3)
    assert shapes(runs) == [("a", CPU, 0, [0])]


def test_where_any_gpu_will_do_the_kind_of_which_most_are_here_is_counted_on() -> None:
    runs, _ = runs_of(["a1"], {"a1": member("a", 2, "gpu")}, capacity={"h100": 2, "l4": 4}, workers=3)
    assert shapes(runs) == [("a", "l4", 2, [0])]
    for capacity in ({"h100": 1, "l4": 1}, {}):
        runs, _ = runs_of(["a1"], {"a1": member("a", 2, "gpu")}, capacity=capacity, workers=3)
        assert shapes(runs) == [("a", CPU, 0, [0])], "soon skipped"


def test_one_case_at_a_time_means_one_place_for_all_and_the_order_of_the_collection() -> None:
    members = {"a1": member("a", case_s=1), "b1": member("b", 0, "cpu", case_s=9)}
    runs, room = runs_of(["a1", "b1", "test_it"], members, capacity=None, workers=4)
    assert [(run.hardware, run.devices, list(run.left)) for run in runs] == [(HOST, 1, [2]), (HOST, 1, [0]), (HOST, 1, [1])]
    assert room == {HOST: 1}


def test_a_test_that_a_worker_was_not_given_cannot_end_there() -> None:
    dispatch = Dispatch([], {}, clock=lambda: 0.0)
    node = Mock(gateway=SimpleNamespace(id="gw0"), shutting_down=False)
    dispatch.join(node)
    with pytest.raises(ValueError, match="gw0 has ended item 7, which it was not given"):
        dispatch.complete(node, 7)

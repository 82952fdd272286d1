"""Two sides in turns: the plan, and the run of it."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.ab import Side, Slot, Turn, Turns, Where, joined, plan, run
from pytest_inferbench.errors import EngineError


def sides(slots: Sequence[Slot]) -> str:
    return "".join(slot.side for slot in slots)


def name(slot: Slot, case_id: str) -> str:
    return f"{case_id}{slot.side}{slot.block}{slot.place}"


def test_blocks_are_turned_round_in_turn() -> None:
    assert sides(plan(3)) == "ABBABAABABBA"
    assert sides(plan(1, first=1)) == "BAAB"


@given(st.integers(1, 30), st.integers(0, 5))
def test_in_each_block_both_sides_have_the_same_middle_in_time(blocks: int, first: int) -> None:
    slots = plan(blocks, first=first)
    for block in range(first, first + blocks):
        places = [sum(slot.place for slot in slots if slot.block == block and slot.side is side) for side in Side]
        assert places[0] == places[1]


@given(st.integers(1, 30))
def test_neighbours_of_a_pair_are_one_of_each_side(blocks: int) -> None:
    slots = plan(blocks)
    for pair in range(2 * blocks):
        assert sorted(slot.side for slot in slots if slot.pair == pair) == ["A", "B"]


def test_every_case_is_measured_in_each_slot() -> None:
    done = run(plan(1), ["x", "y"], measure=name)
    assert [turn.measured for turn in done.taken] == ["xA00", "yA00", "xB01", "yB01", "xB02", "yB02", "xA03", "yA03"]
    assert done.whole("y") == (["yA00", "yA03"], ["yB01", "yB02"])
    assert not done.interrupted


def test_a_case_that_fails_is_lost_and_the_others_go_on() -> None:
    asked: list[str] = []

    def measure(slot: Slot, case_id: str) -> str:
        asked.append(name(slot, case_id))
        if case_id == "x" and slot.side is Side.B:
            raise EngineError("out of memory")
        return asked[-1]

    done = run(plan(1), ["x", "y"], measure=measure)
    assert done.lost == {"x": "B in block 1: out of memory"}
    assert [each for each in asked if each.startswith("x")] == ["xA00", "xB01"]
    assert done.whole("x") == ([], [])
    assert done.whole("y") == (["yA00", "yA03"], ["yB01", "yB02"])


def test_ctrl_c_keeps_what_was_measured_and_a_block_that_was_cut_short_is_left_out() -> None:
    def measure(slot: Slot, case_id: str) -> str:
        if slot.block == 1 and slot.place == 2:
            raise KeyboardInterrupt
        return name(slot, case_id)

    done = run(plan(3), ["x"], measure=measure)
    assert done.interrupted
    assert len(done.taken) == 6
    assert done.whole("x") == (["xA00", "xA03"], ["xB01", "xB02"])


def test_before_each_run_is_said_where_it_is_and_how_long_it_takes() -> None:
    clock = iter(range(0, 100, 3))
    heard: list[tuple[Where, int]] = []

    def told(where: Where, taken: Sequence[Turn[str]]) -> None:
        heard.append((where, len(taken)))

    run(plan(2), ["x"], measure=name, told=told, clock_s=lambda: float(next(clock)))
    assert [(where.done, where.total, where.blocks, where.left_s, taken) for where, taken in heard[:3]] == [
        (0, 8, 2, None, 0),
        (1, 8, 2, 21.0, 1),
        (2, 8, 2, 18.0, 2),
    ]


def test_parts_are_joined_in_their_order() -> None:
    first, second = (run(plan(1, first=block), ["x"], measure=name) for block in (0, 1))
    whole = joined([first, second, Turns(taken=(), lost={"y": "why"}, interrupted=True)])
    assert whole.whole("x") == (["xA00", "xA03", "xA11", "xA12"], ["xB01", "xB02", "xB10", "xB13"])
    assert (whole.lost, whole.interrupted) == ({"y": "why"}, True)

"""Rests of users whose connections are refused, worked out by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.load.refusals import Refusals

MS = 1_000_000


def test_a_user_rests_twice_as_long_after_each_refusal_up_to_a_second() -> None:
    refusals = Refusals(1)
    assert [refusals.refused(0) // MS for _ in range(13)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 1000, 1000]


def test_the_refusals_of_all_users_are_one_round() -> None:
    refusals = Refusals(3)
    assert [refusals.refused(0) // MS for _ in range(7)] == [1, 1, 1, 2, 2, 2, 4]


def test_a_connection_that_was_taken_begins_anew() -> None:
    refusals = Refusals(1)
    assert [refusals.refused(at) // MS for at in (5, 6)] == [1, 2]
    assert refusals.lasted_ns(25) == 20
    refusals.heard()
    assert refusals.lasted_ns(30) == 0
    assert refusals.refused(40) == MS
    assert refusals.lasted_ns(45) == 5


@given(st.lists(st.integers(0, 10**12), max_size=50))
def test_an_open_loop_never_rests(instants: list[int]) -> None:
    refusals = Refusals()
    assert [refusals.refused(at) for at in sorted(instants)] == [0] * len(instants)

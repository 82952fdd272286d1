from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.reporting.short_names import PART, short_names

WORDS = st.text("abc", min_size=1, max_size=12)


def test_long_names_leave_out_what_tells_them_apart_least() -> None:
    names = [f"chat · a-model-of-some-size · tp1 · D({length},100) · closed loop" for length in (100, 512)]
    assert short_names([*names, "misses · a-model-of-some-size · tp4 · D(2000,64) · poisson"], 32) == [
        *("tp1 · D(100,100) · closed loop", "tp1 · D(512,100) · closed loop"),
        "tp4 · D(2000,64) · poisson",
    ]


def test_short_names_and_those_that_differ_in_everything_stay() -> None:
    assert short_names(["a · b", "a · c"], 32) == ["a · b", "a · c"]
    assert short_names(["p50", "p99 · x"], 32) == ["p50", "p99 · x"]
    assert short_names([], 32) == []


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=6, unique=True))
def test_names_fit_and_parts_left_out_never_make_two_of_one(some: list[tuple[str, str, str]]) -> None:
    names = [PART.join(each) for each in some]
    assert all(len(each) <= 20 for each in short_names(names, 20))
    assert len(set(short_names(names, 1000))) == len(names)

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.reporting.figures import (
    NOTHING,
    count,
    difference,
    length_of_time,
    limit,
    middle_cut,
    number,
    printable,
    printable_lines,
    quantity,
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (0.012345, "0.0123"),
        (1, "1.00"),
        (9.996, "10.0"),
        (12.345, "12.3"),
        (99.96, "100"),
        (412.4, "412"),
        (999.6, "1,000"),
        (12345.6, "12,346"),
        (-12.345, "-12.3"),
        (1e-7, "1.00e-07"),
        (2.5e13, "2.50e+13"),
        (inf, "∞"),
        (-inf, "-∞"),
        (nan, NOTHING),
        (None, NOTHING),
    ],
)
def test_numbers_have_three_significant_digits_and_whole_numbers_all_of_theirs(value: float | None, shown: str) -> None:
    assert number(value) == shown


@given(st.floats(min_value=1e-4, max_value=1e9))
def test_what_is_shown_is_within_half_a_percent_of_the_value(value: float) -> None:
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=0.005)


def test_a_quantity_has_its_unit_and_a_ratio_is_in_percent() -> None:
    shown = [quantity(412, "ms"), quantity(0.0125, "1"), quantity(None, "ms"), quantity(nan, "1"), quantity(3, "")]
    assert shown == ["412 ms", "1.25 %", NOTHING, NOTHING, "3.00"]


def test_a_limit_is_shown_as_written_and_not_rounded() -> None:
    shown = [limit("<=", 250, "ms"), limit(">=", 1234.5, "tok/s"), limit("<=", 0.01, "1"), limit("<", 3)]
    assert shown == ["≤ 250 ms", "≥ 1,234.5 tok/s", "≤ 1 %", "< 3"]


def test_counts_are_in_full() -> None:
    assert [count(0), count(12345), count(None)] == ["0", "12,345", NOTHING]


@pytest.mark.parametrize(
    ("actual", "limit_value", "shown"),
    [
        (412.6, 350, "+17.9 %"),
        (144.4, 250, "-42.2 %"),
        (5, 5, "+0 %"),
        (1, 0, NOTHING),
        (nan, 5, NOTHING),
        (5, inf, NOTHING),
    ],
)
def test_a_difference_is_a_share_of_the_limit(actual: float, limit_value: float, shown: str) -> None:
    assert difference(actual, limit_value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.42, "0.4 s"),
        (-1, "0.0 s"),
        (9.96, "10 s"),
        (59.7, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7640, "2 h 07 min"),
        (None, NOTHING),
        (inf, NOTHING),
    ],
)
def test_a_length_of_time_has_at_most_two_units(seconds: float | None, shown: str) -> None:
    assert length_of_time(seconds) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07name", "name"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
        ("\x1b]not ended", "not ended"),
        ("a\x00b\nc\td", "a b c d"),
        ("\x9b2Jgone", "gone"),
        ("right\u202eto left", "rightto left"),
    ],
)
def test_escape_sequences_and_control_characters_never_get_through(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_printable_text_has_no_control_character(text: str) -> None:
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in printable(text))


def test_lines_and_indents_of_a_log_stay() -> None:
    assert printable_lines("one\n  \x1b[1mtwo\x1b[0m\n\tthree\r\n") == "one\n  two\n        three"


@given(st.text(alphabet="abc", max_size=40), st.integers(0, 50))
def test_a_cut_text_fits_and_keeps_both_ends(text: str, width: int) -> None:
    cut = middle_cut(text, width)
    assert len(cut) <= width or cut == text
    if len(text) > width >= 3:
        assert (cut[0], cut[-1]) == (text[0], text[-1])

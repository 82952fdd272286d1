"""No text in a CSV file is a formula or a second row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.records.cells import cell


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "|calc", "%0", "  =1"])
def test_a_formula_is_made_a_text(text: str) -> None:
    assert cell(text) == f"'{text}"


def test_control_characters_are_made_visible() -> None:
    assert cell("a\nb\tc\r\x00\u2028") == r"a\nb\tc\r\x00\u2028"


@pytest.mark.parametrize("text", ["", "HTTP 500: a, b", 'say "x"', "a-b", "ä"])
def test_other_texts_stay(text: str) -> None:
    assert cell(text) == text


@given(st.text())
def test_a_cell_is_always_one_line_and_never_begins_a_formula(text: str) -> None:
    shown = cell(text)
    assert len(shown.splitlines()) <= 1
    assert shown.lstrip()[:1] not in {"=", "+", "-", "@"}

from __future__ import annotations

import csv
import io
import json
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.history_tables import Column, as_csv, as_json, diff_table, plain, sparkline, table
from pytest_inferbench.records.history.filters import figure_column
from pytest_inferbench.records.history.queries import CaseLine, DiffLine

CASE = CaseLine(case="=cmd()", verdict="pass", simulated=False, words="", figures={"ttft_p50": 12.3456789, "error_rate": nan})
FIGURES = [figure_column("ttft_p50"), figure_column("error_rate")]


def diff_line(case: str, *, old: str | None = "pass", new: str | None = "pass", note: str = "") -> DiffLine:
    return DiffLine(
        case=case,
        figure="ttft_p50",
        unit="ms",
        old=100.0,
        new=150.0,
        change_percent=50.0,
        old_verdict=old,
        new_verdict=new,
        note=note,
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8], "▁▂▃▄▅▆▇█"),
        ([5.0], "▅"),
        ([5.0, 5.0], "▅▅"),
        ([], ""),
        ([0.0, None, 10.0, nan, inf], "▁ █  "),
        ([None], " "),
    ],
)
def test_a_sparkline_goes_from_the_smallest_to_the_biggest(values: list[float | None], expected: str) -> None:
    assert sparkline(values) == expected


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True) | st.none()))
def test_a_sparkline_has_a_character_for_each_value(values: list[float | None]) -> None:
    assert len(sparkline(values)) == len(values)


def test_a_table_is_as_wide_as_its_cells_and_numbers_stand_at_the_right() -> None:
    shown = table([Column(title="a"), Column(title="number", right=True)], [("x", "1"), ("longer", "123,456,789")])
    assert shown.splitlines() == ["a            number", "x                 1", "longer  123,456,789"]


def test_words_of_others_stay_on_their_line() -> None:
    assert table([Column(title="a")], [("evil\x1b[31m\nname",)]).splitlines() == ["a", "evil name"]


def test_json_has_every_value_as_it_is_and_null_for_none() -> None:
    assert json.loads(as_json([plain(CASE)])) == [
        {"case": "=cmd()", "verdict": "pass", "simulated": False, "words": "", "ttft_p50": 12.3456789, "error_rate": None}
    ]


def test_csv_has_every_value_as_it_is_and_no_formula() -> None:
    (row,) = csv.DictReader(io.StringIO(as_csv([CASE], CaseLine, figures=FIGURES)))
    assert row == {
        "case": "'=cmd()",
        "verdict": "pass",
        "simulated": "false",
        "words": "",
        "ttft_p50": "12.3456789",
        "error_rate": "",
    }


def test_csv_of_nothing_has_its_titles() -> None:
    assert as_csv([], DiffLine) == "case,figure,unit,old,new,change_percent,old_verdict,new_verdict,note"


def test_a_diff_names_cases_of_one_side_below() -> None:
    lines = [diff_line("both", new="fail", note="driver 1 -> 2"), diff_line("gone", new=None), diff_line("new", old=None)]
    head, row, _, old, _, new = diff_table(lines).splitlines()
    assert head.split() == ["case", "figure", "old", "new", "change", "verdict", "note"]
    assert " ".join(row.split()) == "both ttft_p50 100 ms 150 ms +50.0 % pass -> fail driver 1 -> 2"
    assert {old, new} == {"only in the old run: gone", "only in the new run: new"}


def test_a_diff_of_runs_without_a_case_in_common_says_so() -> None:
    assert diff_table([diff_line("gone", new=None)]).splitlines()[0] == "no case is in both runs"

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_inferbench.objectives.gates import Change, Comparison, Figure, Pair, compare
from pytest_inferbench.objectives.tolerance import parse_fail_on
from pytest_inferbench.reporting.comparison_table import arrow, comparison_lines, outcome_line, sizes

FIVE = (10.0, 10.2, 9.9, 10.1, 9.8)


def compared(figure: str = "tpot_p50", factor: float = 1.1, *, case_id: str = "a-c1", doubt: str = "") -> Comparison:
    (tolerance,) = parse_fail_on(f"{figure}:5%")
    new = Figure(runs=tuple(value * factor for value in FIVE))
    (found,) = compare([Pair(case_id=case_id, tolerance=tolerance, old=Figure(runs=FIVE), new=new, doubt=doubt)])
    return found


def text_of(*comparisons: Comparison) -> list[str]:
    return ["".join(piece.text for piece in line) for line in comparison_lines(comparisons)]


@pytest.mark.parametrize(
    ("figure", "factor", "change", "shown"),
    [
        ("tpot_p50", 1.1, Change.REGRESSION, "↑"),
        ("tpot_p50", 0.9, Change.IMPROVEMENT, "↓"),
        ("output_throughput", 0.9, Change.REGRESSION, "↓"),
        ("output_throughput", 1.1, Change.IMPROVEMENT, "↑"),
        ("tpot_p50", 1.0, Change.NO_CHANGE, "="),
        ("tpot_p50", 1.04, Change.CANNOT_TELL, "?"),
    ],
)
def test_the_arrow_says_where_the_figure_went_and_not_whether_that_is_good(
    figure: str, factor: float, change: Change, shown: str
) -> None:
    found = compared(figure, factor)
    assert (found.change, arrow(found)) == (change, shown)


def test_a_regression_is_a_line_with_values_interval_and_words() -> None:
    assert text_of(compared()) == [
        "a-c1",
        "  ↑ tpot_p50 regression       10.0 ms → 11.0 ms           +10.0 %  +8.0 % to +12.1 %",
        "      +10.0 % (+8.0 % to +12.1 %), tolerated 5 %; surely more than that",
    ]


def test_figures_of_one_case_stand_under_its_id_once() -> None:
    lines = text_of(compared(factor=1), compared("output_throughput", 1), compared(factor=1, case_id="b-c1"))
    assert [line for line in lines if not line.startswith(" ")] == ["a-c1", "b-c1"]
    assert len(lines) == 5


def test_what_was_not_compared_has_no_figures_but_a_reason() -> None:
    found = compared(doubt="another\x1b[31m machine")
    assert text_of(found)[1:] == ["  ? tpot_p50 cannot tell ", "      another machine"]
    assert sizes(found)[:3] == ("–", "–", "–")  # noqa: RUF001 - what stands for nothing


def test_a_waived_regression_says_why_it_does_not_count() -> None:
    lines = text_of(replace(compared(), waived="new sampler (until 2026-12-31, waivers.yaml:3)"))
    assert "waived" in lines[1]
    assert lines[2] == "      waived: new sampler (until 2026-12-31, waivers.yaml:3)"


def test_the_outcome_counts_each_kind() -> None:
    every = [compared(), compared(factor=1), compared(factor=1), compared(doubt="no"), replace(compared(), waived="known")]
    assert outcome_line(every) == "5 figures compared: 1 regression, 2 no change, 1 cannot tell, 1 waived"
    assert outcome_line(every[:1]) == "1 figure compared: 1 regression"
    assert outcome_line([]) == "0 figures compared: nothing to compare"

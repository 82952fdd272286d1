"""
What is said of comparisons with a baseline on a terminal: a line a figure, with an arrow, its size and its interval.

Rule: pure text from comparisons; words of others go through `printable`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import isnan

from pytest_inferbench.objectives.gates import Change, Comparison, signed
from pytest_inferbench.reporting.figures import printable, quantity
from pytest_inferbench.reporting.terminal import Line, Piece

_COLOURS = {
    Change.REGRESSION: "red",
    Change.IMPROVEMENT: "green",
    Change.NO_CHANGE: "light",
    Change.CANNOT_TELL: "yellow",
}
_UP, _DOWN, _SAME, _UNKNOWN = "↑", "↓", "=", "?"


def arrow(found: Comparison) -> str:
    """Where the figure went, whether that is good or not: up, down, ``=`` for no change, ``?`` where nobody can tell."""
    if found.change is Change.CANNOT_TELL:
        return _UNKNOWN
    if found.change is Change.NO_CHANGE:
        return _SAME
    return _UP if (found.change is Change.REGRESSION) == found.tolerance.smaller_is_better else _DOWN


def change_words(found: Comparison) -> str:
    """``regression``, or ``waived`` for one that does not count."""
    return "waived" if found.waived else found.change.value


def sizes(found: Comparison) -> tuple[str, str, str, str]:
    """Old and new value with unit, the change, and its interval; dashes where nothing was compared."""
    unit = found.tolerance.definition.unit
    if isnan(found.effect):
        return quantity(None, unit), quantity(None, unit), quantity(None, "1"), ""
    interval = f"{signed(found, found.low)} to {signed(found, found.high)}"
    return quantity(found.old, unit), quantity(found.new, unit), signed(found, found.effect), interval


def comparison_lines(comparisons: Sequence[Comparison]) -> list[Line]:
    """A heading and a line for each comparison, under the id of its case; below it why, where that is not plain to see."""
    lines: list[Line] = []
    case_id = None
    width = max((len(each.tolerance.name) for each in comparisons), default=0)
    for each in comparisons:
        if each.case_id != case_id:
            case_id = each.case_id
            lines.append((Piece(printable(case_id), ("bold",)),))
        lines += _lines(each, width)
    return lines


def outcome_line(comparisons: Sequence[Comparison]) -> str:
    """``9 figures compared: 1 regression, 7 no change, 1 cannot tell``."""
    counts = Counter(change_words(each) for each in comparisons)
    order = (*(each.value for each in Change), "waived")
    parts = [f"{counts[words]} {words}" for words in order if counts[words]]
    return f"{len(comparisons)} figure{'' if len(comparisons) == 1 else 's'} compared: {', '.join(parts) or 'nothing to compare'}"


def _lines(found: Comparison, width: int) -> list[Line]:
    old, new, size, interval = sizes(found)
    colour = "light" if found.waived else _COLOURS[found.change]
    figures = f"{old:>12} → {new:<12} {size:>12}  {interval}".rstrip()
    head: Line = (
        Piece(f"  {arrow(found)} {found.tolerance.name:<{width}} "),
        Piece(f"{change_words(found):<11} ", (colour, "bold")),
        Piece(figures if interval else ""),
    )
    lines = [head]
    if found.change is Change.CANNOT_TELL or found.counts:
        lines.append((Piece(f"      {printable(found.reason)}"),))
    if found.waived:
        lines.append((Piece(f"      waived: {printable(found.waived)}"),))
    return lines

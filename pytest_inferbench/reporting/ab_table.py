"""
What came of A/B measurements on a terminal: the lines of a comparison, and below each the word of the other test.

Rule: pure text; words of others go through `printable`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from pytest_inferbench.objectives.gates import signed
from pytest_inferbench.objectives.paired import Paired
from pytest_inferbench.reporting.comparison_table import change_words, comparison_lines
from pytest_inferbench.reporting.terminal import Line, Piece


def ab_lines(paired: Sequence[Paired]) -> list[Line]:
    """Under the id of each case a line a figure, as of a comparison; where blocks decided, what all runs together say."""
    lines: list[Line] = []
    rest = iter(comparison_lines([each.decided for each in paired]))
    case_id = None
    for each in paired:
        # As many as it has alone, where the line of its case stands above it.
        alone = len(comparison_lines([each.decided]))
        lines += islice(rest, alone if each.decided.case_id != case_id else alone - 1)
        case_id = each.decided.case_id
        if each.by_blocks:
            lines.append((Piece(f"      {_beside(each)}", ("light",)),))
    return lines


def _beside(each: Paired) -> str:
    pooled = each.pooled
    interval = f"{signed(pooled, pooled.low)} to {signed(pooled, pooled.high)}"
    return f"by {each.blocks} blocks; all runs pooled: {change_words(pooled)}, {interval}"

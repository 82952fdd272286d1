"""What a person sees of A/B."""

from __future__ import annotations

from dataclasses import replace

from pytest_inferbench.objectives.gates import NOISE
from pytest_inferbench.objectives.paired import compare_blocks
from pytest_inferbench.reporting.ab_table import ab_lines
from tests.objectives.test_paired import OLD, pair, times


def test_below_each_figure_stands_what_all_runs_say_and_columns_line_up() -> None:
    pairs = [pair(OLD, times(OLD, 1.1)), pair(OLD, OLD, "output_throughput:5%")]
    paired = compare_blocks([*pairs, *(replace(each, case_id="b-c1") for each in pairs)], noise=NOISE)
    lines = ["".join(piece.text for piece in line) for line in ab_lines(paired)]
    assert [line for line in lines if not line.startswith(" ")] == ["a-c1", "b-c1"]
    assert " ".join(lines[1].split()) == "↑ tpot_p50 regression 10.0 ms → 11.0 ms +10.0 % +9.9 % to +10.1 %"
    assert lines[2].strip() == "+10.0 % (+9.9 % to +10.1 %), tolerated 5 %; surely more than that"
    assert lines[3].strip() == "by 4 blocks; all runs pooled: regression, +9.0 % to +11.0 %"
    assert lines[4].index("no change") == lines[1].index("regression")
    assert lines[5].strip().startswith("by 4 blocks; all runs pooled: no change")
    assert len(lines) == 12


def test_where_all_runs_decided_they_are_not_named_twice() -> None:
    paired = compare_blocks([pair(OLD[:4], OLD[:4])], noise=NOISE)
    assert not any("pooled" in piece.text for line in ab_lines(paired) for piece in line)

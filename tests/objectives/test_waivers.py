from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.objectives.gates import Change, Comparison
from pytest_inferbench.objectives.tolerance import parse_fail_on
from pytest_inferbench.objectives.waivers import read_waivers, waive

GOOD = """\
# why not
waivers:
  - case: llama8b-*
    metric: tpot_p50
    reason: "the new sampler, see the release notes"
    until: 2026-12-31
"""
TODAY = date(2026, 11, 22)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "waivers.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def comparison(case_id: str = "llama8b-c1", figure: str = "tpot_p50", change: Change = Change.REGRESSION) -> Comparison:
    (tolerance,) = parse_fail_on(f"{figure}:5%")
    return Comparison(case_id=case_id, tolerance=tolerance, change=change, reason="+10 %")


def test_a_waiver_covers_its_figure_in_the_cases_of_its_pattern_with_its_reason(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    (covered, other_case, other_figure), notes = waive(
        [comparison(), comparison("qwen-c1"), comparison(figure="ttft_p99")], read_waivers(path), today=TODAY
    )
    assert covered.waived == f"the new sampler, see the release notes (until 2026-12-31, {path}:3)"
    assert not covered.counts
    assert other_case.counts
    assert other_figure.counts
    assert notes == ()


def test_it_counts_to_the_end_of_its_last_day_and_is_named_afterwards(tmp_path: Path) -> None:
    waivers = read_waivers(written(tmp_path, GOOD))
    assert waive([comparison()], waivers, today=date(2026, 12, 31))[1] == ()
    (found,), notes = waive([comparison()], waivers, today=date(2027, 1, 1))
    assert found.counts
    assert len(notes) == 1
    assert notes[0].startswith("the waiver of tpot_p50 of llama8b-c1 ran out on 2026-12-31 and no longer counts (")
    assert "the new sampler" in notes[0]


@pytest.mark.parametrize("change", [Change.CANNOT_TELL, Change.NO_CHANGE, Change.IMPROVEMENT])
def test_only_a_regression_is_waived(tmp_path: Path, change: Change) -> None:
    (found,), _ = waive([comparison(change=change)], read_waivers(written(tmp_path, GOOD)), today=TODAY)
    assert found.waived == ""


@pytest.mark.parametrize("text", ["", "# none yet\n\n", "waivers:\n", "waivers: []\n"])
def test_there_may_be_none(tmp_path: Path, text: str) -> None:
    assert read_waivers(written(tmp_path, text)) == ()


def test_there_may_be_no_file(tmp_path: Path) -> None:
    assert read_waivers(tmp_path / "waivers.yaml") == ()


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('reason: "the new sampler, see the release notes"', "", 3, "waivers[0].reason: is missing or empty; say why"),
        ('"the new sampler, see the release notes"', '" "', 5, "waivers[0].reason: is missing or empty; say why"),
        ("until: 2026-12-31", "", 3, "waivers[0].until: is missing; write the last day on which it counts, such as 2027-01-31"),
        ("2026-12-31", "soon", 6, "waivers[0].until: is 'soon'; write the last day"),
        ("case: llama8b-*", "case: 3", 3, "waivers[0].case: is missing or empty; give a case id, or a pattern"),
        ("tpot_p50", "tpto_p50", 4, "waivers[0].metric: 'tpto' is not a metric; did you mean tpot"),
        ("metric: tpot_p50", "metrics: tpot_p50", 4, "waivers[0].metrics: is not a field of a waiver; did you mean metric?"),
        ("metric: tpot_p50", "owner: me", 4, "waivers[0].owner: is not a field of a waiver; fields: case, metric, reason, until"),
        ("waivers:", "waiver:", 2, "waiver: is not known here; the file has one field, waivers"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    path = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(ConfigError) as refused:
        read_waivers(path)
    assert words in str(refused.value)
    assert refused.value.line == line


@pytest.mark.parametrize(
    ("text", "words"), [("waivers: 3", "must be a list of waivers"), ("waivers:\n  - 3", "must be a waiver: case")]
)
def test_what_is_no_list_of_waivers_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_waivers(written(tmp_path, text))


def test_a_moment_stands_for_its_day_and_text_for_a_date(tmp_path: Path) -> None:
    for written_as in ("2026-12-31T10:00:00", "'2026-12-31'"):
        (waiver,) = read_waivers(written(tmp_path, GOOD.replace("2026-12-31", written_as)))
        assert waiver.until == date(2026, 12, 31)

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.case import Origin
from pytest_inferbench.errors import RecordError
from pytest_inferbench.objectives.gates import Comparison
from pytest_inferbench.objectives.verdict import Outlook, Verdict
from pytest_inferbench.records.record import Imported, Record
from pytest_inferbench.reporting import ci_summary
from pytest_inferbench.reporting.ci_summary import (
    ANNOTATIONS_MAX,
    Links,
    comparison_properties,
    escaped,
    github_annotations,
    step_summary,
    write_step_summary,
)
from tests.records.example import CASE, SECRET, broken_record, example_record, secretive_record
from tests.reporting.test_comparison_table import compared
from tests.traces import streamed, traces_of

NASTY = "a|b](javascript:x) <img src=x onerror=alert(1)> `c` @all #1 **d**\n::error::e"


def passed() -> Record:
    record = example_record(traces_of([streamed(100 + i, sent_ns=i * 10**9) for i in range(10)]))
    return replace(record, verdict=Verdict(outlook=Outlook.PASS, judgements=()))


def of_case(comparison: Comparison, **changes: object) -> Comparison:
    return replace(comparison, case_id=CASE.id, **changes)  # type: ignore[arg-type]  # any field, by name


def test_the_summary_has_a_row_a_case_with_its_verdict_and_figures() -> None:
    text = step_summary([passed(), broken_record()])
    rows = [line for line in text.splitlines() if line.startswith("| cpu&#45;")]
    assert len(rows) == 2
    assert "| ✅ pass | 10/10 |" in rows[0]
    assert "engine died&#58; no memory" in rows[1]
    assert "2 cases&#58; 1 pass, 1" in text


def test_it_has_a_row_a_comparison_with_arrow_change_and_interval() -> None:
    text = step_summary([passed()], [of_case(compared())], baseline="main", notes=["engine version a -> b"])
    (row,) = [line for line in text.splitlines() if "tpot&#95;p50" in line]
    assert "❌ ↑ regression | 10.0 ms | 11.0 ms | +10.0 % | +8.0 % to +12.1 %" in row
    assert "### Compared with main" in text
    assert "* engine version a &#45;&#62; b" in text


def test_a_waived_regression_is_marked_as_one_that_does_not_count() -> None:
    text = step_summary([passed()], [of_case(compared(), waived="known")])
    assert "🔕 ↑ waived" in text
    assert "waived&#58; known" in text


def test_links_lead_to_the_folder_of_each_case_and_to_the_report() -> None:
    links = Links(files="https://ci.example/run/", report="https://ci.example/run/report.html")
    text = step_summary([passed()], links=links)
    assert f"](https://ci.example/run/{CASE.id}) |" in text
    assert "[report](https://ci.example/run/report.html)" in text


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "https://a.example/) [b](javascript:x"])
def test_a_link_leads_to_a_web_page_or_nowhere_and_ends_where_it_should(url: str) -> None:
    text = step_summary([passed()], links=Links(report=url))
    (target,) = re.findall(r"\[report\]\(([^)]*)\)$", text.splitlines()[2])
    assert target == "#" or target.startswith("https://a.example/%29%20%5Bb%5D%28javascript:x")


def test_simulated_cases_are_never_taken_for_measured_ones() -> None:
    assert "**SIMULATED**" in step_summary([replace(passed(), simulated=True)])
    assert "SIMULATED" not in step_summary([passed()])


def test_no_word_of_others_is_markup() -> None:
    record = replace(broken_record(), case=replace(CASE, id=NASTY), error=NASTY)
    comparison = replace(compared(doubt=NASTY), case_id=NASTY)
    lines = step_summary([record], [comparison], baseline=NASTY, notes=[NASTY]).splitlines()
    words = [line for line in lines if "alert" in line]
    assert len(words) == 4
    for line in words:
        bare = line.removeprefix("* ").removeprefix("### ").replace("<br>", "")
        assert not re.search(r"[<>`@]|\]\(|\*\*|::", bare)
    assert {line.count("|") for line in words if line.startswith("|")} == {9}


@given(st.text())
def test_escaped_text_holds_nothing_that_markdown_reads(text: str) -> None:
    bare = re.sub(r"&#\d+;", "", escaped(text))
    assert not re.search(r"[\\`*_{}\[\]()#+!|<>~@&\n\r]", bare)


def test_no_secret_is_in_a_summary_or_an_annotation() -> None:
    record = replace(secretive_record(), error=f"token={SECRET}")
    assert SECRET not in step_summary([record]) + "".join(github_annotations([record]))


def test_a_summary_that_is_too_long_is_cut_at_a_line_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    one = passed()
    monkeypatch.setattr(ci_summary, "SUMMARY_BYTES_MAX", 20_000)
    text = step_summary([replace(one, case=replace(CASE, id=f"case-{i:05d}-{'x' * 250}")) for i in range(100)])
    assert len(text.encode()) <= 20_000
    assert text.endswith("The rest did not fit into the summary of a step; it is in the run's results.\n")
    assert text.splitlines()[-3].endswith("|")


def test_an_annotation_stands_where_the_case_was_written_and_is_escaped() -> None:
    record = replace(broken_record(), case=replace(CASE, origin=Origin(file="a,b:c.yaml", line=7)), error="50% gone")
    record = replace(record, verdict=Verdict(outlook=Outlook.FAIL, judgements=()))
    assert github_annotations([record]) == [f"::error file=a%2Cb%3Ac.yaml,line=7,title={CASE.id}%3A fail::50%25 gone"]


def test_no_text_of_others_is_a_command() -> None:
    comparison = of_case(compared(), reason="a\n::set-env name=X::y\r::stop-commands::z")
    for line in github_annotations([passed()], [comparison]):
        assert "\n" not in line
        assert line.startswith("::error ")


def test_regressions_are_errors_and_what_cannot_be_told_is_a_warning() -> None:
    case = replace(CASE, origin=Origin(file="suites/a.yaml", line=3))
    record = replace(passed(), case=case)
    found = github_annotations(
        [record], [of_case(compared(doubt="another machine")), of_case(compared()), of_case(compared(), waived="x")]
    )
    assert [each.split(" ")[0] for each in found] == ["::error", "::warning"]
    assert "file=suites/a.yaml,line=3" in found[0]
    assert found[1].endswith("::another machine")


def test_a_case_without_a_place_is_annotated_without_one() -> None:
    (found,) = github_annotations([], [of_case(compared())])
    assert found.startswith(f"::error title={CASE.id}%3A regression of tpot_p50::+10.0 %25 (")


def test_imported_results_and_cases_that_passed_are_no_news() -> None:
    imported = replace(broken_record(), imported=Imported(tool="vllm", version=None, file="f"))
    assert github_annotations([passed(), imported], [of_case(compared(factor=1))]) == []


def test_there_are_no_more_annotations_than_github_shows() -> None:
    assert len(github_annotations([broken_record()] * 30, [of_case(compared(doubt="x"))] * 30)) <= 2 * ANNOTATIONS_MAX


def test_junit_has_change_size_and_interval_of_each_figure() -> None:
    found = dict(comparison_properties([compared()]))
    assert found["compared_tpot_p50"] == "regression"
    assert found["compared_tpot_p50_effect"] == "1.1"
    assert float(found["compared_tpot_p50_effect_low"]) < 1.1 < float(found["compared_tpot_p50_effect_high"])
    assert found["compared_tpot_p50_reason"].endswith("surely more than that")


def test_junit_has_no_size_of_what_was_not_compared() -> None:
    assert [name for name, _ in comparison_properties([compared(doubt="no")])] == [
        "compared_tpot_p50",
        "compared_tpot_p50_reason",
    ]


def test_the_summary_is_added_to_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    write_step_summary(path, "after\n")
    assert path.read_text() == "before\nafter\n"


def test_a_summary_that_cannot_be_written_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"the step summary .* could not be written: "):
        write_step_summary(tmp_path, "x")

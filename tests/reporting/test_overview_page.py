from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting.overview_page import overview_html, scripts_html, verdict_sentence
from tests.reporting.examples import broken_record, case, hostile_record, record, sweep, whole_run
from tests.reporting.test_case_page import Page

MISS = record(of_case=case("miss"), ttft_limit_ms=1)


@pytest.mark.parametrize(
    ("records", "expected", "sentence"),
    [
        ([], (), "No case was measured."),
        ([record()], (), "The only case passes."),
        ([record(), record()], (), "All 2 cases pass."),
        ([record(), MISS], (), "1 of 2 cases pass; 1 missed an objective."),
        ([record(), MISS], (MISS.node_id,), "1 of 2 cases pass; 1 failed as expected."),
        (
            [record(), MISS, broken_record()],
            (),
            "1 of 3 cases pass; 1 could not be measured, 1 missed an objective.",
        ),
    ],
)
def test_the_verdict_of_the_run_is_one_sentence(records: list[Record], expected: tuple[str, ...], sentence: str) -> None:
    assert verdict_sentence(records, expected) == sentence


def test_the_overview_has_a_row_a_case_with_figures_against_limits() -> None:
    page = Page(overview_html([record(), MISS]))
    rows = page.text
    for words in (
        "cpu-llamacpp-smollm2-135m-tp1-d128x64-c4",
        "10/10",
        "46.4",
        "≤ 250",
        "≥ 20",
        "missed ttft_p99 <= 1 ms: 100 ms",
    ):
        assert words in rows
    classes = [attrs.get("class") or "" for _, attrs in page.tags]
    assert sum("ib-is-fail" in each for each in classes) == 1


def test_sweeps_have_charts_and_a_run_of_single_cases_has_the_comparison_only() -> None:
    swept = overview_html([record for record, _ in sweep(levels=(1, 2))])
    assert swept.count('data-figure="') == 6
    assert overview_html([record()]).count('data-figure="') == 2
    assert "data-figure" not in overview_html([broken_record()])


def test_many_sweeps_are_folded_but_for_the_first() -> None:
    records = [
        replace(each, case=replace(each.case, model=f"model-{model}")) for model in range(5) for each, _ in sweep(levels=(1, 2))
    ]
    page = Page(overview_html(records))
    assert sum(tag == "details" and "open" in attrs for tag, attrs in page.tags) == 3
    assert sum(tag == "details" for tag, _ in page.tags) == 5


def test_simulated_cases_are_announced_above_all() -> None:
    assert "SIMULATED: 1 of 2 cases" in overview_html([record(), replace(record(), simulated=True)])
    assert "SIMULATED" not in Page(overview_html([record()])).text.split("@media", 1)[-1].rsplit("}", 1)[-1]


def test_words_of_others_stay_words() -> None:
    some = [each for each, _ in whole_run()]
    page = Page(overview_html([*some, hostile_record(whole_run()[0][1] or pytest.fail("no traces"))]))
    assert not {"img", "script"} & page.names()


def test_the_scripts_are_there_once() -> None:
    assert scripts_html().count("<script>") == 2
    assert "<script" not in overview_html([record()])

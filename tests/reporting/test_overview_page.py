from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting.changes_section import Changes
from pytest_inferbench.reporting.overview_page import overview_html, scripts_html, verdict_sentence
from tests.reporting.examples import broken_record, case, comparisons, hostile_record, record, sweep, whole_run
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


def test_the_charts_across_cases_need_no_script() -> None:
    page = Page(overview_html([record for record, _ in sweep(levels=(1, 2))]))
    assert sum(tag == "svg" for tag, _ in page.tags) == 3
    assert not any(tag == "svg" for tag, _ in Page(overview_html([broken_record()])).tags)


def test_cases_that_need_a_look_come_first_worst_first_and_those_expected_to_miss_do_not() -> None:
    expected_miss = replace(MISS, case=case("on purpose"), node_id="on purpose")
    page = Page(overview_html([record(), MISS, expected_miss, broken_record()], {"on purpose"}))
    looked_at = page.text.split("Needs a look")[1].split("Across the cases")[0]
    assert looked_at.index("invalid") < looked_at.index("missed ttft_p99 <= 1 ms")
    assert "did not answer within 60 s" in looked_at
    assert "on purpose" not in looked_at
    assert "Needs a look" not in Page(overview_html([record()])).text


def test_many_cases_that_need_a_look_are_folded_but_for_the_first() -> None:
    page = Page(overview_html([MISS] * 20))
    assert "12 more" in page.text
    assert "All 20 cases pass." not in page.text


def test_the_table_of_many_cases_is_folded() -> None:
    def opened(cases: int) -> bool:
        tags = Page(overview_html([record()] * cases)).tags
        return any(tag == "details" and "ib-all" in (attrs.get("class") or "") and "open" in attrs for tag, attrs in tags)

    assert opened(12)
    assert not opened(13)


def test_what_got_worse_than_the_baseline_is_a_part_of_the_verdict() -> None:
    changes = Changes(baseline="main", comparisons=comparisons())
    page = Page(overview_html([record()], changes=changes))
    assert "The only case passes. 1 is worse than in main." in page.text
    assert ("p", {"class": "ib-verdict ib-fail"}) in page.tags
    same = Page(overview_html([record()], changes=replace(changes, comparisons=())))
    assert ("p", {"class": "ib-verdict ib-pass"}) in same.tags


def test_a_run_is_summed_up_in_facts() -> None:
    text = Page(overview_html([record(), record()])).text
    for words in (
        "models  smollm2-135m",
        "requests  20",
        "output tokens  1,020",
        "began  2025-01-31 12:00",
        "run  2025-01-31-120000",
    ):
        assert " ".join(words.split()) in " ".join(text.split()), words


def test_simulated_cases_are_announced_above_all() -> None:
    assert "SIMULATED: 1 of 2 cases" in overview_html([record(), replace(record(), simulated=True)])
    assert "SIMULATED" not in Page(overview_html([record()])).text.split("@media", 1)[-1].rsplit("}", 1)[-1]


def test_words_of_others_stay_words() -> None:
    some = [each for each, _ in whole_run()]
    page = Page(overview_html([*some, hostile_record(whole_run()[0][1] or pytest.fail("no traces"))]))
    assert not {"img", "script"} & page.names()


def test_data_and_scripts_are_there_once_and_nothing_in_the_data_ends_them() -> None:
    some = [each for each, _ in whole_run()]
    html = scripts_html(some, packed=["abc"] * len(some))
    assert re.findall("<script([^>]*)>", html) == [
        ' type="application/json" id="ib-run"',
        ' type="text/plain" id="ib-packed-cases"',
        "",
        "",
        "",
    ]
    assert html.count("</script>") == 5
    assert "<script" not in overview_html([record()])

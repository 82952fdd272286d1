from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_inferbench.objectives.gates import Change, Comparison
from pytest_inferbench.reporting.changes_section import Changes, change_sentence, changes_html, regressed
from tests.reporting.examples import HOSTILE, comparisons
from tests.reporting.test_case_page import Page

WORSE, BETTER, SAME, UNKNOWN = comparisons()


@pytest.mark.parametrize(
    ("some", "words"),
    [
        ((), "No case of this run is in the baseline, so nothing could be compared."),
        ((SAME,), "Nothing got worse. "),
        ((SAME, UNKNOWN), "Nothing is known to have got worse, but not everything can be told. "),
        ((WORSE, SAME, UNKNOWN), "1 case got worse. "),
        ((replace(WORSE, waived="agreed until May"), SAME), "Nothing got worse. "),
    ],
    ids=["nothing", "the same", "unknown", "worse", "waived"],
)
def test_one_sentence_says_whether_anything_got_worse(some: tuple[Comparison, ...], words: str) -> None:
    assert change_sentence(some).startswith(words)


def test_a_baseline_has_a_table_with_what_changed_first_and_the_rest_folded() -> None:
    page = Page(changes_html(Changes(baseline="main", comparisons=(SAME, BETTER, UNKNOWN, WORSE), notes=("one case is new",))))
    assert [change in page.text for change in Change] == [True] * 4
    assert page.text.index("regression ") < page.text.index("cannot tell ")
    assert "1 more figure " in page.text
    assert "one case is new" in page.text
    assert UNKNOWN.reason in page.text
    assert sum(tag == "svg" for tag, _ in page.tags) == 4


def test_why_a_regression_does_not_count_is_said() -> None:
    page = Page(changes_html(Changes(baseline="main", comparisons=(replace(WORSE, waived="agreed until May"),))))
    assert "agreed until May" in page.text
    assert "waived" in page.text
    assert regressed((replace(WORSE, waived="agreed until May"),)) == 0


def test_without_a_baseline_there_is_no_section() -> None:
    assert changes_html(None) == ""


def test_names_from_a_baseline_are_only_words() -> None:
    hostile = replace(UNKNOWN, case_id=HOSTILE, reason=HOSTILE)
    page = Page(changes_html(Changes(baseline=HOSTILE, comparisons=(hostile,), notes=(HOSTILE,))))
    assert not {"img", "script"} & page.names()
    assert page.text.count("<img src=x") == 4

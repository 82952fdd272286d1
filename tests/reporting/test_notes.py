from __future__ import annotations

from dataclasses import replace

from pytest_inferbench.load.audit import Finding
from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting.notes import notes
from tests.reporting.examples import record

ESTIMATED = Finding(what="lengths are estimated", advice="give a tokenizer", invalidates=False)


def found(*findings: Finding) -> Record:
    return replace(record(), findings=findings)


def resent(number: int) -> Finding:
    return Finding(what=f"{number} were sent again", advice="none needed", invalidates=False)


def test_one_case_has_its_findings_as_notes() -> None:
    assert notes([found(ESTIMATED, resent(2))]) == [
        "note: lengths are estimated; give a tokenizer",
        "note: 2 were sent again; none needed",
    ]


def test_a_kind_is_said_once_with_the_number_of_its_cases() -> None:
    cases = [found(ESTIMATED), found(ESTIMATED, resent(2)), found(ESTIMATED, resent(7))]
    assert notes(cases) == [
        "note: lengths are estimated (all 3 cases); give a tokenizer",
        "note: 2 were sent again (2 of 3 cases, such as this); none needed",
    ]


def test_what_invalidates_is_a_verdict_and_no_note() -> None:
    assert notes([found(replace(ESTIMATED, invalidates=True))]) == []
    assert notes([]) == []


def test_foreign_words_cannot_move_the_cursor() -> None:
    (note,) = notes([found(replace(ESTIMATED, what="\x1b[2Jgone"))])
    assert note == "note: gone; give a tokenizer"

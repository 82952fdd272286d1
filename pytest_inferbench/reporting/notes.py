"""What a reader should know of figures that may be believed all the same."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting.figures import printable


def notes(records: Sequence[Record]) -> list[str]:
    """
    What the client found out about itself that invalidates nothing, each kind once for all cases.

    Findings are of one kind where they give the same advice; the words are those of the first case that has it.
    """
    found: dict[str, list[str]] = {}
    for record in records:
        for finding in record.findings:
            if not finding.invalidates:
                found.setdefault(finding.advice, []).append(finding.what)
    return [printable(f"note: {whats[0]}{_where(whats, len(records))}; {advice}") for advice, whats in found.items()]


def _where(whats: Sequence[str], cases: int) -> str:
    if cases == 1:
        return ""
    number = "all" if len(whats) == cases else f"{len(whats)} of"
    # Where the words hold a figure, it is the first case's.
    example = "" if len(set(whats)) == 1 else ", such as this"
    return f" ({number} {cases} cases{example})"

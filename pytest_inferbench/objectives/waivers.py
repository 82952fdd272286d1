"""
Regressions that are accepted for a while: by whom they are read, why, and until when.

Rule: a waiver without a reason or a date is an error, and one that has run out counts for nothing and is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pytest_inferbench.cases.readers import Document, document_of, dotted, read_text
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.objectives.gates import Change, Comparison
from pytest_inferbench.objectives.tolerance import figure_of

FILE = Path("reports", "baselines", "waivers.yaml")
_FIELDS = ("case", "metric", "reason", "until")


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """
    A figure that may be worse, in the cases whose ids match a pattern (``*`` and ``?``), to the end of a day.

    ``where`` is the file and line where it stands.
    """

    case: str
    metric: str
    reason: str
    until: date
    where: str

    def covers(self, found: Comparison) -> bool:
        """Whether it is about this figure of this case."""
        return found.tolerance.name == self.metric and fnmatchcase(found.case_id, self.case)

    def expired(self, today: date) -> bool:
        """Whether its last day is over."""
        return today > self.until


def read_waivers(path: Path) -> tuple[Waiver, ...]:
    """
    The waivers of a file; none where there is no file.

    Raises:
        ConfigError: it cannot be read, or one of them has no case, metric, reason or date, or another field; names the line.
    """
    if not path.exists():
        return ()
    text = read_text(path)
    if all(line.lstrip().startswith("#") or not line.strip() for line in text.splitlines()):
        return ()
    document = document_of(text, str(path), path.suffix)
    unknown = [name for name in document.data if name != "waivers"]
    if unknown:
        raise _error(document, (unknown[0],), "is not known here; the file has one field, waivers, a list")
    found = document.data.get("waivers")
    if found is None:
        return ()
    if not isinstance(found, list):
        raise _error(document, ("waivers",), "must be a list of waivers, each with case, metric, reason and until")
    return tuple(_waiver(each, document, i) for i, each in enumerate(found))


def waive(
    comparisons: Sequence[Comparison], waivers: Sequence[Waiver], *, today: date
) -> tuple[tuple[Comparison, ...], tuple[str, ...]]:
    """
    The comparisons, with the reason of a waiver at each regression that one covers; and what to know of waivers, in sentences.

    A waiver that has run out is named where it would have covered a regression.
    """
    notes = []
    found = []
    for each in comparisons:
        covering = [waiver for waiver in waivers if waiver.covers(each)] if each.change is Change.REGRESSION else []
        valid = [waiver for waiver in covering if not waiver.expired(today)]
        if valid:
            found.append(replace(each, waived=f"{valid[0].reason} (until {valid[0].until}, {valid[0].where})"))
            continue
        notes += [_ran_out(waiver, each) for waiver in covering]
        found.append(each)
    return tuple(found), tuple(notes)


def _ran_out(waiver: Waiver, found: Comparison) -> str:
    return (
        f"the waiver of {found.tolerance.name} of {found.case_id} ran out on {waiver.until} and no longer counts"
        f" ({waiver.where}: {waiver.reason})"
    )


def _waiver(value: Any, document: Document, i: int) -> Waiver:
    place = ("waivers", i)
    if not isinstance(value, dict):
        raise _error(document, place, "must be a waiver: case, metric, reason and until")
    for name in value:
        if name not in _FIELDS:
            near = get_close_matches(name, _FIELDS, n=1)
            advice = f"did you mean {near[0]}?" if near else f"fields: {', '.join(_FIELDS)}"
            raise _error(document, (*place, name), f"is not a field of a waiver; {advice}")
    metric = _text(value, "metric", document, place)
    try:
        figure_of(metric)
    except ConfigError as error:
        raise _error(document, (*place, "metric"), error.problem) from None
    line = document.line_of((*place, "case")) or document.line_of(place)
    return Waiver(
        case=_text(value, "case", document, place),
        metric=metric,
        reason=_text(value, "reason", document, place),
        until=_date(value, document, place),
        where=f"{document.file}:{line}" if line else document.file,
    )


def _text(value: dict[str, Any], name: str, document: Document, place: tuple[str | int, ...]) -> str:
    found = value.get(name)
    if not isinstance(found, str) or not found.strip():
        missing = {"reason": "say why it is accepted", "case": "give a case id, or a pattern such as llama8b-*"}
        advice = missing.get(name, "name the figure, such as tpot_p50")
        raise _error(document, (*place, name), f"is missing or empty; {advice}")
    return found.strip()


def _date(value: dict[str, Any], document: Document, place: tuple[str | int, ...]) -> date:
    found = value.get("until")
    if isinstance(found, datetime):
        return found.date()
    if isinstance(found, date):
        return found
    try:
        return date.fromisoformat(found if isinstance(found, str) else "")
    except ValueError:
        shown = "is missing" if found is None else f"is {found!r}"
        raise _error(document, (*place, "until"), f"{shown}; write the last day on which it counts, such as 2027-01-31") from None


def _error(document: Document, place: tuple[str | int, ...], problem: str) -> ConfigError:
    return ConfigError(problem, file=document.file, line=document.line_of(place), field=dotted(place))

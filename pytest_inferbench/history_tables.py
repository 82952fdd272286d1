"""
Answers of the history as text: tables for people, CSV and JSON for programs.

Rule: a table rounds and shortens for reading; CSV and JSON have every value as it is, and nothing else.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any

from pytest_inferbench.records.cells import cell
from pytest_inferbench.records.history.filters import FigureColumn
from pytest_inferbench.records.history.queries import CaseLine, DiffLine, RunLine
from pytest_inferbench.records.history.trends import FlakyLine, SlowLine, Trend
from pytest_inferbench.reporting.figures import NOTHING, count, number, printable, quantity

_BARS = "▁▂▃▄▅▆▇█"
_GAP = "  "
_COMMIT_CHARACTERS = 9
# What is missing on one side is only on the other one.
_SIDES = {"new": "old", "old": "new"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table; numbers stand at its right."""

    title: str
    right: bool = False


def sparkline(values: Sequence[float | None]) -> str:
    """A bar for each value between the smallest and the biggest; a blank where there is none, half height where all are alike."""
    known = [value for value in values if value is not None and isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=0.0)

    def bar(value: float | None) -> str:
        if value is None or not isfinite(value):
            return " "
        place = (value - low) / (high - low) if high > low else 0.5
        return _BARS[min(int(place * len(_BARS)), len(_BARS) - 1)]

    return "".join(map(bar, values))


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """Rows below their titles, as wide as they are."""
    every = [[column.title for column in columns], *([printable(text) for text in row] for row in rows)]
    widths = [max(len(row[i]) for row in every) for i in range(len(columns))]

    def line(row: Sequence[str]) -> str:
        cells = (
            text.rjust(width) if column.right else text.ljust(width)
            for text, width, column in zip(row, widths, columns, strict=True)
        )
        return _GAP.join(cells).rstrip()

    return "\n".join(map(line, every))


def plain(line: Any) -> dict[str, Any]:
    """A line as plain JSON types; figures that were asked for are fields like the others."""
    value = asdict(line)
    value.pop("conditions", None)
    value |= value.pop("figures", {})
    return {name: None if isinstance(each, float) and not isfinite(each) else each for name, each in value.items()}


def as_json(value: Any) -> str:
    """Valid JSON for programs and people."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)


def as_csv(lines: Sequence[Any], kind: type[Any], *, figures: Sequence[FigureColumn] = ()) -> str:
    """A row a line, with the fields of ``kind`` as columns; no spreadsheet takes a text for a formula."""
    names = [each.name for each in fields(kind) if each.name not in {"conditions", "figures"}]
    names += [each.name for each in figures]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _csv(value) for name, value in plain(line).items()} for line in lines)
    return text.getvalue().rstrip("\n")


def runs_table(lines: Sequence[RunLine]) -> str:
    """A line a run."""
    columns = [Column(title=title) for title in ("run", "started (UTC)", "commit", "branch", "host")]
    columns += [Column(title=title, right=True) for title in ("cases", "pass", "fail", "inconclusive", "invalid", "simulated")]
    rows = [
        (
            each.run_id,
            _short(each.started_at),
            _commit(each.commit, dirty=each.dirty),
            each.branch or NOTHING,
            each.host or NOTHING,
            *(count(n) for n in (each.cases, each.passed, each.failed, each.inconclusive, each.invalid, each.simulated)),
        )
        for each in lines
    ]
    return table(columns, rows)


def run_table(run: RunLine, cases: Sequence[CaseLine], figures: Sequence[FigureColumn]) -> str:
    """What is known of a run, and its cases."""
    facts: Mapping[str, str | None] = {
        "run": run.run_id,
        "started": run.started_at,
        "commit": _commit(run.commit, dirty=run.dirty, whole=True),
        "branch": run.branch,
        "host": run.host,
        "version": run.plugin_version,
        "command": run.command,
        "exit code": None if run.exit_code is None else str(run.exit_code),
    }
    head = [f"{name + ':':<11}{printable(text)}" for name, text in facts.items() if text and text != NOTHING]
    columns = [Column(title="case"), Column(title="verdict")]
    columns += [Column(title=_titled(each), right=True) for each in figures]
    columns.append(Column(title="why"))
    rows = [
        (
            each.case,
            each.verdict,
            *(_number(each.figures[figure.name], figure.unit) for figure in figures),
            each.words.partition("\n")[0],
        )
        for each in cases
    ]
    return "\n".join([*head, "", table(columns, rows)])


def diff_table(lines: Sequence[DiffLine]) -> str:
    """A line a figure of cases of both; the case and its verdicts stand at the first one of it. Then the others by their ids."""
    both = [line for line in lines if line.old_verdict is not None and line.new_verdict is not None]
    only = {side: list(dict.fromkeys(line.case for line in lines if getattr(line, f"{side}_verdict") is None)) for side in _SIDES}
    parts = [_diff_rows(both)] if both else ["no case is in both runs"]
    parts += [f"only in the {_SIDES[side]} run: {', '.join(map(printable, cases))}" for side, cases in only.items() if cases]
    return "\n\n".join(parts)


def _diff_rows(lines: Sequence[DiffLine]) -> str:
    columns = [Column(title="case"), Column(title="figure"), Column(title="old", right=True), Column(title="new", right=True)]
    columns += [Column(title="change", right=True), Column(title="verdict"), Column(title="note")]
    rows = []
    for i, each in enumerate(lines):
        first = i == 0 or each.figure == lines[0].figure
        rows.append(
            (
                each.case if first else "",
                each.figure,
                quantity(each.old, each.unit),
                quantity(each.new, each.unit),
                _percent(each.change_percent),
                _verdicts(each) if first else "",
                each.note if first else "",
            )
        )
    return table(columns, rows)


def trends_table(found: Sequence[Trend], name: str) -> str:
    """A line a case, with its figure over time."""
    columns = [Column(title="case"), Column(title=f"{name} over time"), Column(title="results", right=True)]
    columns += [Column(title="left out", right=True), Column(title="median before", right=True), Column(title="last", right=True)]
    columns.append(Column(title="change", right=True))
    rows = [
        (
            each.case,
            sparkline([point.value for point in each.points]),
            count(len(each.points)),
            count(len(each.points) - len(each.values)),
            quantity(each.before, each.unit),
            quantity(each.values[-1] if each.values else None, each.unit),
            _percent(each.change_percent),
        )
        for each in found
    ]
    return table(columns, rows)


def trend_table(found: Trend, name: str) -> str:
    """The results of one case, oldest first, below its line."""
    columns = [Column(title=title) for title in ("started (UTC)", "run", "commit", "branch", "engine version", "verdict")]
    columns.append(Column(title=name, right=True))
    rows = [
        (
            _short(each.started_at),
            each.run_id,
            _commit(each.commit),
            each.branch or NOTHING,
            each.engine_version or NOTHING,
            each.verdict,
            quantity(each.value, each.unit),
        )
        for each in found.points
    ]
    return f"{trends_table([found], name)}\n\n{table(columns, rows)}"


def slowest_table(lines: Sequence[SlowLine]) -> str:
    """A line a case, worst first."""
    columns = [Column(title="case"), Column(title="figure")]
    columns += [Column(title=title, right=True) for title in ("median", "worst", "last", "results")]
    rows = [
        (
            each.case,
            each.figure,
            *(quantity(value, each.unit) for value in (each.median, each.worst, each.last)),
            count(each.results),
        )
        for each in lines
    ]
    return table(columns, rows)


def flakiest_table(lines: Sequence[FlakyLine]) -> str:
    """A line a case and commit, worst first."""
    columns = [Column(title="case"), Column(title="commit")]
    columns += [Column(title=title, right=True) for title in ("results", "changes", "share")]
    columns += [Column(title="verdicts"), Column(title="last (UTC)")]
    rows = [
        (
            each.case,
            _commit(each.commit, dirty=each.dirty),
            count(each.results),
            count(each.changes),
            f"{number(each.changes_percent)} %",
            each.verdicts,
            _short(each.last_started_at),
        )
        for each in lines
    ]
    return table(columns, rows)


def _titled(figure: FigureColumn) -> str:
    unit = "%" if figure.unit == "1" else figure.unit
    return f"{figure.name} ({unit})"


def _number(value: float | None, unit: str) -> str:
    return number(value * 100 if unit == "1" and value is not None else value)


def _percent(value: float | None) -> str:
    return NOTHING if value is None else f"{'+' if value >= 0 else '-'}{number(abs(value))} %"


def _verdicts(line: DiffLine) -> str:
    if line.old_verdict and line.new_verdict and line.old_verdict != line.new_verdict:
        return f"{line.old_verdict} -> {line.new_verdict}"
    return line.new_verdict or line.old_verdict or NOTHING


def _commit(commit: str | None, *, dirty: bool | None = None, whole: bool = False) -> str:
    if not commit:
        return NOTHING
    return (commit if whole else commit[:_COMMIT_CHARACTERS]) + ("+" if dirty else "")


def _short(started_at: str) -> str:
    return started_at[:16].replace("T", " ")


def _csv(value: Any) -> Any:
    if value is None:
        return ""
    return cell(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else value

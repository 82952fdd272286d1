"""
What a run says on the terminal: a row per case as it ends, and a summary at the end.

Rule: lines are decided by pure functions as pieces of text with a colour; `CaseTable` and `write_summary` only write them. No
text of others reaches the terminal but through `printable`.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from math import isnan
from pathlib import Path
from typing import NamedTuple, Protocol

from pytest_inferbench.objectives.verdict import Judgement, Outlook
from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting.capacity_chart import capacity_words
from pytest_inferbench.reporting.figures import NOTHING, count, difference, length_of_time, number, printable, quantity

_COLOURS = {
    Outlook.PASS: "green",
    Outlook.FAIL: "red",
    Outlook.INCONCLUSIVE: "yellow",
    Outlook.INVALID: "purple",
}
# The columns of latency: what, which percentile and unit, and where the figure lies in a summary.
_LATENCIES = (
    ("TTFT", "p50 ms", ("ttft", "p50")),
    ("TTFT", "p99 ms", ("ttft", "p99")),
    ("TPOT", "p50 ms", ("tpot", "p50")),
    ("E2E", "p99 ms", ("e2e", "p99")),
)
_FIGURE_WIDTH = 7
_VERDICT_WIDTH = len("inconclusive")
_REQUESTS_WIDTH = 9
_ID_WIDTH_MIN = 16
# Where nobody looks at a screen (a log), this many columns are readable anywhere.
_LOG_WIDTH = 100
_INDENT = "    "


class TerminalWriter(Protocol):
    """The verbs of pytest's own terminal writer that are used here."""

    hasmarkup: bool

    @property
    def fullwidth(self) -> int:
        """Columns of the terminal."""
        ...

    def write(self, msg: str, *, flush: bool = False, **markup: bool) -> None:
        """Write text, coloured where the terminal can."""
        ...

    def line(self, s: str = "", **markup: bool) -> None:
        """Write a line."""
        ...

    def sep(self, sepchar: str, title: str | None = None, fullwidth: int | None = None, **markup: bool) -> None:
        """Write a line across the screen with a title in it."""
        ...


class Piece(NamedTuple):
    """Some text and the names of its markup, such as ``("green", "bold")``."""

    text: str
    markup: tuple[str, ...] = ()


Line = tuple[Piece, ...]


def table_width(terminal: TerminalWriter) -> int:
    """The columns a table may use: those of the screen, or 100 in a log."""
    return max(terminal.fullwidth - 1, 40) if terminal.hasmarkup else max(terminal.fullwidth, _LOG_WIDTH)


class CaseTable:
    """
    The table that grows by a row as each case ends.

    Args:
        terminal: pytest's terminal writer.
        case_ids: ids of all cases to come, which decide the width of the first column.
        width: columns to use; by default what the terminal has.
    """

    def __init__(self, terminal: TerminalWriter, case_ids: Iterable[str], *, width: int | None = None) -> None:
        self._terminal = terminal
        self._width = width or table_width(terminal)
        self._id_width = id_column_width(case_ids, self._width)
        self._headed = False

    def add(self, record: Record, *, expected_failure: bool = False) -> None:
        """Write the row of a case that has just ended, after the heading if it is the first one."""
        if not self._headed:
            self._write(heading_lines(self._id_width))
            self._headed = True
        self._write(row_lines(record, id_width=self._id_width, width=self._width, expected_failure=expected_failure))

    def _write(self, lines: Iterable[Line]) -> None:
        for line in lines:
            write_pieces(self._terminal, line)


def write_pieces(terminal: TerminalWriter, line: Line) -> None:
    """Write one line; blanks at its end are left out."""
    for position, (text, markup) in enumerate(line):
        shown = text.rstrip() if position == len(line) - 1 else text
        terminal.write(shown, **dict.fromkeys(markup, True))
    terminal.line()


def id_column_width(case_ids: Iterable[str], width: int) -> int:
    """The width of the first column: the longest id where it fits, never less than 16."""
    others = 1 + _VERDICT_WIDTH + 1 + _REQUESTS_WIDTH + (len(_LATENCIES) + 1) * _FIGURE_WIDTH
    longest = max((len(printable(each)) for each in case_ids), default=0)
    return max(_ID_WIDTH_MIN, min(longest, width - others))


def heading_lines(id_width: int) -> tuple[Line, Line]:
    """The two lines above the table: what each column is, its percentile and unit."""
    left = f"{'case':<{id_width}} {'verdict':<{_VERDICT_WIDTH}} {'requests':>{_REQUESTS_WIDTH}}"
    over = "".join(f"{what:>{_FIGURE_WIDTH}}" for what in (*(what for what, _, _ in _LATENCIES), "output"))
    under = "".join(f"{unit:>{_FIGURE_WIDTH}}" for unit in (*(unit for _, unit, _ in _LATENCIES), "tok/s"))
    return (Piece(" " * len(left) + over, ("light",)),), (Piece(left + under, ("bold",)),)


def row_lines(record: Record, *, id_width: int, width: int, expected_failure: bool = False) -> list[Line]:
    """
    The row of one case, and below it what was missed or broke, in words.

    An id that is wider than its column has a line of its own: a cut id cannot be typed after ``-k``.
    """
    case_id = printable(record.case.id)
    figures = _figure_pieces(record)
    own_line = len(case_id) > id_width
    lines: list[Line] = [(Piece(case_id),)] if own_line else []
    lines.append((Piece(f"{'' if own_line else case_id:<{id_width}} "), *figures))
    if record.capacity is not None:
        lines += _wrapped([capacity_words(record.capacity)], width)
    if record.stopped is not None:
        lines += _wrapped([record.stopped.words], width)
    if record.simulated and not case_id.endswith("simulated"):
        # The server at an endpoint says what it is; the id was there before anybody asked it.
        lines += _wrapped(["SIMULATED: this server is a simulated one; no figure was measured on real hardware"], width)
    lines += _wrapped(reasons(record), width)
    if expected_failure:
        lines += _wrapped(["this miss is expected (marked so)"], width)
    return lines


def _figure_pieces(record: Record) -> Line:
    outlook = record.verdict.outlook
    summary = record.summary
    requests = f"{count(summary.counts.completed)}/{count(summary.counts.attempted)}" if summary else NOTHING
    values = [statistic(record, *where) for _, _, where in _LATENCIES]
    values.append(summary.scalars.get("output_throughput") if summary else None)
    failed = summary is not None and summary.counts.completed < summary.counts.attempted
    return (
        Piece(f"{outlook.value:<{_VERDICT_WIDTH}} ", (_COLOURS[outlook], "bold")),
        Piece(f"{requests:>{_REQUESTS_WIDTH}}", ("red",) if failed else ()),
        Piece("".join(f"{number(value):>{_FIGURE_WIDTH}}" for value in values)),
    )


def statistic(record: Record, metric: str, name: str) -> float | None:
    """One statistic (``p99``) of one latency metric (``ttft``) of a case; None where it was not measured."""
    distribution = record.summary.distributions.get(metric) if record.summary else None
    return None if distribution is None or distribution.count == 0 else float(getattr(distribution, name))


def reasons(record: Record) -> list[str]:
    """Why a case is not ``pass``, in words: what broke, what invalidates it, and each objective that is not met."""
    found = [_ends(text) for text in (record.error or "", *record.verdict.reasons)]
    if record.verdict.outlook is not Outlook.INVALID:
        found += [judgement_in_words(each) for each in record.verdict.judgements if each.outlook is not Outlook.PASS]
    return list(dict.fromkeys(printable(each) for each in found if each))


def _ends(text: str) -> str:
    """The first line and the last of what may quote a server's log: what happened, and that server's last word."""
    lines = [line for line in text.splitlines() if line.strip()]
    return (" … " if len(lines) > 2 else " ").join(dict.fromkeys((*lines[:1], *lines[-1:]))).strip()


def judgement_in_words(judgement: Judgement) -> str:
    """``missed ttft_p99 <= 350 ms: 413 ms (+17.9 %)``, or why it could not be decided."""
    objective = judgement.objective
    if judgement.outlook is not Outlook.FAIL:
        return f"{judgement.outlook.value}: {objective.text}: {judgement.reason}"
    if isnan(judgement.actual):
        return f"missed {objective.text}: {judgement.reason}"
    share = difference(judgement.actual, objective.limit)
    by_how_much = "" if share == NOTHING else f" ({share})"
    return f"missed {objective.text}: {quantity(judgement.actual, judgement.unit)}{by_how_much}"


def _wrapped(texts: Sequence[str], width: int) -> list[Line]:
    lines: list[Line] = []
    for text in texts:
        parts = textwrap.wrap(text, max(width, 20), initial_indent=f"{_INDENT}→ ", subsequent_indent=f"{_INDENT}  ")
        lines += [(Piece(part),) for part in parts]
    return lines


def tally(records: Sequence[Record], expected: Collection[str] = ()) -> str:
    """``8 cases: 6 pass, 1 fail, 1 invalid``; what did not pass, but was marked so (node ids in ``expected``), is said apart."""
    known = [record for record in records if record.node_id in expected and record.verdict.outlook is not Outlook.PASS]
    outlooks = Counter(record.verdict.outlook for record in records)
    outlooks.subtract(record.verdict.outlook for record in known)
    parts = [f"{outlooks[outlook]} {outlook.value}" for outlook in Outlook if outlooks[outlook]]
    parts += [f"{len(known)} failed as expected"] if known else []
    return f"{len(records)} case{'' if len(records) == 1 else 's'}: {', '.join(parts)}"


def summary_tail(records: Sequence[Record], *, run_dir: Path, report: Path | None, expected: Collection[str] = ()) -> list[str]:
    """What stands below the table at the end of a run: the tally, what is simulated, and where everything lies."""
    lines = [f"{tally(records, expected)}; {length_of_time(sum(record.wall_s for record in records))} of measuring"]
    simulated = sum(record.simulated for record in records)
    if simulated:
        lines.append(f"SIMULATED: {simulated} of {len(records)} cases; none of their figures was measured on real hardware")
    lines.append(f"results: {run_dir}")
    if report is not None:
        lines.append(f"report:  {report}")
    return [printable(line) for line in lines]


def write_summary(
    terminal: TerminalWriter,
    records: Sequence[Record],
    *,
    run_dir: Path,
    report: Path | None,
    expected: Collection[str] = (),
) -> None:
    """
    Write the table of all cases and what belongs below it; nothing where no case ran.

    ``expected`` holds the node ids of cases that are marked as expected to fail.
    """
    if not records:
        return
    terminal.sep("=", "inference benchmarks")
    table = CaseTable(terminal, [record.case.id for record in records])
    for record in records:
        table.add(record, expected_failure=record.node_id in expected and record.verdict.outlook is not Outlook.PASS)
    for line in summary_tail(records, run_dir=run_dir, report=report, expected=expected):
        terminal.line(line)

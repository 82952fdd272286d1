"""
The records of a session, as they come in: from this process, from xdist's workers, and from the run's folder at the end; and
how pytest's terminal and its HTML report show them.

Rule: as in `session`, what draws or writes is imported when the first record comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_inferbench.errors import InferbenchError
from pytest_inferbench.screen import reporter_of

if TYPE_CHECKING:
    from pytest_inferbench.compare_command import Compared
    from pytest_inferbench.records.record import Record
    from pytest_inferbench.reporting.html import HtmlReport
    from pytest_inferbench.reporting.terminal import CaseTable


class Gathering:
    """
    What is known of the cases of a session so far; a plugin of pytest, which hears of each report.

    Args:
        config: pytest's configuration.
        is_worker: this process runs tests for another one, which gathers for both.
        run_folder: where this run's files go; asked only when there is a record.

    Attributes:
        cases: ids of the cases that are to come.
        troubles: what went wrong beside the cases, in sentences; any of them fails the session.
        notices: what people should know, in sentences; none of them is a fault.
        plain: lines to end with as they are, such as a table.
    """

    def __init__(self, config: pytest.Config, *, is_worker: bool, run_folder: Callable[[], Path]) -> None:
        self._config = config
        self._is_worker = is_worker
        self._run_folder = run_folder
        self._records: dict[str, Record] = {}
        self._expected: set[str] = set()
        self._table: CaseTable | None = None
        self._html: HtmlReport | None = None
        self._kept: list[pytest.TestReport | pytest.CollectReport] = []
        self.cases: list[str] = []
        self.troubles: list[str] = []
        self.notices: list[str] = []
        self.plain: list[str] = []
        self._compared: Compared | None = None

    # -- while it runs ------------------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what could not be collected, for the HTML report."""
        if self._html is None and report.failed and not self._is_worker:
            self._kept.append(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in a record, and keep the report for the HTML report, which is not begun before the first case."""
        if self._is_worker:
            return
        if self._html is None:
            self._kept.append(report)
        carried = getattr(report, "inferbench", None)
        if carried is None:
            return
        from pytest_inferbench.records.codec import from_json  # noqa: PLC0415 - see the module's rule

        self._records[report.nodeid] = from_json(carried)
        if hasattr(report, "wasxfail"):
            self._expected.add(report.nodeid)
        if self._html is None:
            self._begin_html()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Show a case's row as it ends."""
        record = self._records.get(nodeid)
        if record is None or reporter_of(self._config) is None or self._config.option.verbose < 0:
            return
        terminal = self._config.get_terminal_writer()
        if terminal.width_of_current_line:
            terminal.line()
        if self._table is None:
            from pytest_inferbench.reporting.terminal import CaseTable  # noqa: PLC0415 - see the module's rule

            self._table = CaseTable(terminal, self.cases or [record.case.id])
        self._table.add(record, expected_failure=nodeid in self._expected)

    @property
    def compared(self) -> Compared | None:
        """What came of holding the run against a baseline; None where nobody asked."""
        return self._compared

    def take_comparison(self, found: Compared) -> None:
        """Show it at the end of the session and on top of the report."""
        self._compared = found
        if self._html is None:
            return
        from pytest_inferbench.reporting.changes_section import Changes  # noqa: PLC0415 - see the module's rule

        self._html.changes = Changes(baseline=found.baseline, comparisons=found.comparisons, notes=found.notes)

    @property
    def records(self) -> tuple[Record, ...]:
        """Those that came in so far."""
        return tuple(self._records.values())

    # -- at the end ---------------------------------------------------------------------------------------------------

    def or_trouble(self, step: Callable[[], None]) -> None:
        """Take a step of the end; one that fails must not take the others with it."""
        try:
            step()
        except InferbenchError as error:
            self.troubles.append(str(error))

    def write_results(self, unreported: Iterable[Record], *, resumed: bool = False) -> None:
        """
        Write the files of the run; ``unreported`` are records of this process, which pytest may not have heard of.

        Of a run that was resumed, what a later measurement has replaced is left out.

        Raises:
            RecordError: they cannot be written.
        """
        from pytest_inferbench.records.results import write_results  # noqa: PLC0415 - see the module's rule

        # A case that Ctrl-C or a crash stopped has no report, and a test that measures twice has one for both.
        known = {record.folder for record in self._records.values()}
        found = {record.folder: record for record in (*self._on_disk(), *unreported)}
        self._records |= {f"{folder} {record.node_id}": record for folder, record in found.items() if folder not in known}
        records = list(self._records.values())
        if records:
            write_results(self._run_folder(), self._current(records) if resumed else records)

    def summarise(self, reporter: pytest.TerminalReporter) -> None:
        """The table of the run, and where everything lies."""
        if self._is_worker:
            return
        if self._records:
            reporter.ensure_newline()
            self._summarise_records(reporter)
        if self.compared is not None:
            self._summarise_comparison(self.compared)
        if self.plain:
            reporter.ensure_newline()
        for line in self.plain:
            reporter.write_line(line)
        for notice in self.notices:
            reporter.write_line(f"note: {notice}")
        for trouble in self.troubles:
            reporter.write_line(f"inferbench: {trouble}", red=True)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _current(self, records: list[Record]) -> list[Record]:
        from pytest_inferbench.resume import Stored, current  # noqa: PLC0415 - see the module's rule

        every = [Stored(record=record, folder=self._run_folder() / record.folder) for record in records]
        return [stored.record for stored in current(sorted(every, key=lambda each: each.record.started_at))]

    def _on_disk(self) -> list[Record]:
        """The records that workers have written into the run's folder, as far as they can be read."""
        from pytest_inferbench.records.reader import read_record  # noqa: PLC0415 - see the module's rule
        from pytest_inferbench.records.writer import SUMMARY_FILE  # noqa: PLC0415 - see the module's rule

        known = {record.folder for record in self._records.values()}
        folders = [path.parent for path in sorted(self._run_folder().glob(f"*/{SUMMARY_FILE}")) if path.parent.name not in known]
        found: list[Record] = []
        for folder in folders:
            self.or_trouble(lambda folder=folder: found.append(read_record(folder)))  # type: ignore[misc]  # mypy cannot infer it
        return found

    def _summarise_records(self, reporter: pytest.TerminalReporter) -> None:
        from pytest_inferbench.reporting.notes import notes  # noqa: PLC0415 - see the module's rule
        from pytest_inferbench.reporting.terminal import summary_tail, write_summary  # noqa: PLC0415 - see the module's rule

        records = list(self._records.values())
        report = self._html.path if self._html is not None else None
        if self._config.option.verbose < 0:
            for line in summary_tail(records, run_dir=self._run_folder(), report=report, expected=self._expected):
                reporter.write_line(line)
        else:
            terminal = self._config.get_terminal_writer()
            write_summary(terminal, records, run_dir=self._run_folder(), report=report, expected=self._expected)
        for note in notes(records):
            reporter.write_line(_in_flags_of_pytest(note))

    def _summarise_comparison(self, found: Compared) -> None:
        from pytest_inferbench.reporting.comparison_table import comparison_lines, outcome_line  # noqa: PLC0415 - as above
        from pytest_inferbench.reporting.figures import printable  # noqa: PLC0415 - as above
        from pytest_inferbench.reporting.terminal import write_pieces  # noqa: PLC0415 - as above

        terminal = self._config.get_terminal_writer()
        terminal.sep("=", printable(f"compared with {found.baseline}"))
        for line in comparison_lines(found.comparisons) if self._config.option.verbose >= 0 else ():
            write_pieces(terminal, line)
        for note in found.notes:
            terminal.line(f"note: {printable(note)}")
        terminal.line(outcome_line(found.comparisons))

    def _begin_html(self) -> None:
        from pytest_inferbench.records.codec import from_json  # noqa: PLC0415 - see the module's rule
        from pytest_inferbench.reporting import html  # noqa: PLC0415 - see the module's rule

        report = self._run_folder() / "report.html"
        self._html = html.install(self._config, default_report=lambda: report, decode=from_json, kept=self._kept)
        self._kept = []


def _in_flags_of_pytest(note: str) -> str:
    """A note as it reads here: its advice names the flags of ``inferbench run``."""
    for flag, here in {"--tokenizer": "--inferbench-tokenizer", "(--extra-body)": "(the suite's extra_body)"}.items():
        note = note.replace(flag, here)
    return note

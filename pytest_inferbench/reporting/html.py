"""
Cases in pytest-html's report.

The report is on by default: where pytest-html is installed and nobody named another file, it lies beside the results. It is
made at the end of the session and only when a case ran, because pytest-html creates its folder as soon as it is configured,
and people who have this plugin installed run ordinary tests too.

pytest-html builds its whole table anew at every click, so what belongs to a case stands once beside the table (see `interactive`)
and its row has an empty place for it.

Rule: pytest-html is known to this module and no other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, MutableSequence, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from math import isnan
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.load.trace import Traces
from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.records.record import Record
from pytest_inferbench.records.redact import redact_record
from pytest_inferbench.redaction import redact_text
from pytest_inferbench.reporting.case_page import CaseFiles, case_data, figure_cells, pill
from pytest_inferbench.reporting.changes_section import Changes
from pytest_inferbench.reporting.environment_facts import environment_of
from pytest_inferbench.reporting.interactive import packed
from pytest_inferbench.reporting.overview_page import overview_html, scripts_html
from pytest_inferbench.reporting.telemetry_lanes import telemetry_lanes

Cells = MutableSequence[str]
Kept = pytest.TestReport | pytest.CollectReport
Decode = Callable[[dict[str, Any]], Record]

_PLUGIN = "html"
_EXTRA = "inferbench-case"
_OPENING, _CLOSING = '<div class="ib-packed" hidden>', "</div>"
# More failures than this, unfolded one below the other, are no longer a list of anything.
_OPEN_ROWS_MAX = 3
_OUTCOMES = ("passed", "failed", "skipped", "xfailed", "xpassed", "error", "rerun")
_LOG_LINES = 40
_LOG_BYTES_MAX = 64 * 1024
# After the columns Result and Test.
_FIRST_COLUMN = 2
_HEADS = (
    ("verdict", "Verdict"),
    ("ttft_p99", "TTFT p99 (ms)"),
    ("tpot_p50", "TPOT p50 (ms)"),
    ("output_throughput", "Output (tok/s)"),
)
_ORDER = {Outlook.PASS: 0, Outlook.INCONCLUSIVE: 1, Outlook.FAIL: 2, Outlook.INVALID: 3}


def available(config: pytest.Config) -> bool:
    """True where pytest-html is installed and not switched off with ``-p no:html``."""
    return config.pluginmanager.hasplugin(_PLUGIN) and hasattr(config.option, "htmlpath")


def asked_for(config: pytest.Config) -> Path | None:
    """The report that the person asked for with ``--html``."""
    given = getattr(config.option, "htmlpath", None)
    return Path(os.path.expandvars(given)).expanduser() if given else None


def install(
    config: pytest.Config, *, default_report: Callable[[], Path], decode: Decode, kept: Sequence[Kept] = ()
) -> HtmlReport | None:
    """
    Register the report's hooks in the process that collects the results; to be called once, with the first case at the latest.

    Args:
        config: pytest's configuration.
        default_report: where the report belongs when nobody said; asked at the end, and only if a case ran.
        decode: makes a `Record` of what tests carry as ``report.inferbench``.
        kept: the reports of the session so far.

    Returns:
        The registered plugin, or None where there is no pytest-html.
    """
    if not available(config):
        return None
    plugin = HtmlReport(config, default_report=default_report, decode=decode)
    for report in kept:
        plugin.keep(report)
    config.pluginmanager.register(plugin, "inferbench-html")
    return plugin


def case_extras(record: Record, traces: Traces | None, *, run_dir: Path, report: Path | None = None) -> list[dict[str, Any]]:
    """
    What the report shows below the row of a case, for ``report.extras``: plain JSON, made in whatever process ran the case.

    Args:
        record: the case's record.
        traces: its requests; None where it broke before there were any.
        run_dir: the run's directory, in which ``record.folder`` lies.
        report: where the report will lie, for links that work from there; beside the run's results by default.
    """
    record, folder = redact_record(record), run_dir / record.folder
    files = CaseFiles(
        links=_links(record, run_dir, report or run_dir / "report.html"),
        log_tail=_log_tail(record, run_dir),
        environment=environment_of(folder),
        lanes=() if traces is None else telemetry_lanes(record, traces, folder),
    )
    content = f"{_OPENING}{packed(case_data(record, traces, files))}{_CLOSING}"
    return [{"name": _EXTRA, "format_type": "html", "content": content, "mime_type": None, "extension": None}]


def take_packed(extras: Iterable[dict[str, Any]], place: int) -> str:
    """The packed case among the extras of a test (empty where there is none), whose content becomes its place in the row."""
    found = ""
    for extra in extras:
        if extra.get("name") == _EXTRA:
            found = str(extra["content"]).removeprefix(_OPENING).removesuffix(_CLOSING)
            extra["content"] = f'<div class="ib-slot" data-case="{place}"></div>'
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """
    What the report is made of.

    ``expected`` are node ids of cases that are marked as expected to fail; ``packed`` has the packed case of each record, in the
    same order, empty where there is none; ``changes`` is None where there is no baseline.
    """

    records: tuple[Record, ...]
    expected: frozenset[str] = frozenset()
    packed: tuple[str, ...] = ()
    changes: Changes | None = None


def results_summary(prefix: MutableSequence[str], postfix: MutableSequence[str], shown: Shown) -> None:
    """Put the overview on top of the report and its scripts after it; nothing where no case was measured."""
    if shown.records:
        prefix.insert(0, overview_html(shown.records, shown.expected, changes=shown.changes))
        postfix.append(scripts_html(shown.records, shown.expected, shown.packed))


def table_header(cells: Cells) -> None:
    """Add the columns of figures to the head of the table of results."""
    cells[_FIRST_COLUMN:_FIRST_COLUMN] = [
        f'<th class="sortable ib-col ib-col-{name}" data-column-type="{name}">{title}</th>' for name, title in _HEADS
    ]


def table_row(cells: Cells, record: Record | None) -> None:
    """Add the figures of a case to its row; empty cells for an ordinary test."""
    added = [_cell(name, escape(text), value) for name, text, value in figure_cells(record)]
    if record is not None:
        outlook = record.verdict.outlook
        added.insert(0, _cell("verdict", pill(outlook), float(_ORDER[outlook])))
    else:
        added = [_cell(name, "", None) for name, _ in _HEADS]
    cells[_FIRST_COLUMN:_FIRST_COLUMN] = added


def escape_test_id(cells: Cells) -> None:
    """Escape the test's id in its row: pytest-html puts it into the page as it is, and ids hold names from configs."""
    opening, closing = '<td class="col-testId">', "</td>"
    for position, cell in enumerate(cells):
        if isinstance(cell, str) and cell.startswith(opening):
            cells[position] = f"{opening}{escape(cell.removeprefix(opening).removesuffix(closing))}{closing}"


def report_title(records: Sequence[Record]) -> str:
    """The title of the report: what it is, and how many cases passed."""
    passed = sum(record.verdict.outlook is Outlook.PASS for record in records)
    return f"Inference benchmarks · {passed} of {len(records)} pass"


def _cell(name: str, text: str, value: float | None) -> str:
    # pytest-html sorts cells as text, so what is compared comes first, in digits of one length and out of sight.
    key = "~" if value is None or isnan(value) else f"{value:020.6f}"
    return f'<td class="col-{name} ib-col ib-col-{name}"><!--{key}-->{text}</td>'


def _links(record: Record, run_dir: Path, report: Path) -> tuple[tuple[str, str], ...]:
    folder = run_dir / record.folder
    found = sorted(each for each in folder.iterdir() if each.is_file()) if folder.is_dir() else []
    if log := _log_path(record, run_dir):
        found += [log] if log not in found else []
    return tuple((each.name, os.path.relpath(each, report.parent)) for each in found)


def _log_path(record: Record, run_dir: Path) -> Path | None:
    if record.served is None or record.served.log is None:
        return None
    path = run_dir / record.served.log
    return path if path.is_file() else None


def _log_tail(record: Record, run_dir: Path) -> str:
    path = _log_path(record, run_dir)
    if path is None:
        return ""
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - _LOG_BYTES_MAX))
        text = log.read(_LOG_BYTES_MAX).decode("utf-8", errors="replace")
    return redact_text("\n".join(text.splitlines()[-_LOG_LINES:]))


class HtmlReport:
    """
    The report of pytest-html with our columns and pictures.

    It is made when all is over, out of the reports that were kept. That a session has cases is known too late for the head of
    pytest-html's table, so a report that was asked for with ``--html`` is made anew, in the place of the one without columns.

    Attributes:
        path: where the report was written, or will be; None until it was where nobody asked for one.
        problem: why it could not be written, in words.
        changes: the run held against a baseline, to be set before the session ends; None where there is none.
    """

    def __init__(self, config: pytest.Config, *, default_report: Callable[[], Path], decode: Decode) -> None:
        self.path: Path | None = asked_for(config)
        self.problem: str | None = None
        self.changes: Changes | None = None
        self._packed: dict[str, str] = {}
        self._config = config
        self._default_report = default_report
        self._decode = decode
        self._records: dict[str, Record] = {}
        self._xfailed: set[str] = set()
        self._asked = self.path is not None
        self._writing = False
        self._kept: list[Kept] = []
        self._started_s = datetime.now(UTC).timestamp()

    @property
    def records(self) -> tuple[Record, ...]:
        """The records of all cases so far, in the order in which they ended."""
        return tuple(self._records.values())

    @property
    def expected(self) -> frozenset[str]:
        """Node ids of the cases that are marked as expected to fail."""
        return frozenset(record.node_id for node_id, record in self._records.items() if node_id in self._xfailed)

    def keep(self, report: Kept) -> None:
        """Keep what the report will need."""
        if isinstance(report, pytest.TestReport):
            self._note(report)
            self._started_s = min(self._started_s, report.start or self._started_s)
        # pytest-html changes the extras in place when it makes a report, and the one that was asked for is made twice.
        kept: Any = copy(report)
        kept.extras = deepcopy(getattr(report, "extras", []))
        self._kept.append(kept)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a test's report."""
        self.keep(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what could not be collected: the report shows it too."""
        if report.failed:
            self.keep(report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the report, if a case ran; whatever goes wrong with it, the results stand."""
        if not self._records:
            return
        self._writing = True
        try:
            self._write(session)
        except Exception as exc:  # noqa: BLE001 - pytest-html is not ours, and a report must never break a run
            self.problem = f"the HTML report could not be written: {exc}"
        finally:
            self._writing = False

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say why there is no report."""
        if self.problem:
            terminalreporter.write_line(self.problem, yellow=True)

    def pytest_html_report_title(self, report: Any) -> None:
        """Title the default report (who named a file named the report), and fold its rows where many would be open."""
        if not self._writing:
            return
        if not self._asked:
            report.title = report_title(self.records)
        if sum(record.verdict.outlook is not Outlook.PASS for record in self.records) > _OPEN_ROWS_MAX:
            report.set_data("renderCollapsed", list(_OUTCOMES))

    def pytest_html_results_table_header(self, cells: Cells) -> None:
        """Add our columns."""
        if self._writing:
            table_header(cells)

    @pytest.hookimpl(tryfirst=True)
    def pytest_html_results_table_row(self, report: pytest.TestReport, cells: Cells) -> None:
        """Add our figures, and make the id safe."""
        escape_test_id(cells)
        if self._writing:
            table_row(cells, self._records.get(report.nodeid))

    def pytest_html_results_summary(self, prefix: MutableSequence[str], postfix: MutableSequence[str]) -> None:
        """Put the overview on top."""
        if self._writing:
            packed = tuple(self._packed.get(node_id, "") for node_id in self._records)
            shown = Shown(records=self.records, expected=self.expected, packed=packed, changes=self.changes)
            results_summary(prefix, postfix, shown)

    def _note(self, report: pytest.TestReport) -> None:
        attached = getattr(report, "inferbench", None)
        if isinstance(attached, dict):
            self._records[report.nodeid] = self._decode(attached)
        if hasattr(report, "wasxfail"):
            self._xfailed.add(report.nodeid)

    def _write(self, session: pytest.Session) -> None:
        """Let pytest-html make its report now, and tell it all that happened before it was there."""
        manager = self._config.pluginmanager
        for plain in self._made_by_pytest_html():
            manager.unregister(plain)
        path = self.path or self._default_report()
        self._config.option.htmlpath = str(path)
        if not self._asked:
            self._config.option.self_contained_html = True
        pytest_html: Any = manager.get_plugin(_PLUGIN)
        pytest_html.pytest_configure(self._config)
        (report,) = self._made_by_pytest_html()
        # Its own start would be now, and the report would say that the tests took no time.
        report._suite_start_time = self._started_s  # noqa: SLF001 - there is no public way to tell it
        report.pytest_sessionstart(session)
        self._take_cases()
        for each in self._kept:
            if isinstance(each, pytest.CollectReport):
                report.pytest_collectreport(each)
            else:
                report.pytest_runtest_logreport(each)
        report.pytest_sessionfinish(session)
        self.path = path

    def _take_cases(self) -> None:
        """Take what belongs to the cases out of the kept reports, once; the last report of a case counts."""
        places = {node_id: place for place, node_id in enumerate(self._records)}
        for each in self._kept:
            extras: Any = getattr(each, "extras", [])
            if each.nodeid in places and (found := take_packed(extras, places[each.nodeid])):
                self._packed[each.nodeid] = found

    def _made_by_pytest_html(self) -> list[Any]:
        """Its reports among the registered plugins."""
        return [each for each in self._config.pluginmanager.get_plugins() if type(each).__module__.startswith("pytest_html.")]

"""
One pytest session with benchmarks in it: a short method for each thing that pytest announces.

Rule: only what a session needs in every process is imported at the top. What measures or draws is imported when the first case
runs, so that people who collect, or only have the plugin installed, do not wait for it.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_inferbench.cases.case import Case
from pytest_inferbench.collection import case_of
from pytest_inferbench.devices import inventory
from pytest_inferbench.load.seeds import draw_seeds
from pytest_inferbench.options import Options, read_options
from pytest_inferbench.records.run_directory import new_run_id

if TYPE_CHECKING:
    from pytest_inferbench.experiment import Experiment, Result
    from pytest_inferbench.launch.endpoint import Endpoint
    from pytest_inferbench.records.record import Record
    from pytest_inferbench.records.run_directory import RunDirectory
    from pytest_inferbench.reporting.html import HtmlReport
    from pytest_inferbench.reporting.progress import Progress, ProgressWriter
    from pytest_inferbench.reporting.terminal import CaseTable

SESSION = pytest.StashKey["BenchSession"]()
_RECORD = pytest.StashKey["Record"]()
_EXTRAS = pytest.StashKey[list[dict[str, Any]]]()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Which run this is, the same in all processes of a session: where it writes (None: the default), and its seeds."""

    run_id: str
    output: str | None
    seed: int
    salt: int

    @classmethod
    def fresh(cls, options: Options) -> _Place:
        seeds = draw_seeds(options.seed)
        output = str(options.output) if options.output is not None else None
        return cls(run_id=new_run_id(datetime.now().astimezone()), output=output, seed=seeds.seed, salt=seeds.salt)


class BenchSession:
    """
    What this plugin knows of a session.

    Attributes:
        options: what was asked for on the command line.
        is_worker: this process runs tests for another one (pytest-xdist).
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.options: Options = read_options(config)
        given = getattr(config, "workerinput", {}).get("inferbench")
        self.is_worker = given is not None
        self._place = _Place(**given) if given is not None else _Place.fresh(self.options)
        self._run: RunDirectory | None = None
        self._experiment: Experiment | None = None
        self._progress: ProgressWriter | None = None
        self._table: CaseTable | None = None
        self._html: HtmlReport | None = None
        self._records: dict[str, Record] = {}
        self._expected: set[str] = set()
        self._cases: list[str] = []

    # -- collection ---------------------------------------------------------------------------------------------------

    def order(self, items: list[pytest.Item]) -> None:
        """Bring cases of one server together, each group where its first case stood; everything else keeps its place."""
        first: dict[str, int] = {}
        place: dict[pytest.Item, int] = {}
        for index, item in enumerate(items):
            case = case_of(item)
            place[item] = index if case is None else first.setdefault(case.server_key, index)
        items.sort(key=place.__getitem__)

    def collected(self, items: Sequence[pytest.Item]) -> None:
        """Remember what will run."""
        self._cases = [case.id for case in map(case_of, items) if case is not None]
        if self._cases and not self.is_worker and not self.config.option.collectonly:
            self._install_html()

    def worker_input(self) -> dict[str, Any]:
        """What a worker process is told: the run to write into, and the seeds; plain values."""
        return asdict(self._place)

    # -- running ------------------------------------------------------------------------------------------------------

    def check_hardware(self, item: pytest.Item) -> None:
        """Skip a case whose hardware is not here; an endpoint that is already there runs on whatever it runs on."""
        case = case_of(item)
        if case is None or self.options.endpoint is not None:
            return
        reason = inventory.skip_reason(case)
        if reason is not None:
            pytest.skip(reason)

    def measure(self, case: Case, item: pytest.Item) -> Result:
        """
        Run a case through all stages.

        Raises:
            InferbenchError: it could not be measured, or its figures must not be believed.
        """
        experiment = self.experiment
        before = len(experiment.records)
        try:
            result = experiment.measure(case, node_id=item.nodeid, again=self._again(item))
        except BaseException:
            if len(experiment.records) > before:
                self._attach(item, experiment.records[-1], None)
            raise
        finally:
            self._clear_progress()
        self._attach(item, result.record, result)
        return result

    def endpoint(self, case: Case) -> Endpoint:
        """The running server's endpoint for a case."""
        return self.experiment.pool.server_for(case).endpoint

    @property
    def experiment(self) -> Experiment:
        """What measures; made when the first case runs."""
        if self._experiment is None:
            self._experiment = self._make_experiment()
        return self._experiment

    @property
    def run(self) -> RunDirectory:
        """Where this run's files go."""
        if self._run is None:
            from pytest_inferbench.records.run_directory import open_run, point_latest  # noqa: PLC0415 - see the module's rule

            place = self._place
            root = self.config.rootpath
            # Whoever has the first case makes the folder, and the others join it: a session without cases leaves nothing.
            self._run = open_run(place.run_id, output=Path(place.output) if place.output else None, root=root)
            if not self.is_worker and place.output is None:
                point_latest(self._run, root=root)
        return self._run

    # -- reporting ----------------------------------------------------------------------------------------------------

    def report(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Let a case's record travel with its report, as plain JSON, to whoever collects the results."""
        record = item.stash.get(_RECORD, None)
        if record is None or report.when != "call":
            return
        from pytest_inferbench.records.codec import to_json  # noqa: PLC0415 - see the module's rule

        # Attributes of a report travel from xdist's workers to the controller as JSON.
        carried: Any = report
        carried.inferbench = to_json(record)
        carried.extras = [*getattr(report, "extras", []), *item.stash.get(_EXTRAS, [])]

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Show a case's row as it ends."""
        carried = getattr(report, "inferbench", None)
        if carried is None or self.is_worker:
            return
        from pytest_inferbench.records.codec import from_json  # noqa: PLC0415 - see the module's rule

        record = from_json(carried)
        self._records[report.nodeid] = record
        expected = hasattr(report, "wasxfail")
        if expected:
            self._expected.add(record.node_id)
        reporter = self._reporter()
        if reporter is not None and self.config.option.verbose >= 0:
            reporter.ensure_newline()
            self._case_table().add(record, expected_failure=expected)

    def finish(self) -> None:
        """Stop every server, and write down the results of the run."""
        try:
            if self._experiment is not None:
                self._experiment.pool.close()
        finally:
            if not self.is_worker and (self._records or self._experiment is not None):
                self._write_results()

    def summarise(self, reporter: pytest.TerminalReporter) -> None:
        """The table of the run, and where everything lies."""
        if self.is_worker or not self._records:
            return
        from pytest_inferbench.reporting.terminal import summary_tail, write_summary  # noqa: PLC0415 - see the module's rule

        records = list(self._records.values())
        report = self._html.path if self._html is not None else None
        if self.config.option.verbose < 0:
            for line in summary_tail(records, run_dir=self.run.path, report=report):
                reporter.write_line(line)
        else:
            write_summary(_Terminal(self.config), records, run_dir=self.run.path, report=report)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _make_experiment(self) -> Experiment:
        from pytest_inferbench.experiment import Experiment, Settings  # noqa: PLC0415 - see the module's rule
        from pytest_inferbench.launch.pool import ServerPool  # noqa: PLC0415 - see the module's rule
        from pytest_inferbench.load.seeds import Seeds  # noqa: PLC0415 - see the module's rule

        self._register_engines()
        options = self.options
        pool = ServerPool(folder=self.run.path / "servers", attachment=self._attachment())
        settings = Settings(
            seeds=Seeds(seed=self._place.seed, salt=self._place.salt),
            slo=options.slo,
            lease_timeout_s=options.lease_timeout_s,
            cases=len(self._cases),
        )
        return Experiment(self.run, pool, settings, on_progress=self._show)

    def _register_engines(self) -> None:
        """Take in the engines of other packages."""
        from pytest_inferbench.engines import registry  # noqa: PLC0415 - see the module's rule

        for engines in self.config.hook.pytest_inferbench_engines(config=self.config):
            for engine in engines:
                registry.register(engine)

    def _attachment(self) -> Any:
        options = self.options
        if options.endpoint is None:
            return None
        from pytest_inferbench.launch.pool import Attachment  # noqa: PLC0415 - see the module's rule
        from pytest_inferbench.load.tokens import tokenizer_at  # noqa: PLC0415 - see the module's rule

        return Attachment(
            url=options.endpoint,
            model=options.endpoint_model,
            api_key_env=options.api_key_env,
            tokenizer=tokenizer_at(options.tokenizer) if options.tokenizer else None,
        )

    def _again(self, item: pytest.Item) -> str:
        """The command that runs just this case again, as a person would type it."""
        options = self.options
        flags = [f"--inferbench-endpoint={options.endpoint}"] if options.endpoint else []
        flags += [f"--inferbench-slo={text}" for text in options.slo]
        return shlex.join(["pytest", item.nodeid, *flags])

    def _attach(self, item: pytest.Item, record: Record, result: Result | None) -> None:
        from pytest_inferbench.reporting import html, junit  # noqa: PLC0415 - see the module's rule

        item.stash[_RECORD] = record
        item.user_properties.extend(junit.properties(record))
        if html.available(self.config):
            traces = result.traces if result is not None else None
            item.stash[_EXTRAS] = html.case_extras(record, traces, run_dir=self.run.path, report=html.asked_for(self.config))

    def _install_html(self) -> None:
        from pytest_inferbench.records.codec import from_json  # noqa: PLC0415 - see the module's rule
        from pytest_inferbench.reporting import html  # noqa: PLC0415 - see the module's rule

        self._html = html.install(self.config, default_report=lambda: self.run.path / "report.html", decode=from_json)

    def _write_results(self) -> None:
        from pytest_inferbench.records.results import write_results  # noqa: PLC0415 - see the module's rule

        # A case that Ctrl-C stopped has a record and no report.
        unreported = [] if self._experiment is None else self._experiment.records
        records = {record.folder: record for record in (*self._records.values(), *unreported)}
        write_results(self.run.path, list(records.values()))

    def _reporter(self) -> Any:
        return self.config.pluginmanager.get_plugin("terminalreporter")

    def _case_table(self) -> CaseTable:
        if self._table is None:
            from pytest_inferbench.reporting.terminal import CaseTable  # noqa: PLC0415 - see the module's rule

            self._table = CaseTable(_Terminal(self.config), self._cases)
        return self._table

    def _show(self, state: Progress) -> None:
        """Live progress, where there is somebody to see it."""
        from pytest_inferbench.reporting.progress import ProgressWriter, progress_mode  # noqa: PLC0415 - see the module's rule

        if self._progress is None:
            on_screen = self.config.get_terminal_writer().hasmarkup
            mode = progress_mode(tty=on_screen, verbosity=self.config.option.verbose, xdist_worker=self.is_worker)
            self._progress = ProgressWriter(_Screen(self.config), mode=mode)
        self._progress.show(state)

    def _clear_progress(self) -> None:
        if self._progress is not None:
            self._progress.clear()


class _Terminal:
    """pytest's terminal writer with the verbs that the reporting stage asks for."""

    def __init__(self, config: pytest.Config) -> None:
        self._writer = config.get_terminal_writer()
        self.hasmarkup = self._writer.hasmarkup

    @property
    def fullwidth(self) -> int:
        """Columns of the terminal."""
        return self._writer.fullwidth

    def write(self, msg: str, /, **markup: bool) -> None:
        """Write text."""
        self._writer.write(msg, **markup)

    def line(self, s: str = "", /, **markup: bool) -> None:
        """Write a line."""
        self._writer.line(s, **markup)

    def sep(self, sepchar: str, title: str | None = None, /, **markup: bool) -> None:
        """Write a line across the terminal."""
        self._writer.sep(sepchar, title, None, **markup)


class _Screen:
    """The terminal as pytest's reporter writes to it, past the capturing of a test's output."""

    def __init__(self, config: pytest.Config) -> None:
        self._writer = config.get_terminal_writer()

    def write(self, text: str, /) -> None:
        """Write text at once."""
        self._writer.write(text, flush=True)

    def flush(self) -> None:
        """It was written at once."""

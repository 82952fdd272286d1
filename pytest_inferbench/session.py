"""
One pytest session with benchmarks in it: a short method for each thing that pytest announces.

Rule: only what a session needs in every process is imported at the top. What measures or draws is imported when the first case
runs, so that people who collect, or only have the plugin installed, do not wait for it.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_inferbench import simulation
from pytest_inferbench.cases.case import Case
from pytest_inferbench.collection import case_of, plain_failure
from pytest_inferbench.devices import inventory
from pytest_inferbench.devices.inventory import Inventory
from pytest_inferbench.errors import InferbenchError, RecordError
from pytest_inferbench.gathering import Gathering
from pytest_inferbench.grouping import tell_groups
from pytest_inferbench.launch import ledger
from pytest_inferbench.launch.ownership import start_time
from pytest_inferbench.launch.watchdog import watch
from pytest_inferbench.load.seeds import Seeds, draw_seeds
from pytest_inferbench.options import Options, again_flags, read_options
from pytest_inferbench.records.run_directory import RUNS, new_run_id
from pytest_inferbench.screen import LiveProgress, on_screen, reporter_of

if TYPE_CHECKING:
    from pytest_inferbench.assembly import Wish
    from pytest_inferbench.compare_command import Compared
    from pytest_inferbench.dry_run import DryCase
    from pytest_inferbench.experiment import Experiment
    from pytest_inferbench.gate import Gate
    from pytest_inferbench.launch.endpoint import Endpoint
    from pytest_inferbench.records.record import Record
    from pytest_inferbench.records.run_directory import RunDirectory
    from pytest_inferbench.reporting.progress import Progress
    from pytest_inferbench.result import Result
    from pytest_inferbench.worker_progress import ProgressFile

SESSION = pytest.StashKey["BenchSession"]()
_RECORD = pytest.StashKey["Record"]()
_EXTRAS = pytest.StashKey[list[dict[str, Any]]]()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """
    Which run this is, the same in all processes of a session.

    ``output`` is where it writes (None: the default); ``groups`` the folder in which workers say what their cases need, and where
    they are with them if that is ``watched``.
    """

    run_id: str
    output: str | None
    seed: int
    salt: int
    groups: str | None = None
    watched: bool = False

    @classmethod
    def fresh(cls, options: Options) -> _Place:
        seeds = draw_seeds(options.seed)
        folder = options.resume or options.output
        run_id = new_run_id(datetime.now().astimezone()) if options.resume is None else _run_id_in(options.resume)
        return cls(run_id=run_id, output=None if folder is None else str(folder), seed=seeds.seed, salt=seeds.salt)


class BenchSession:
    """
    What this plugin knows of a session.

    Attributes:
        options: what was asked for on the command line.
        is_worker: this process runs tests for another one (pytest-xdist).
        gathering: the records that came in so far, and what is said of the session at its end.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.options: Options = read_options(config)
        given = getattr(config, "workerinput", {}).get("inferbench")
        self.is_worker = given is not None
        self._place = _Place(**given) if given is not None else _Place.fresh(self.options)
        self._run: RunDirectory | None = None
        self._experiment: Experiment | None = None
        self._live: LiveProgress | ProgressFile | None = None
        self._dry: list[DryCase] = []
        self._in_containers = False
        self._ends = ExitStack()
        if (given_gpus := self._given_inventory()) is not None:
            inventory.use(given_gpus)
            self._ends.callback(inventory.use, None)
        self.gathering = Gathering(config, is_worker=self.is_worker, run_folder=lambda: self.run.path)
        self._gate: Gate | None = None if self.is_worker else self._asked_gate()

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
        """
        Remember what will run, and see that there is a place for its results before anything starts.

        Raises:
            pytest.UsageError: there is none.
        """
        cases = [case for case in map(case_of, items) if case is not None]
        self.gathering.cases = [case.id for case in cases]
        self._in_containers = any(case.engine.in_container for case in cases)
        if self._place.groups is not None:
            tell_groups(self.config, items, Path(self._place.groups))
        if not self.is_worker and not self.config.option.collectonly and any(self._skip_reason(case) is None for case in cases):
            self._open_or_usage_error()

    def worker_input(self) -> dict[str, Any]:
        """
        What a worker process is told: the run to write into, and the seeds; plain values.

        Raises:
            pytest.UsageError: the folder that was asked for cannot be used.
        """
        # Cases are known to the workers only. A folder that was asked for is wanted anyway.
        if self._place.output is not None and not self.config.option.collectonly:
            self._open_or_usage_error()
        self._place = replace(self._place, groups=str(self._groups), watched=self._place.watched or on_screen(self.config))
        return asdict(self._place)

    def scheduler(self, config: pytest.Config, log: Any) -> Any:
        """What spreads the items over xdist's workers; None: xdist's own."""
        from pytest_inferbench.scheduling import make_scheduler  # noqa: PLC0415 - xdist may not be installed

        serial = self.options.exclusive or self.options.endpoint is not None
        return make_scheduler(config, log, folder=self._groups, devices=self._devices, serial=serial)

    # -- running ------------------------------------------------------------------------------------------------------

    def check_hardware(self, item: pytest.Item) -> None:
        """Skip a case whose hardware is not here."""
        case = case_of(item)
        reason = None if case is None else self._skip_reason(case)
        if reason is not None:
            pytest.skip(reason)

    def measure(self, case: Case, item: pytest.Item) -> Result:
        """
        Run a case through all stages.

        Raises:
            InferbenchError: it could not be measured, or its figures must not be believed.
        """
        if self.options.dry_run:
            self._describe(case, item)
        if (needs := self._cluster_needs(case)) is not None:
            pytest.skip(needs)
        experiment = self.experiment
        before = len(experiment.records)
        try:
            result = experiment.measure(case, node_id=item.nodeid, again=self._again(item))
        except BaseException:
            if len(experiment.records) > before:
                self._attach(item, experiment.records[-1], experiment.last)
            raise
        finally:
            if self._live is not None:
                self._live.clear()
        self._attach(item, result.record, result)
        return self._as_asked(result)

    def _as_asked(self, result: Result) -> Result:
        """The result, where what is inconclusive is no reason to skip the rest of the test."""
        if result.record.verdict.outlook == "inconclusive" and self.options.inconclusive == "skip":
            pytest.skip(result.explain())
        return replace(result, inconclusive_passes=self.options.inconclusive == "pass")

    def endpoint(self, case: Case) -> Endpoint:
        """
        The running server's endpoint for a case.

        Raises:
            InferbenchError: there is no such server to be had.
        """
        if self.options.dry_run:
            pytest.skip("dry run: it would start a server")
        return self.experiment.pool.server_for(case).endpoint

    def done_with(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """Stop the server of a case after its last test; one that is no benchmark comes between two cases without harm."""
        case, following = case_of(item), None if nextitem is None else case_of(nextitem)
        if self._experiment is None or case is None:
            return
        if nextitem is None or (following is not None and following.server_key != case.server_key):
            self._experiment.pool.close()

    @property
    def experiment(self) -> Experiment:
        """What measures; made when the first case runs."""
        if self._experiment is None:
            self._experiment = self._make_experiment()
        return self._experiment

    @property
    def run(self) -> RunDirectory:
        """
        Where this run's files go.

        Raises:
            RecordError: the folder cannot be used.
        """
        if self._run is None:
            from pytest_inferbench.records.run_directory import open_run, point_latest  # noqa: PLC0415 - see the module's rule

            # Whoever has the first case makes the folder, and the others join it: a session without cases leaves nothing.
            self._run = open_run(self._place.run_id, output=self._folder)
            if not self.is_worker and self._place.output is None:
                try:
                    point_latest(self._run, root=self.config.rootpath)
                except RecordError as error:
                    self.gathering.troubles.append(str(error))
        return self._run

    # -- reporting ----------------------------------------------------------------------------------------------------

    @contextmanager
    def showing_workers(self) -> Iterator[None]:
        """Show on the terminal where the workers of xdist are, for the length of a block; nothing where either is missing."""
        reporter = reporter_of(self.config)
        # Only who has told workers so knows that they are watched.
        if self.is_worker or not self._place.watched or reporter is None:
            yield
            return
        from pytest_inferbench.worker_screen import WorkerScreen  # noqa: PLC0415 - most sessions have no workers

        with WorkerScreen(self.config, reporter, self._groups):
            yield

    def report(self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        """Let a case's record travel with its report, as plain JSON, to whoever collects the results."""
        self._in_its_own_words(item, call, report)
        record = item.stash.get(_RECORD, None)
        if record is None or report.when != "call":
            return
        from pytest_inferbench.records.codec import to_json  # noqa: PLC0415 - see the module's rule

        # Attributes of a report travel from xdist's workers to the controller as JSON.
        carried: Any = report
        carried.inferbench = to_json(record)
        carried.extras = [*getattr(report, "extras", []), *item.stash.get(_EXTRAS, [])]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hold what was measured against the baseline that was asked for; before JUnit's file is written, which says it too."""
        records = self.gathering.records
        if self._gate is None or self.is_worker or not records:
            return
        from pytest_inferbench import gate  # noqa: PLC0415 - see the module's rule

        asked = self._gate
        self.gathering.or_trouble(lambda: self._take_in(gate.held(asked, records, self.run.path)))
        found = self.gathering.compared
        missed = found is not None and gate.misses(found, inconclusive=self.options.inconclusive)
        if missed and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def finish(self, session: pytest.Session) -> None:
        """Stop every server, and write down the results of the run; what goes wrong is said at the end, and fails the session."""
        gathering = self.gathering
        if self._experiment is not None:
            self._close(self._experiment)
        if self._dry:
            from pytest_inferbench.dry_run import summary_lines  # noqa: PLC0415 - see the module's rule

            self.gathering.plain += summary_lines(self._dry)
        if self.is_worker:
            said = {"troubles": gathering.troubles, "notices": gathering.notices}
            self.config.workeroutput["inferbench"] = said  # type: ignore[attr-defined]  # xdist's own, without types
        elif self._folder.is_dir():
            gathering.or_trouble(self._write_results)
            self._close_run(int(session.exitstatus))
        self._ends.close()
        if gathering.troubles and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def worker_finished(self, workeroutput: dict[str, Any]) -> None:
        """Take in what went wrong in an xdist worker beside its tests."""
        said = workeroutput.get("inferbench", {})
        self.gathering.troubles += said.get("troubles", [])
        # Several workers may have the same to say.
        self.gathering.notices += [notice for notice in said.get("notices", []) if notice not in self.gathering.notices]

    def forget_worker(self, name: str) -> None:
        """Show no more of an xdist worker that has ended, or was killed in the midst of a case."""
        if self._place.watched:
            from pytest_inferbench.worker_progress import ProgressFile  # noqa: PLC0415 - most sessions have no workers

            ProgressFile(self._groups, name).clear()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _given_inventory(self) -> Inventory | None:
        """The GPUs that stand in for those of this machine."""
        options = self.options
        if options.simulate:
            return simulation.inventory_of(options.inventory, self._place.run_id, locks=self._groups)
        return None if options.inventory is None else inventory.declared(options.inventory)

    @property
    def _groups(self) -> Path:
        """A folder in which workers say what their cases need; gone at the end, or when this process is killed."""
        if self._place.groups is None:
            folder = self._ends.enter_context(ledger.temporary_folder(self._place.run_id))
            watch(ledger.folder(), started=start_time(os.getpid()) or "")
            self._place = replace(self._place, groups=str(folder))
        return Path(str(self._place.groups))

    @property
    def _devices(self) -> list[str]:
        """The hardware that is here and nobody else's, one name a device."""
        return [gpu.name for gpu in inventory.detected().free]

    @property
    def _folder(self) -> Path:
        """The folder of this run, which another process of it may have made."""
        place = self._place
        return Path(place.output) if place.output is not None else self.config.rootpath / RUNS / place.run_id

    def _skip_reason(self, case: Case) -> str | None:
        """Why a case cannot run here; a server that is already there runs on whatever it runs on."""
        if case.cluster is not None and not case.simulated:
            # What hardware this machine has means nothing to it.
            return None
        there = self.options.endpoint is not None or (self.options.reuse_servers and ledger.kept(case.server_key))
        return None if there else inventory.skip_reason(case)

    def _open_or_usage_error(self) -> None:
        try:
            _ = self.run
        except RecordError as error:
            raise pytest.UsageError(str(error)) from error

    def _close(self, experiment: Experiment) -> None:
        """Stop what runs, and take in what was to be said of it."""
        from pytest_inferbench.assembly import closing_notices  # noqa: PLC0415 - see the module's rule

        experiment.pool.close()
        if experiment.uploader is not None:
            # What is left to be sent, and what went wrong, is a matter of the upload at the end.
            experiment.uploader.stop()
        self.gathering.troubles += [*experiment.troubles, *experiment.pool.troubles]
        self.gathering.notices += closing_notices(experiment)

    def _close_run(self, exit_code: int) -> None:
        from pytest_inferbench.closing import Closing  # noqa: PLC0415 - see the module's rule

        root = self.config.rootpath
        run = Closing(options=self.options, gathering=self.gathering, run_dir=self._folder, root=root, exit_code=exit_code)
        run.close()

    def _write_results(self) -> None:
        unreported = () if self._experiment is None else self._experiment.records
        self.gathering.write_results(unreported, resumed=self.options.resume is not None)

    def _asked_gate(self) -> Gate | None:
        """What the run will be held against, read before anything starts."""
        if self.options.compare is None or self.config.option.collectonly:
            return None
        from pytest_inferbench.gate import gate_of  # noqa: PLC0415 - see the module's rule

        try:
            return gate_of(self.options, root=self.config.rootpath)
        except InferbenchError as error:
            raise pytest.UsageError(str(error)) from error

    def _take_in(self, found: Compared) -> None:
        from pytest_inferbench.gate import tell_junit  # noqa: PLC0415 - see the module's rule

        self.gathering.take_comparison(found)
        tell_junit(self.config, found)

    def _make_experiment(self) -> Experiment:
        from pytest_inferbench import assembly  # noqa: PLC0415 - see the module's rule
        from pytest_inferbench.launch import leftovers  # noqa: PLC0415 - see the module's rule

        self.gathering.notices += leftovers.reap(containers=self._in_containers)
        experiment, troubles = assembly.experiment(self._wish, show=self._show, waiting=self._still_here)
        self.gathering.notices += troubles
        return experiment

    def _cluster_needs(self, case: Case) -> str | None:
        """What cluster a case needs, its manifests written down; None where none, or its gateway is there already."""
        if case.cluster is None or case.simulated or self.options.endpoint is not None:
            return None
        from pytest_inferbench.manifests import write_manifests  # noqa: PLC0415 - see the module's rule

        place, needs = write_manifests(case, self.run.path, run_id=self.run.run_id)
        return f"{needs} Apply {place}, then name its gateway: --inferbench-endpoint URL"

    def _describe(self, case: Case, item: pytest.Item) -> None:
        """Write down what would be run, and skip the rest of the test."""
        from pytest_inferbench import assembly  # noqa: PLC0415 - see the module's rule

        dry = assembly.described(self._wish, case, node_id=item.nodeid)
        self._dry.append(dry)
        pytest.skip(f"dry run: {self._cluster_needs(case) or dry.trouble or 'nothing was started'}")

    @property
    def _wish(self) -> Wish:
        from pytest_inferbench.assembly import Wish  # noqa: PLC0415 - see the module's rule

        seeds = Seeds(seed=self._place.seed, salt=self._place.salt)
        cases = len(self.gathering.cases)
        live = not self.is_worker and on_screen(self.config)
        return Wish(
            config=self.config,
            options=self.options,
            run=self.run,
            seeds=seeds,
            cases=cases,
            live=live,
            is_worker=self.is_worker,
        )

    def _again(self, item: pytest.Item) -> str:
        """The command that runs just this case again, as a person would type it where this session was started."""
        path, separator, rest = item.nodeid.partition("::")
        shown = os.path.relpath(self.config.rootpath / path, self.config.invocation_params.dir)
        return shlex.join(["pytest", f"{shown}{separator}{rest}", *again_flags(self.options)])

    def _attach(self, item: pytest.Item, record: Record, result: Result | None) -> None:
        from pytest_inferbench.reporting import html, junit  # noqa: PLC0415 - see the module's rule

        item.stash[_RECORD] = record
        item.user_properties.extend(junit.properties(record))
        if html.available(self.config):
            traces = result.traces if result is not None else None
            item.stash[_EXTRAS] = html.case_extras(record, traces, run_dir=self.run.path, report=html.asked_for(self.config))

    def _in_its_own_words(self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        """Show an error of ours in a marked function as its text alone: the code in between is none of the user's."""
        raised = call.excinfo
        if raised is None or not isinstance(raised.value, InferbenchError) or case_of(item) is None:
            return
        if self.config.option.fulltrace:
            return
        lines = [entry.lineno + 1 for entry in raised.traceback if Path(entry.path) == item.path]
        notes = "".join(f"\n{note}" for note in getattr(raised.value, "__notes__", ()))
        line = lines[-1] if lines else (item.location[1] or 0) + 1
        report.longrepr = plain_failure(f"{raised.value}{notes}", str(item.path), line)

    def _show(self, state: Progress) -> None:
        """Live progress, where there is somebody to see it."""
        if self._live is None:
            self._live = self._progress_file() if self.is_worker else self._live_progress()
        if self._live is not None:
            self._live.show(state)

    def _live_progress(self) -> LiveProgress | None:
        reporter = reporter_of(self.config)
        return None if reporter is None else LiveProgress(self.config, reporter)

    def _progress_file(self) -> ProgressFile | None:
        """How a worker tells where it is."""
        if not self._place.watched:
            return None
        from pytest_inferbench.worker_progress import ProgressFile  # noqa: PLC0415 - most sessions have no workers

        worker: str = self.config.workerinput["workerid"]  # type: ignore[attr-defined]  # xdist's own, without types
        return ProgressFile(self._groups, worker)

    def _still_here(self, words: str) -> None:
        if self._experiment is not None:
            self._experiment.still_here(words)


def _run_id_in(folder: Path) -> str:
    from pytest_inferbench.resume import run_at  # noqa: PLC0415 - see the module's rule

    try:
        return run_at(folder).run_id
    except RecordError as error:
        raise pytest.UsageError(f"--inferbench-resume: {error}") from error

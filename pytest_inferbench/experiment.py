"""
The life of a case, from its lease to its record: the one place that calls the stages one after the other.

Rule: no decision is made here that belongs to a stage, and nothing here knows pytest; the plugin and the command line both
run their cases through `Experiment.measure`.
"""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_inferbench import simulation as simulating
from pytest_inferbench.attempt import Attempt, planned_by, record_of, served_by, spoiling
from pytest_inferbench.capacity import Probe, Searching, refuse_unsearchable
from pytest_inferbench.cases.case import Case, Tool
from pytest_inferbench.devices import inventory
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.devices.lease import hold
from pytest_inferbench.errors import ConfigError, EngineDied, InferbenchError, RecordError
from pytest_inferbench.launch.attached import base_url
from pytest_inferbench.launch.endpoint import Endpoint, Server
from pytest_inferbench.launch.hygiene import clean
from pytest_inferbench.launch.pool import ServerPool
from pytest_inferbench.load.api import api_named
from pytest_inferbench.load.calibrate import quick
from pytest_inferbench.load.drive import Driven, Driver
from pytest_inferbench.load.drive import Progress as LoadProgress
from pytest_inferbench.load.floor import Floor
from pytest_inferbench.load.plan import PlanFile, Recipe, make_plan
from pytest_inferbench.load.seeds import Seeds
from pytest_inferbench.load.tokens import counter_for
from pytest_inferbench.load.trace import Traces
from pytest_inferbench.metrics.telemetry.watch import Watch, watching
from pytest_inferbench.objectives.contradictions import refuse_contradictions
from pytest_inferbench.objectives.measurable import refuse_unmeasurable
from pytest_inferbench.objectives.slo import parse_objectives
from pytest_inferbench.objectives.stopping import stopper_for
from pytest_inferbench.objectives.tolerance import tolerances_of
from pytest_inferbench.records.environment import Environment, describe_environment
from pytest_inferbench.records.files import writing
from pytest_inferbench.records.manifest import Manifest, write_manifest
from pytest_inferbench.records.record import Planned, Record, Served
from pytest_inferbench.records.run_directory import RunDirectory
from pytest_inferbench.records.telemetry import write_telemetry
from pytest_inferbench.records.writer import write_case
from pytest_inferbench.replay import Recorded
from pytest_inferbench.reporting.capacity_chart import write_capacity_svgs
from pytest_inferbench.reporting.plots import write_case_png
from pytest_inferbench.reporting.progress import Phase, Progress
from pytest_inferbench.result import Result, raise_unless_believable
from pytest_inferbench.resume import Resume
from pytest_inferbench.sweep import resolved

if TYPE_CHECKING:
    from pytest_inferbench.records.artifact_uploader import Uploader

HOST = "host"
"""Held by whoever wants to measure alone on this host."""
DRAINING = "sure; waiting for the last answers"
PICTURE_FILE = "throughput_latency.png"
_DIED_EVERY_S = 1.0
SIMULATED_TRIES = 3
"""How often a simulated load is driven at most: on few cores, one in thirty is disturbed by what else runs there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    What holds for all cases of a run.

    ``seeds`` as in `load.plan`; ``slo`` are objectives for every case beside its own; ``lease_timeout_s`` is the longest wait
    for hardware that another process measures on; ``cases`` is how many are to come, for people who watch. ``replay`` says of
    each case by its id what is to be sent again; None: every case is planned anew.
    """

    seeds: Seeds
    cases: int = 1
    slo: tuple[str, ...] = ()
    lease_timeout_s: float = 3600.0
    workers: int | None = None
    """Load processes of every case; None: as many as its load needs."""
    replay: Mapping[str, Recorded] | None = None
    resume: Resume | None = None
    """The run to go on with: cases that have a result there which counts are not measured again."""
    exclusive: bool = False
    """One case at a time on this host, whatever it is measured on."""
    beside: tuple[Gpu, ...] = ()
    """GPUs that are watched beside a server of which nobody knows what it runs on."""
    live: bool = False
    """Find out while load runs what it is like: somebody looks at it on a screen."""
    calibration: bool = True
    """Find before the first case how right times measured on this machine are."""


class Experiment:
    """
    Measures cases, one at a time.

    Args:
        run: where records go.
        pool: where servers come from.
        settings: what holds for all cases.
        on_progress: told where a case is.
        uploader: sends cases away as they finish, and never while a load runs; None: nobody does.

    Attributes:
        records: of every case so far, in the order in which they ended.
        last: the result of the last case, also where it must not be believed; None where there is none.
        troubles: what went wrong beside the measuring, in sentences.
        notices: what else people should know, in sentences.
        resumed: cases whose result was there already.
    """

    def __init__(
        self,
        run: RunDirectory,
        pool: ServerPool,
        settings: Settings,
        *,
        on_progress: Callable[[Progress], None] = lambda _: None,
        uploader: Uploader | None = None,
    ) -> None:
        self.run = run
        self.pool = pool
        self.settings = settings
        self.uploader = uploader
        self.records: list[Record] = []
        self.last: Result | None = None
        self.troubles: list[str] = []
        self._on_progress = on_progress
        self._began_s = time.monotonic()
        self._shown: tuple[Case, Phase] | None = None
        self._search_words: str | None = None
        self._floor: Floor | None = None
        self._calibrated = False
        self._watched: Watch | None = None
        self.notices: list[str] = []
        self.resumed = 0

    def measure(self, case: Case, *, node_id: str, again: str) -> Result:
        """
        Start what the case needs, drive its load, judge it, and keep the record.

        Raises:
            InferbenchError: it could not be measured, or its figures must not be believed; the record is kept all the same.
            KeyboardInterrupt: Ctrl-C; what was measured until then is kept.
        """
        self._began_s = time.monotonic()
        self.last = None
        stored = self._stored(case)
        if stored is not None:
            return stored
        attempt = self._attempt(case, node_id=node_id, again=again)
        try:
            with self._alone(case):
                attempt.begin()
                self._drive(attempt)
                self._show(case, "writing")
                # Kept before others may measure: drawing and writing take CPU time.
                result = self._keep(attempt)
        except BaseException as fault:
            attempt.fault = fault
            self._keep_broken(attempt, fault)
            raise
        finally:
            self.last = attempt.result
            if attempt.result is not None:
                self.records.append(attempt.result.record)
                if self.uploader is not None:
                    self.uploader.offer(attempt.folder)
        raise_unless_believable(result, attempt.objectives)
        return result

    def still_here(self, words: str) -> None:
        """Show again where the case is, while it waits for what ``words`` say."""
        if self._shown is not None:
            self._show(*self._shown, note=words)

    # -- the stages ---------------------------------------------------------------------------------------------------

    def _stored(self, case: Case) -> Result | None:
        """The case's result in the run that goes on; None where it is to be measured, and why is said."""
        resume = self.settings.resume
        found = None if resume is None else resume.find(case)
        if found is None:
            return None
        if isinstance(found, str):
            self.notices.append(found)
            return None
        self.last = found
        self.records.append(found.record)
        self.resumed += 1
        raise_unless_believable(found, parse_objectives((*case.slo, *self.settings.slo)))
        return found

    def _attempt(self, case: Case, *, node_id: str, again: str) -> Attempt:
        file = case.origin.file if case.origin else None
        replay = self.settings.replay
        if replay is not None and case.id not in replay:
            raise ConfigError(f"the record to replay has no case {case.id}; it has {', '.join(sorted(replay))}")
        objectives = parse_objectives((*case.slo, *self.settings.slo), file=file)
        refuse_unmeasurable(objectives, api_named(case.api, case.api_options), file=file)
        tolerances_of(case.fail_on, file=file)
        refuse_unsearchable(case, objectives, replayed=replay is not None)
        refuse_contradictions(objectives, rate_per_s=case.load.rate_per_s if not case.load.swept else None, file=file)
        return Attempt(
            case=case,
            node_id=node_id,
            again=again,
            folder=self.run.case_folder(case.id),
            objectives=objectives,
        )

    @contextmanager
    def _alone(self, case: Case) -> Iterator[None]:
        """Hold what the case is measured on, against everybody else on this host."""
        self._show(case, "waiting")
        limit_s = self.settings.lease_timeout_s

        def told(words: str) -> None:
            self._show(case, "waiting", note=words)

        with ExitStack() as held:
            for resource in self._resources(case):
                held.enter_context(hold(resource, timeout_s=limit_s, waiting=told, what=case.id))
            yield

    @contextmanager
    def _turn(self, case: Case, server: Server) -> Iterator[None]:
        """A simulated load's place on this host, which others wait for while they start and plan theirs."""
        if not case.simulated:
            yield
            return

        def told(words: str) -> None:
            self._show(case, "waiting", note=words)

        limit_s = self.settings.lease_timeout_s
        with simulating.turn(timeout_s=limit_s, waiting=told, what=case.id), simulating.favoured(server.endpoint.pid):
            yield

    def _drive(self, attempt: Attempt) -> None:
        case = attempt.case = resolved(attempt.case, self.records)
        self._calibrate(case)
        if case.load.search is not None:
            self._search(attempt)
            return
        self._show(case, "starting server")
        server = attempt.server = self.pool.server_for(case)
        attempt.gpus = self.pool.gpus
        if case.tool is not None:
            self._drive_tool(attempt, case.tool, server)
            return
        self._show(case, "planning")
        recipe = self._recipe(case, server.endpoint)
        plan = make_plan(recipe)
        try:
            if self.settings.replay is not None:
                self.settings.replay[case.id].refuse_other(recipe, plan.sha256)
            attempt.planned = planned_by(plan, recipe.seeds)
            served = served_by(server, attempt.gpus)
            write_manifest(attempt.folder, self._manifest(attempt, served, attempt.planned, recipe.extra_body))
            self._load_until_undisturbed(attempt, server, plan)
        finally:
            plan.close()

    def _search(self, attempt: Attempt) -> None:
        """Look for the level of a case: one load after the other, each with a record of its own below the case's."""

        def told(words: str) -> None:
            self._search_words = words

        def drive(probe: Probe) -> Result:
            folder = attempt.folder / probe.name
            with writing(folder):
                folder.mkdir()
            one = Attempt(
                case=probe.case, node_id=attempt.node_id, again=attempt.again, folder=folder, objectives=probe.objectives
            )
            try:
                self._drive(one)
                attempt.server, attempt.gpus = one.server, one.gpus
                return self._keep(one)
            except BaseException as fault:
                one.fault = fault
                self._keep_broken(one, fault)
                raise

        attempt.searching = Searching(attempt.case, attempt.objectives, on_progress=told)
        try:
            attempt.searching.run(drive)
        finally:
            self._search_words = None

    def _drive_tool(self, attempt: Attempt, tool: Tool, server: Server) -> None:
        """Let somebody else's load generator do it."""
        from pytest_inferbench import tool_load  # noqa: PLC0415 - few cases have one

        case = attempt.case
        seeds = self.settings.seeds
        # What it sends is its own affair: there is no plan of ours to be held against.
        attempt.planned = Planned(seed=seeds.seed, salt=seeds.salt, sha256="", requests=None, tokenizer=tool.name)
        write_manifest(attempt.folder, self._manifest(attempt, served_by(server, attempt.gpus), attempt.planned, {}))

        order = tool_load.order_of(case, tool, folder=attempt.folder, run_id=self.run.run_id)

        def told(words: str) -> None:
            self._show(case, "measuring", note=words)

        with self._turn(case, server), self._watching(attempt, server) as attempt.watched:
            attempt.foreign = tool_load.drive(order, server, progress=told)
        raise_if_dead(server)

    def _load_until_undisturbed(self, attempt: Attempt, server: Server, plan: PlanFile) -> None:
        """
        Drive the load; that of a simulated case again where this host disturbed it, at most twice.

        What is measured of hardware stays as it was measured: there, what disturbs is a part of what was found.
        """
        simulation = attempt.case.simulation
        # With a fault on demand it would only be seen again.
        tries = SIMULATED_TRIES if simulation is not None and not simulation.faults else 1
        for left in reversed(range(tries)):
            with self._turn(attempt.case, server):
                self._load(attempt, server, plan)
            spoiled = [] if attempt.driven is None else [each for each in spoiling(attempt, attempt.driven) if each.invalidates]
            if not spoiled or not left:
                return
            self._show(attempt.case, "measuring", note=f"once more: {spoiled[0].what}")
            self.notices += clean(server)

    def _load(self, attempt: Attempt, server: Server, plan: PlanFile) -> None:
        watch = _Watch(server, lambda at: self._show(attempt.case, "measuring" if at.phase == "measuring" else "warm-up", at))
        # Unique among all that was ever sent to a server whose log somebody joins with the record.
        id_prefix = f"{self.run.run_id}-{secrets.token_hex(3)}"
        driver = Driver(attempt.case, server.endpoint, plan, id_prefix=id_prefix, on_progress=watch.progress)
        try:
            with self._watching(attempt, server) as attempt.watched:
                self._watched = attempt.watched
                stopper = stopper_for(attempt.case, attempt.objectives)
                driver.run(workers=self.settings.workers, stopper=stopper, live=self.settings.live)
        finally:
            self._watched = None
            attempt.driven = self._with_floor(driver.driven)
        raise_if_dead(server)

    @contextmanager
    def _watching(self, attempt: Attempt, server: Server) -> Iterator[Watch]:
        """Look at the server and its GPUs while a load runs, and at nothing else."""
        silent = nullcontext() if self.uploader is None else self.uploader.silent()
        with silent, watching(server.endpoint, attempt.gpus or self.settings.beside, folder=attempt.folder) as watch:
            yield watch

    def _calibrate(self, case: Case) -> None:
        """Find once how right times measured here are: on this machine, now."""
        if self._calibrated or not self.settings.calibration:
            return
        self._calibrated = True
        self._show(case, "calibrating")
        try:
            self._floor = quick()
        except InferbenchError as error:
            self.notices.append(f"how right times measured here are could not be found: {error}")

    def _with_floor(self, driven: Driven | None) -> Driven | None:
        return None if driven is None else replace(driven, audit=replace(driven.audit, floor=self._floor))

    def _manifest(self, attempt: Attempt, served: Served, planned: Planned, extra_body: dict[str, Any]) -> Manifest:
        return Manifest(
            run_id=self.run.run_id,
            node_id=attempt.node_id,
            started_at=attempt.started_at,
            simulated=attempt.simulated,
            case=attempt.case,
            served=served,
            extra_body=extra_body,
            planned=planned,
            environment=environment(),
            client_version=version("pytest-inferbench"),
        )

    def _resources(self, case: Case) -> tuple[str, ...]:
        """What must not be measured on by two at once: an endpoint, or this machine's CPU. GPUs are leased with their server."""
        at = self.pool.attachment
        whole = (HOST,) if self.settings.exclusive else ()
        if at is not None:
            return (*whole, base_url(at.url))
        if case.simulated:
            return whole
        if not case.gpus:
            return (*whole, case.hardware)
        shared = self.pool.shared(case)
        return whole if shared is None else (*whole, shared)

    def _recipe(self, case: Case, endpoint: Endpoint) -> Recipe:
        recipe = Recipe(
            case=case,
            model=endpoint.model,
            extra_body=_extra_body(case, endpoint),
            seeds=self.settings.seeds,
            counter=counter_for(endpoint.tokenizer),
        )
        replay = self.settings.replay
        return recipe if replay is None else replay[case.id].recipe(recipe)

    # -- the record ---------------------------------------------------------------------------------------------------

    def _keep(self, attempt: Attempt) -> Result:
        """Write down what is known of the case, however far it came."""
        driven = attempt.driven
        record = record_of(attempt, self.run)
        traces = None if driven is None else driven.measured
        if attempt.searching is not None:
            record, traces = attempt.searching.into(record), attempt.searching.traces
        result = attempt.result = Result(record=record, traces=traces)
        write_case(attempt.folder, record=record, traces=traces)
        self.pool.keep_log(attempt.case, attempt.folder)
        if attempt.watched is not None:
            self._keep_telemetry(attempt.folder, attempt.watched)
        if traces is not None:
            self._draw(attempt.folder / PICTURE_FILE, record, traces)
        return result

    def _keep_telemetry(self, folder: Path, watched: Watch) -> None:
        try:
            write_telemetry(folder, watched.readings)
        except RecordError as error:
            # The figures are safe by now, and what stood beside them is not worth them.
            self.troubles.append(str(error))

    def _draw(self, path: Path, record: Record, traces: Traces) -> None:
        try:
            write_case_png(path, record, traces)
            write_capacity_svgs(path.parent, record)
        except OSError as error:
            # The figures are safe by now, and a picture is not worth them.
            self.troubles.append(f"{path} could not be drawn: {error.strerror or error}")

    def _keep_broken(self, attempt: Attempt, fault: BaseException) -> None:
        try:
            self._keep(attempt)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not hide what broke the case, least of all Ctrl-C
            if error is not fault and str(error) != str(fault):
                fault.add_note(f"Besides, its record could not be kept: {error}")

    def _gpu_memory_bytes(self) -> int | None:
        # It is read from a file beside the load, so only for somebody who looks.
        return None if self._watched is None or not self.settings.live else self._watched.gpu_memory_bytes

    def _session_left_s(self) -> float | None:
        """How long the cases to come may take, if they take as long as those before; None where nobody can tell."""
        ahead = self.settings.cases - len(self.records)
        if not self.records or ahead < 1:
            return None
        each_s = sum(record.wall_s for record in self.records) / len(self.records)
        spent_s = time.monotonic() - self._began_s
        return max(0.0, each_s * ahead - spent_s)

    def _show(self, case: Case, phase: Phase, at: LoadProgress | None = None, *, note: str | None = None) -> None:
        self._shown = (case, phase)
        load = case.load
        total = {"measuring": load.requests, "warm-up": load.warmup}.get(phase)
        index = len(self.records) + 1
        left_s = None
        if at is not None and phase == "measuring" and at.done and total:
            left_s = at.elapsed_s * (total - at.done) / at.done
        self._on_progress(
            Progress(
                case_id=case.id,
                index=index,
                total=max(self.settings.cases, index),
                phase=phase,
                requests_done=at.done if at is not None else 0,
                requests_total=total,
                output_tokens_per_s=(at.reads_per_s or None) if at is not None else None,
                elapsed_s=at.elapsed_s if at is not None else time.monotonic() - self._began_s,
                left_s=left_s,
                note=note or self._search_words or (DRAINING if at is not None and at.draining else None),
                load=load.label,
                ttft_ms=None if at is None else at.ttft_ms_recent,
                tpot_ms=None if at is None else at.tpot_ms_recent,
                gpu_memory_bytes=None if at is None else self._gpu_memory_bytes(),
                outlooks=tuple(Counter(record.verdict.outlook.value for record in self.records).items()),
                session_left_s=self._session_left_s(),
            )
        )


class _Watch:
    """Looks after a load while it runs: passes on how far it is, and stops it when its server has died."""

    def __init__(self, server: Server, show: Callable[[LoadProgress], None]) -> None:
        self._server = server
        self._show = show
        self._looked_s = time.monotonic()

    def progress(self, at: LoadProgress) -> None:
        """
        Called a few times a second while the load runs.

        Raises:
            EngineDied: the server is gone; there is no point in going on.
        """
        self._show(at)
        # Asking somebody else's endpoint would be a request among the measured ones: it is asked when the load is over.
        if self._server.endpoint.pid is not None and time.monotonic() - self._looked_s > _DIED_EVERY_S:
            self._looked_s = time.monotonic()
            raise_if_dead(self._server)


def raise_if_dead(server: Server) -> None:
    """
    Nothing, while the server runs.

    Raises:
        EngineDied: it has ended; says how, with its last log lines.
    """
    why = server.died()
    if why is not None:
        raise EngineDied(f"the server ended while it was measured: {why}")


@cache
def environment() -> Environment:
    """The machine, looked at once a process."""
    return describe_environment(Path.cwd(), driver=inventory.detected().driver)


def _extra_body(case: Case, endpoint: Endpoint) -> dict[str, Any]:
    """Fields for every request: those the engine's recipe asks for, and over them those the case asks for."""
    cached = endpoint.cache_body if case.traffic.wants_cache else {}
    return {**endpoint.extra_body, **cached, **json.loads(case.extra_body or "{}")}

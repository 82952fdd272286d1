"""
The steps of a run, each by itself: prepare, up (deploy and wait), status, collect, down.

Rule: what goes wrong with one server is said with it and leaves the others; nothing here prints.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pytest_inferbench.cases.case import Case
from pytest_inferbench.devices import inventory
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.devices.gpu_lease import GpuLease, GpusWanted, lease_gpus
from pytest_inferbench.engines import registry
from pytest_inferbench.engines.engine import ServerSpec
from pytest_inferbench.engines.simulated import as_asked
from pytest_inferbench.errors import ConfigError, EngineError, InferbenchError
from pytest_inferbench.launch import docker_engine, leftovers, process
from pytest_inferbench.launch.endpoint import Server
from pytest_inferbench.launch.environment import filled, resolved
from pytest_inferbench.launch.kept import kept_server
from pytest_inferbench.launch.leftovers import Found, State
from pytest_inferbench.launch.share import cores_of
from pytest_inferbench.records.record import Record
from pytest_inferbench.records.results import RESULTS_CSV, RESULTS_JSON, write_results
from pytest_inferbench.resume import current, records_in
from pytest_inferbench.steps_selection import Wanted

SERVER_LOGS = Path("reports", "servers")
REPORT_FILE = "report.html"
GPU_LIMIT_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a step went with one server: ``trouble`` is None where it went well, ``lines`` is what there is to say of it."""

    server: Wanted
    trouble: str | None = None
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """
    What was collected.

    ``notes`` name what was left out since it was measured again, ``troubles`` what cannot be read.
    """

    records: tuple[Record, ...]
    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()


class Deployment:
    """
    Servers that are started to be kept.

    Args:
        run_id: what they belong to, for `inferbench down`.
        folder: where their logs go.
        progress: told in sentences what is being waited for.
    """

    def __init__(self, *, run_id: str, folder: Path, progress: Callable[[str], None]) -> None:
        self.run_id = run_id
        self._folder = folder.absolute()
        self._progress = progress
        # Held until this process ends; by then the servers' memory tells everybody that the GPUs are in use.
        self._leases: list[GpuLease] = []

    def up(self, wanted: Wanted) -> Outcome:
        """Start a server and wait until it has made a token; one that is up already is left as it is."""
        case = wanted.case
        try:
            spec = _spec(case)
            present = kept_server(spec, progress=self._progress)
            server = present or self._started(case, spec)
        except InferbenchError as error:
            return Outcome(server=wanted, trouble=str(error))
        run_id = self.run_id if present is None else present.run_id
        at = server.endpoint
        lines = [f"url   {at.url}", f"run   {run_id}" + ("" if present is None else " (was up already)")]
        return Outcome(server=wanted, lines=(*lines, *([f"log   {at.log_path}"] if at.log_path else [])))

    def _started(self, case: Case, spec: ServerSpec) -> Server:
        reason = inventory.skip_reason(case)
        if reason is not None:
            raise EngineError(reason)
        log_path = self._folder / f"{spec.engine}-{spec.key}.log"
        gpus: tuple[Gpu, ...] = ()
        if case.gpus:
            asked = GpusWanted(hardware=case.hardware, count=case.gpus, what=f"inferbench up: {case.id}")
            lease = lease_gpus(inventory.detected(), asked, timeout_s=GPU_LIMIT_S, waiting=self._progress)
            self._leases.append(lease)
            gpus = lease.gpus
        self._progress(f"starting {spec.engine} with {spec.model.served_name}")
        start = _starter(spec)
        return start(spec, gpus=gpus, log_path=log_path, progress=self._progress, run_id=self.run_id, kept=True)


def prepare(wanted: Wanted, *, progress: Callable[[str], None]) -> Outcome:
    """
    See that a server could be started here: hardware, the model's files, secrets, cores, and its program or image.

    An image that is not here is fetched, ``progress`` is told how that goes. Every check is made, so that all that is missing is
    said at once.
    """
    case, lines, troubles = wanted.case, list[str](), list[str]()
    reason = inventory.skip_reason(case)
    troubles += [reason] if reason is not None else []
    try:
        spec = _spec(case)
    except InferbenchError as error:
        return Outcome(server=wanted, trouble="; ".join([*troubles, str(error)]))
    lines.append(f"model {spec.model.load_from}")
    checks: tuple[Callable[[], str], ...] = (
        lambda: _secrets_line(spec),
        lambda: _cores_line(spec),
        lambda: _image_line(spec, progress) if spec.launcher == "docker" else _program_line(spec),
    )
    for check in checks:
        try:
            lines.append(check())
        except InferbenchError as error:
            troubles.append(str(error))
    return Outcome(server=wanted, trouble="; ".join(troubles) or None, lines=tuple(line for line in lines if line))


def look() -> tuple[tuple[Found, ...], str | None]:
    """Everything of this user that runs have left, keep or use; and why containers were not looked for, where they were not."""
    try:
        with closing(docker_engine.connect()) as engine:
            return leftovers.look(engine), None
    except EngineError as error:
        return leftovers.look(), str(error)


def chosen(found: Iterable[Found], *, run_id: str | None, every: bool) -> tuple[Found, ...]:
    """
    What `inferbench down` is to remove.

    Args:
        found: everything there is.
        run_id: everything of that run, in use or not.
        every: what was kept and what dead owners left; nothing that is in use. Without it and a run: what was kept.

    Raises:
        ConfigError: there is nothing of that run.
    """
    here = [each for each in found if each.state is not State.ELSEWHERE]
    if run_id is None:
        wanted = {State.KEPT, State.LEFT} if every else {State.KEPT}
        return tuple(each for each in here if each.state in wanted)
    mine = tuple(each for each in here if each.entry.run_id == run_id)
    if not mine:
        known = ", ".join(dict.fromkeys(each.entry.run_id for each in here if each.entry.run_id)) or "none"
        raise ConfigError(f"there is nothing of run {run_id} here; runs that have something here: {known}")
    return mine


def found_lines(found: Sequence[Found]) -> list[str]:
    """What there is, a line or two each."""
    lines: list[str] = []
    for each in found:
        state = each.state.value if each.there else f"{each.state.value}, ended"
        lines.append(f"{state:<14}  {each.words}")
        reach = each.entry.reach
        if reach is not None:
            lines.append(
                f"{'':<14}  {reach.engine} with {reach.model} at {reach.url}" + (f", log {reach.log}" if reach.log else "")
            )
    return lines


def collect(run_dir: Path) -> Collected:
    """
    Write ``results.json`` and ``results.csv`` of a run again, from its cases' folders.

    Raises:
        ConfigError: there is no case in it that can be read.
        RecordError: the files could not be written.
    """
    measured, troubles = records_in(run_dir)
    if not measured:
        more = f": {troubles[0]}" if troubles else "; give the folder of a run, such as reports/latest"
        raise ConfigError(f"{run_dir} holds no case with results{more}")
    standing = current(measured)
    replaced = [f"{each.folder} is left out: the case was measured again later" for each in measured if each not in standing]
    records = tuple(each.record for each in standing)
    write_results(run_dir, records)
    files = [run_dir / RESULTS_JSON, run_dir / RESULTS_CSV]
    files += [run_dir / REPORT_FILE] if (run_dir / REPORT_FILE).exists() else []
    return Collected(records=records, files=tuple(files), notes=tuple(replaced), troubles=troubles)


def _starter(spec: ServerSpec) -> Callable[..., Server]:
    if spec.launcher == "docker":
        from pytest_inferbench.launch import docker  # noqa: PLC0415 - brings the docker SDK with it

        return docker.start
    return process.start


def _spec(case: Case) -> ServerSpec:
    return as_asked(registry.engine(case.engine.name), case).server(case)


def _secrets_line(spec: ServerSpec) -> str:
    resolved(spec.env, environ=os.environ, port=1)
    if spec.api_key_env is not None and not os.environ.get(spec.api_key_env):
        raise EngineError(f"the environment variable {spec.api_key_env}, which is to hold the server's key, is not set")
    return ""


def _cores_line(spec: ServerSpec) -> str:
    cores = cores_of(spec.share)
    return f"cores {len(cores)}" if cores else ""


def _program_line(spec: ServerSpec) -> str:
    program = filled(spec.argv, port=1)[0]
    path = shutil.which(program)
    if path is None:
        raise EngineError(f"the program {program} is not on this machine; install it, or give its path")
    return f"start {path}"


def _image_line(spec: ServerSpec, progress: Callable[[str], None]) -> str:
    from pytest_inferbench.launch.docker_config import image_name  # noqa: PLC0415 - as above
    from pytest_inferbench.launch.docker_pull import present_image  # noqa: PLC0415 - only containers need it

    with closing(docker_engine.connect()) as engine:
        return f"image {present_image(engine, image_name(spec), progress=progress).digest}"

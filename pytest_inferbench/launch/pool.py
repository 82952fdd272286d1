"""
The model servers of a run: each case gets the one it needs, and cases with the same server key share one start.

Rule: one process has one server of ours at a time, with the GPUs that it leases. A case that needs another one ends the first,
because two that compute at once would measure each other, and even an idle one still wakes up. Servers run side by side in
processes of their own, which is what pytest-xdist's workers are.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from pytest_inferbench.cases.case import Case, LauncherName
from pytest_inferbench.cases.catalogue import ANY_GPU
from pytest_inferbench.devices import inventory
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.devices.gpu_lease import GpuLease, GpusWanted, lease_gpus
from pytest_inferbench.engines import registry
from pytest_inferbench.engines.engine import Engine, ServerSpec, TokenizerRef
from pytest_inferbench.engines.models import served_name
from pytest_inferbench.engines.simulated import as_asked
from pytest_inferbench.errors import ConfigError, EngineError, EngineNotReady
from pytest_inferbench.launch import log, process
from pytest_inferbench.launch.attached import Wanted, attach
from pytest_inferbench.launch.endpoint import Server
from pytest_inferbench.launch.headers import Access, filled_headers
from pytest_inferbench.launch.hygiene import clean, illness
from pytest_inferbench.launch.kept import KeptServer, kept_server

# A server that does not start is tried once more for the next case; after that its cases fail at once, instead of each
# waiting for the whole limit again.
START_FAILURES_MAX = 2
# Servers of these list their models and can be asked for a token beforehand; of the others only the load itself shows it.
_OPENAI_APIS = ("chat", "completions", "completions-tokens", "responses")

TOOLS_WITHOUT_SERVER = ("vllm-throughput",)
"""Tools that load no server but the engine inside of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """An endpoint that is already there, to be used for all cases; the fields are those of `attach`."""

    url: str
    model: str | None = None
    api_key_env: str | None = None
    tokenizer: TokenizerRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """
    How long servers are to be there, and for whom.

    Attributes:
        run_id: the run that they are started for.
        keep: they outlive it.
        reuse: those that an earlier run has kept are used where they are what is needed.
        lease_timeout_s: the longest wait for GPUs that others hold.
    """

    run_id: str = ""
    keep: bool = False
    reuse: bool = False
    lease_timeout_s: float = 3600.0


class Starter(Protocol):
    """What starts a server: `process.start`, `docker.start`, or a test's own."""

    def __call__(  # noqa: PLR0913 - all that a pool tells whoever starts servers
        self,
        spec: ServerSpec,
        *,
        gpus: tuple[Gpu, ...],
        log_path: Path,
        progress: Callable[[str], None],
        run_id: str,
        kept: bool,
    ) -> Server:
        """Start it and wait until it answers."""
        ...


@dataclass(slots=True)
class _Running:
    """A server that is up, who asked for it last, and the GPUs that it has; ``stays`` where it is not ours to stop."""

    key: str
    server: Server
    asked_by: str
    lease: GpuLease | None = None
    stays: bool = False

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        if isinstance(self.server, KeptServer):
            return tuple(gpu for gpu in inventory.detected().gpus if gpu.uuid in self.server.gpus)
        return () if self.lease is None else self.lease.gpus


class ServerPool:
    """
    Gives each case the server that it needs; **not** for several threads.

    Args:
        folder: where the servers' logs go.
        progress: told in sentences what is being waited for.
        attachment: the endpoint to use for every case, in place of servers of our own.
        stay: how long servers are to be there.
        engine_of: finds an engine by name.
        starters: what starts a server, by launcher.

    Attributes:
        troubles: what could not be ended or given back, in sentences.
        notices: what else people should know, in sentences.
        kept: servers that outlive this process.
    """

    def __init__(  # noqa: PLR0913 - two of them are for tests
        self,
        *,
        folder: Path,
        progress: Callable[[str], None] = lambda _: None,
        attachment: Attachment | None = None,
        stay: Stay = Stay(),
        engine_of: Callable[[str], Engine] = registry.engine,
        starters: Mapping[LauncherName, Starter] | None = None,
    ) -> None:
        self._folder = folder
        self._progress = progress
        self.attachment = attachment
        self._stay = stay
        self._engine_of = engine_of
        self._starters = {"process": process.start, "docker": _start_in_container} if starters is None else starters
        self._running: _Running | None = None
        self._logged: log.LogPart | None = None
        self._failures: Counter[str] = Counter()
        self._failure_text: dict[str, str] = {}
        self.troubles: list[str] = []
        self.notices: list[str] = []
        self.kept: list[Server] = []

    def shared(self, case: Case) -> str | None:
        """What others may measure on at the same time: the server of a case, where it may be one that was kept."""
        return f"server {case.server_key}" if self._stay.reuse or self._stay.keep else None

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """The GPUs of the server that is up; none on a CPU, and none that are known of an endpoint that was already there."""
        return () if self._running is None else self._running.gpus

    def server_for(self, case: Case) -> Server:
        """
        The running server for a case; started where it does not run, and replaced where it has ended or is not well.

        One that has answered another case before is told to forget its prompts first, where it knows how.

        Raises:
            ConfigError: what the case says of its engine is wrong.
            DeviceError: its GPUs are not here, or others did not give them back in time.
            EngineError: there is no such server to be had; says why, with the last lines of its log.
        """
        running = self._running
        if self._logged is None or self._logged.case_id != case.id:
            self._logged = None if running is None else log.part_from_now(case.id, running.server.endpoint.log_path)
        if running is not None and running.key == self._key(case) and self._fit_for(case, running):
            running.asked_by = case.id
            return running.server
        self._logged = None
        self.close()
        running = self._running = self._attached(case, self.attachment) if self.attachment else self._started(case)
        return running.server

    def keep_log(self, case: Case, folder: Path) -> None:
        """Write into a case's folder what its server logged while it was the case's; its start-up if the case started it."""
        logged = self._logged
        if logged is None or logged.case_id != case.id:
            return
        try:
            log.write_part(logged, folder / log.PART_FILE)
        except OSError as error:
            self.troubles.append(f"{folder / log.PART_FILE} could not be written: {error.strerror or error}")

    def discard(self, case: Case) -> None:
        """Stop the server of a case, so that the next case gets a new one: after it misbehaved."""
        if self._running is not None and self._running.key == self._key(case):
            self.close()

    def close(self) -> None:
        """Stop what runs, unless it is to stay, and give back its GPUs; safe to call twice; what goes wrong is in `troubles`."""
        running, self._running = self._running, None
        if running is None:
            return
        try:
            if not running.stays:
                running.server.stop()
        except EngineError as error:
            self.troubles.append(str(error))
        finally:
            self._give_back(running.lease, stays=running.stays)

    def _give_back(self, lease: GpuLease | None, *, stays: bool = False) -> None:
        if lease is None:
            return
        if stays:
            # From now on what it has in memory says that these GPUs are somebody's.
            lease.release()
            return
        trouble = lease.release_checked(waiting=self._progress)
        if trouble is not None:
            self.troubles.append(trouble)

    def _fit_for(self, case: Case, running: _Running) -> bool:
        """Whether a running server can take this case as well."""
        if running.server.died() is not None:
            return False
        if running.asked_by == case.id:
            return True
        if self.attachment is not None:
            return self._still_well(case, running.server)
        if case.fresh_server:
            return False
        try:
            self.notices += clean(running.server)
        except EngineError as error:
            self.notices.append(f"a new server was started for {case.id}: {str(error).partition(chr(10))[0]}")
            return False
        return True

    def _still_well(self, case: Case, server: Server) -> bool:
        """Whether an endpoint that was already there says that it is well, or says nothing of the kind."""
        ill = illness(server.endpoint, access=_access(case))
        if ill is not None:
            self.notices.append(f"{server.endpoint.url} was looked at anew for {case.id}: {ill}")
        return ill is None

    def _key(self, case: Case) -> str:
        if self.attachment is None:
            return case.server_key
        # Of an endpoint that is already there, only how it is spoken to may differ from case to case.
        options = case.api_options
        return f"attached {case.model} {case.api in _OPENAI_APIS} {options.headers} {options.ca_file}"

    def _attached(self, case: Case, at: Attachment) -> _Running:
        wanted = Wanted(
            preferred=(case.model, served_name(case.model)),
            access=_access(case),
            openai=case.api in _OPENAI_APIS,
        )
        server = attach(at.url, model=at.model, wanted=wanted, api_key_env=at.api_key_env, tokenizer=at.tokenizer)
        return _Running(key=self._key(case), server=server, asked_by=case.id, stays=True)

    def _started(self, case: Case) -> _Running:
        if case.tool is not None and case.tool.name in TOOLS_WITHOUT_SERVER:
            raise ConfigError(
                f"{case.tool.name} has its engine in itself and would need the GPUs for its own container, which is not done"
                " here; leave tool=container out, and all requests are sent at once to a server"
            )
        key = case.server_key
        if self._failures[key] >= START_FAILURES_MAX:
            raise EngineNotReady(f"not tried again, since it failed {START_FAILURES_MAX} times: {self._failure_text[key]}")
        spec = self._spec(case)
        found = kept_server(spec, progress=self._progress) if self._stay.reuse and not case.fresh_server else None
        if found is not None:
            self._logged = log.part_from_now(case.id, found.endpoint.log_path)
            return _Running(key=key, server=found, asked_by=case.id, stays=True)
        lease = self._leased(case)
        try:
            gpus = () if lease is None else lease.gpus
            server = self._start(case, self._told(spec, case, gpus), gpus=gpus)
        except BaseException as error:
            if isinstance(error, EngineNotReady):
                self._failures[key] += 1
                self._failure_text[key] = str(error)
            self._give_back(lease)
            raise
        del self._failures[key]
        return _Running(key=key, server=server, asked_by=case.id, lease=lease, stays=self._stay.keep)

    def _spec(self, case: Case) -> ServerSpec:
        return as_asked(self._engine_of(case.engine.name), case).server(case)

    def _told(self, spec: ServerSpec, case: Case, gpus: tuple[Gpu, ...]) -> ServerSpec:
        """The server of a case that takes any GPU: one that is simulated cannot see which it got, and is told."""
        if not gpus or not case.simulated or case.hardware != ANY_GPU:
            return spec
        return replace(self._spec(replace(case, hardware=gpus[0].name)), key=spec.key)

    def _leased(self, case: Case) -> GpuLease | None:
        if not case.gpus:
            return None
        wanted = GpusWanted(hardware=case.hardware, count=case.gpus, what=case.id)
        return lease_gpus(inventory.detected(), wanted, timeout_s=self._stay.lease_timeout_s, waiting=self._progress)

    def _start(self, case: Case, spec: ServerSpec, *, gpus: tuple[Gpu, ...]) -> Server:
        self._progress(f"starting {spec.engine} with {spec.model.served_name}")
        starter = self._starters[spec.launcher]
        stay, log_path = self._stay, self._new_log(spec)
        self._logged = log.LogPart(case_id=case.id, path=log_path)
        server = starter(spec, gpus=gpus, log_path=log_path, progress=self._progress, run_id=stay.run_id, kept=stay.keep)
        if stay.keep:
            self.kept.append(server)
        return server

    def _new_log(self, spec: ServerSpec) -> Path:
        """A log file that is nobody else's: several workers may write into one folder."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for number in range(1, 100_000):
            path = self._folder / f"{spec.engine}-{spec.key}-{number}.log"
            try:
                path.touch(exist_ok=False)
            except FileExistsError:
                continue
            return path
        raise EngineError(f"{self._folder} is full of logs of {spec.engine}")


def _access(case: Case) -> Access:
    options = case.api_options
    return Access(headers=filled_headers(options.headers, environ=os.environ), ca_file=options.ca_file)


def _start_in_container(  # noqa: PLR0913 - a `Starter`
    spec: ServerSpec, *, gpus: tuple[Gpu, ...], log_path: Path, progress: Callable[[str], None], run_id: str, kept: bool
) -> Server:
    from pytest_inferbench.launch import docker  # noqa: PLC0415 - only who uses containers needs the library

    return docker.start(spec, gpus=gpus, log_path=log_path, progress=progress, run_id=run_id, kept=kept)

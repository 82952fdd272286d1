"""
A server in a container of this machine, in a network of its run.

Rule: whatever happens while it starts, Ctrl-C included, neither container nor network is left. What is made stands in the ledger
before it is there, and a watchdog removes it should this process be killed.
"""

from __future__ import annotations

import atexit
import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.engines.engine import ServerSpec
from pytest_inferbench.errors import EngineError, EngineNotReady
from pytest_inferbench.launch import ledger, log
from pytest_inferbench.launch.docker_config import (
    PORT,
    Given,
    container_name,
    create_body,
    image_name,
    network_name,
    shown_command,
)
from pytest_inferbench.launch.docker_engine import ContainerEngine, EngineUnreachable, Image, NotThere, connect
from pytest_inferbench.launch.docker_host import device_nodes, present_volumes
from pytest_inferbench.launch.docker_log import LogFollower
from pytest_inferbench.launch.docker_pull import present_image
from pytest_inferbench.launch.docker_state import ContainerState, address_of, container_end, require_gpus, start_hint, state_of
from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.launch.environment import key_in, resolved
from pytest_inferbench.launch.kept import reach_of
from pytest_inferbench.launch.ownership import labels_for, start_time
from pytest_inferbench.launch.probe import text_field
from pytest_inferbench.launch.process import Placed
from pytest_inferbench.launch.share import cores_of
from pytest_inferbench.launch.wait import target_of, until_ready
from pytest_inferbench.launch.watchdog import watch

TERMINATE_LIMIT_S = 20.0
BACK_LIMIT_S = 20.0
"""How long an engine that went away is waited for when there is a container of ours to remove."""
_POLL_S = 0.2
_LOG_LIMIT_S = 5.0
_CREATE_LIMIT_S = 2.0
_LOOK_EVERY_S = 5.0
_CONNECT_LIMIT_S = 1.0
_LOG_LINES = 20


def start(  # noqa: PLR0913 - all that a pool tells whoever starts servers
    spec: ServerSpec,
    *,
    gpus: tuple[Gpu, ...] = (),
    log_path: Path,
    progress: Callable[[str], None] = lambda _: None,
    run_id: str = "",
    kept: bool = False,
) -> DockerServer:
    """
    Start a server in a container and wait until it has made its first token; its image is fetched where it is not here.

    Args:
        spec: what to start.
        gpus: those it may use; none: no GPU.
        log_path: where its output goes; appended to.
        progress: told in a sentence, every few seconds, how it is going.
        run_id: the run that it is started for.
        kept: once it is ready, it outlives this process, until `stop` or `inferbench down` ends it.

    Raises:
        EngineNotReady: it ended, or was not ready within its limit; with its last log lines.
        EngineError: it cannot be started at all: no container engine, no image, no such volume, no GPU for containers.
    """
    engine = connect()
    try:
        image = present_image(engine, image_name(spec), progress=progress)
        server = DockerServer(engine, spec, log_path=log_path, placed=Placed(gpus=gpus, run_id=run_id, kept=kept))
    except BaseException:
        engine.close()
        raise
    try:
        server.launch(image, progress)
        server.wait_until_ready(progress)
        if kept:
            server.keep()
    except BaseException:
        server.stop()
        raise
    return server


class DockerServer:
    """
    A server in a container that this process started. It is a `Server`.

    Its connection to the container engine is its own, and is closed when it is stopped.
    """

    def __init__(self, engine: ContainerEngine, spec: ServerSpec, *, log_path: Path, placed: Placed) -> None:
        self._engine = engine
        self._spec = spec
        self._placed = placed
        self._log_path = log_path
        self._owner_pid = os.getpid()
        self._end: str | None = None
        self._stopped = False
        self._in_flight = False
        self._follower: LogFollower | None = None
        self._entries: dict[ledger.Kind, ledger.Entry] = {}
        self._looked_s = self._start_s = time.monotonic()
        env, self._secrets = resolved(spec.env, environ=os.environ, port=PORT)
        self._given = Given(
            name=container_name(placed.run_id, spec.key),
            labels=labels_for(placed.run_id, spec.key),
            env={name: env[name] for name, _ in spec.env},
            volumes=present_volumes(spec.container.volumes),
            # A kept server outlives its run and the run's network: it is in the engine's own.
            network=None if placed.kept else network_name(placed.run_id, owner_pid=self._owner_pid),
            gpus=placed.gpus,
            device_nodes=device_nodes(placed.gpus),
            cores=cores_of(spec.share),
        )
        self._body = create_body(spec, self._given)
        self._key = key_in(spec.api_key_env)
        log_path.parent.mkdir(parents=True, exist_ok=True)
        self._log_start = log_path.stat().st_size if log_path.exists() else 0
        self._endpoint = self._described(url="")

    @property
    def endpoint(self) -> Endpoint:
        """Where it answers."""
        return self._endpoint

    @property
    def container(self) -> str:
        """The name of its container."""
        return self._given.name

    def launch(self, image: Image, progress: Callable[[str], None]) -> None:
        """
        Make its container, and start it.

        Raises:
            EngineNotReady: it ended at once.
            EngineError: the container engine refuses; in its words.
        """
        watch(ledger.folder(), started=start_time(os.getpid()) or "")
        atexit.register(self.stop)
        self._create(progress)
        try:
            self._engine.start_container(self.container)
        except EngineError as error:
            raise EngineError(f"{error}{start_hint(str(error))}") from error
        self._follower = LogFollower(self._engine.logs(self.container), path=self._log_path, secrets=self._secrets)
        state = state_of(self._engine.inspect(self.container))
        if not state.running:
            self._end = self._ended(state)
            raise EngineNotReady(f"{self._spec.engine} ended before it was ready: {self._end}")
        digest = image.digest if state.image_id == image.id else self._engine.image(state.image_id).digest
        self._endpoint = self._described(url=self._url(state), pid=state.pid, image_digest=digest)

    def wait_until_ready(self, progress: Callable[[str], None]) -> None:
        """
        Wait for the first token.

        Raises:
            EngineNotReady: it ended, or was not ready within its limit; with its last log lines.
        """
        target = target_of(self._spec, url=self._endpoint.url, timeout_s=self._spec.ready_timeout_s)
        try:
            until_ready(target, died=self.died, progress=progress)
        except EngineNotReady as error:
            if self._end is not None:  # its last lines are in the text already
                raise
            raise EngineNotReady(f"{error}{self._last_lines()}") from error
        started_in_s = time.monotonic() - self._start_s
        version = self._spec.version or self._asked_version()
        self._endpoint = replace(self._endpoint, started_in_s=started_in_s, engine_version=version)

    def died(self) -> str | None:
        """Why it ended (exit code, signal or memory, and its last log lines), or None while it runs."""
        if self._end is None and not self._stopped and self._worth_a_look():
            self._end = self._looked()
        return self._end

    def log_tail(self, lines: int = _LOG_LINES) -> str:
        """Its last log lines, secrets taken out."""
        return self._secrets.hidden_in(log.tail(self._log_path, lines=lines, start=self._log_start))

    def stop(self) -> None:
        """
        End it, and remove its container, and the network once no server of this process is in it; safe to call twice.

        Raises:
            EngineError: something of it cannot be removed; says how a person can.
        """
        # A forked child has a copy of this object, and must leave the server to its parent.
        if self._stopped or os.getpid() != self._owner_pid:
            return
        self._stopped = True
        atexit.unregister(self.stop)
        troubles: list[str] = []
        try:
            for remove in (self._remove_container, self._remove_network):
                try:
                    remove()
                except EngineError as error:
                    troubles.append(str(error))
        finally:
            self._let_go()
        if troubles:
            raise EngineError("; ".join(troubles))

    def keep(self) -> None:
        """
        Let it outlive this process, which has to be known when it is started.

        Raises:
            EngineError: that cannot be noted down.
        """
        reach = reach_of(self._endpoint, ready_path=self._spec.ready_path, gpus=self._placed.gpus)
        self._entries["container"] = ledger.keep(self._entries["container"], reach)
        atexit.unregister(self.stop)
        atexit.register(self._let_go)

    def _create(self, progress: Callable[[str], None]) -> None:
        network = self._given.network
        if network is not None:
            self._entries["network"] = ledger.record("network", network, run_id=self._placed.run_id)
            self._engine.create_network(network, labels_for(self._placed.run_id))
        self._entries["container"] = ledger.record("container", self.container, run_id=self._placed.run_id, key=self._spec.key)
        self._in_flight = True
        try:
            created = self._engine.create_container(self.container, self._body)
        except EngineUnreachable:
            raise
        except EngineError as error:
            self._in_flight = False  # it said no
            raise EngineError(f"{error}{start_hint(str(error))}") from error
        self._in_flight = False
        for warning in created.warnings:
            progress(f"{self._spec.engine}: the container engine warns: {warning}")
        require_gpus(self._engine.inspect(self.container), asked=self._body, engine=self._engine.name)

    def _url(self, state: ContainerState) -> str:
        ports = self._spec.container.ports
        where = address_of(state, ports=ports)
        if where is None:
            missing = "port of this machine" if ports == "published" else "address in its network"
            raise EngineError(f"{self._engine.name} started the container {self.container} and gave it no {missing}")
        return f"http://{where}"

    def _worth_a_look(self) -> bool:
        """The log ends with the container. While it goes on, a look now and then will do: each is work for the engine."""
        follows = self._follower is not None and not self._follower.ended
        if follows and time.monotonic() - self._looked_s < _LOOK_EVERY_S:
            return False
        self._looked_s = time.monotonic()
        return True

    def _looked(self) -> str | None:
        try:
            state = state_of(self._engine.inspect(self.container))
        except NotThere:
            return f"its container {self.container} was removed by somebody else{self._last_lines()}"
        except EngineError as error:
            # Containers may outlive a restart of their engine; then the server is there all the same.
            return None if self._listens() else f"{error}{self._last_lines()}"
        return None if state.running else self._ended(state)

    def _ended(self, state: ContainerState) -> str:
        if self._follower is not None:
            self._follower.close(limit_s=_LOG_LIMIT_S)
        return f"{container_end(state)}{self._last_lines()}"

    def _listens(self) -> bool:
        parts = urlsplit(self._endpoint.url)
        try:
            socket.create_connection((parts.hostname or "", parts.port or 0), timeout=_CONNECT_LIMIT_S).close()
        except OSError:
            return False
        return True

    def _remove_container(self) -> None:
        if "container" not in self._entries:
            return
        deadline_s = time.monotonic() + BACK_LIMIT_S
        while True:
            try:
                self._stop_and_remove()
                break
            except EngineUnreachable as error:
                if time.monotonic() >= deadline_s:
                    raise EngineError(
                        f"the container {self.container} may still be there: {error} (waited for {BACK_LIMIT_S:g} s); "
                        f"remove it when the engine is back: docker rm --force {self.container}"
                    ) from error
            time.sleep(_POLL_S)
        ledger.forget(self._entries.pop("container"))

    def _stop_and_remove(self) -> None:
        try:
            if self._end is None and not self._in_flight:
                self._engine.stop_container(self.container, limit_s=TERMINATE_LIMIT_S)
                if self._follower is not None:
                    self._follower.close(limit_s=_LOG_LIMIT_S)
        except NotThere:
            return
        except EngineUnreachable:
            raise
        except EngineError:
            self._engine.remove_container(self.container)  # what cannot be asked is not asked
        except BaseException:
            self._engine.remove_container(self.container)
            raise
        there, deadline_s = self._engine.remove_container(self.container), time.monotonic() + _CREATE_LIMIT_S
        # Where creating was interrupted, the engine may still be at it: the container appears a moment later.
        while self._in_flight and not there and time.monotonic() < deadline_s:
            time.sleep(_POLL_S)
            there = self._engine.remove_container(self.container)

    def _remove_network(self) -> None:
        if self._given.network is not None and "network" in self._entries:
            # False: another server of this process is in it, and takes it along when it goes.
            self._engine.remove_network(self._given.network)
            ledger.forget(self._entries.pop("network"))

    def _let_go(self) -> None:
        if self._follower is not None:
            self._follower.close(limit_s=0.0)
        self._engine.close()

    def _last_lines(self) -> str:
        lines = self.log_tail(_LOG_LINES)
        if self._follower is not None and self._follower.trouble is not None:
            before = f"; the last lines before that:\n{lines}" if lines else ""
            return f"; {self._follower.trouble}{before}"
        if not lines:
            return f"; it wrote nothing into its log ({self._log_path})"
        return f"; the last lines of its log ({self._log_path}):\n{lines}"

    def _described(self, *, url: str, pid: int | None = None, image_digest: str | None = None) -> Endpoint:
        return Endpoint(
            url=url,
            model=self._spec.model.served_name,
            engine=self._spec.engine,
            tokenizer=self._spec.model.tokenizer,
            extra_body=self._spec.extra_body,
            cache_body=self._spec.cache_body,
            api_key_env=self._spec.api_key_env,
            command=tuple(self._secrets.hidden_in(part) for part in shown_command(self._spec, self._given)),
            log_path=self._log_path,
            pid=pid,
            metrics_url=f"{url}{self._spec.metrics_path}" if self._spec.metrics_path else None,
            metric_names=self._spec.metric_names,
            health_url=f"{url}{self._spec.ready_path}",
            cache_reset=self._spec.cache_reset,
            image_digest=image_digest,
            network=self._given.network,
            network_url=None if self._given.network is None else f"http://{self.container}:{PORT}",
        )

    def _asked_version(self) -> str | None:
        if self._spec.version_path is None:
            return None
        return text_field(f"{self._endpoint.url}{self._spec.version_path}", "version", key=self._key)

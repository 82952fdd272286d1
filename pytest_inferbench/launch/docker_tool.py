"""
Somebody else's load generator, run to its end in a container beside the server that it loads.

Rule: whatever happens while it runs, Ctrl-C included, its container does not stay; what it has written until then does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pytest_inferbench.cases.case import Tool, Volume
from pytest_inferbench.errors import EngineDied, EngineError
from pytest_inferbench.launch import ledger, log
from pytest_inferbench.launch.docker_config import container_name, mount
from pytest_inferbench.launch.docker_engine import ContainerEngine, connect
from pytest_inferbench.launch.docker_host import present_volumes
from pytest_inferbench.launch.docker_log import LogFollower
from pytest_inferbench.launch.docker_pull import present_image
from pytest_inferbench.launch.docker_state import ContainerState, container_end, start_hint, state_of
from pytest_inferbench.launch.endpoint import Server
from pytest_inferbench.launch.environment import Secrets, resolved
from pytest_inferbench.launch.ownership import labels_for, start_time
from pytest_inferbench.launch.watchdog import watch

LOG_FILE = "tool.log"
RESULTS_FOLDER = "tool-results"
_POLL_S = 0.5
_SAID_EVERY_S = 5.0
_LOG_LIMIT_S = 5.0
_LOG_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRun:
    """
    How a tool came to its end.

    Attributes:
        results: the folder that has what it left.
        log: what it wrote.
        wall_s: from its start to its end.
        image_digest: of what it ran.
        failed: how it ended, with its last log lines; None where it ended well.
    """

    results: Path
    log: Path
    wall_s: float
    image_digest: str
    failed: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOrder:
    """
    What is to be run, and where what it leaves goes.

    Attributes:
        tool: what to run.
        folder: of the case: what the tool leaves is in `RESULTS_FOLDER` of it, what it says in `LOG_FILE`.
        run_id: whose it is.
        limit_s: the longest that it may take, in seconds.
    """

    tool: Tool
    folder: Path
    run_id: str
    limit_s: float


def run_tool(order: ToolOrder, server: Server, *, progress: Callable[[str], None] = lambda _: None) -> ToolRun:
    """
    Run a tool against a server, and wait for its end; its image is fetched where it is not here.

    Args:
        order: what to run.
        server: what it loads: in the network of that one's container, or over the host's own.
        progress: told in a sentence, every few seconds, how it is going.

    Raises:
        EngineError: it cannot be started, or took too long.
        EngineDied: the server ended meanwhile.
    """
    engine = connect()
    try:
        return _Run(engine, order, server).to_the_end(progress)
    finally:
        engine.close()


class _Run:
    def __init__(self, engine: ContainerEngine, order: ToolOrder, server: Server) -> None:
        self._engine = engine
        self._order = order
        self._tool = _filled(order.tool, server)
        self._server = server
        self._results = order.folder / RESULTS_FOLDER
        self._log = order.folder / LOG_FILE
        self._name = container_name(order.run_id, f"tool-{order.tool.name}")
        self._env, self._args, self._secrets = _words(self._tool)

    def to_the_end(self, progress: Callable[[str], None]) -> ToolRun:
        image = present_image(self._engine, self._tool.image, progress=progress)
        # Whoever the tool runs as has to be able to write here.
        self._results.mkdir(parents=True, exist_ok=True)
        self._results.chmod(0o777)
        watch(ledger.folder(), started=start_time(os.getpid()) or "")
        entry = ledger.record("container", self._name, run_id=self._order.run_id)
        begin_s = time.monotonic()
        try:
            self._engine.create_container(self._name, self._body())
            self._start()
            state = self._ended(deadline_s=begin_s + self._order.limit_s, progress=progress)
        finally:
            self._engine.remove_container(self._name)
            ledger.forget(entry)
        failed = None if state.exit_code == 0 else f"{container_end(state)}{self._last_lines()}"
        wall_s = time.monotonic() - begin_s
        return ToolRun(results=self._results, log=self._log, wall_s=wall_s, image_digest=image.digest, failed=failed)

    def _start(self) -> None:
        try:
            self._engine.start_container(self._name)
        except EngineError as error:
            raise EngineError(f"{error}{start_hint(str(error))}") from error

    def _ended(self, *, deadline_s: float, progress: Callable[[str], None]) -> ContainerState:
        follower = LogFollower(self._engine.logs(self._name), path=self._log, secrets=self._secrets)
        said_s = time.monotonic()
        try:
            while (state := state_of(self._engine.inspect(self._name))).running:
                now_s = time.monotonic()
                if (why := self._server.died()) is not None:
                    raise EngineDied(why)
                if now_s > deadline_s:
                    raise EngineError(self._too_long())
                if now_s - said_s >= _SAID_EVERY_S:
                    said_s = now_s
                    progress(f"{self._tool.name} is at work: {log.tail(self._log, lines=1)}")
                time.sleep(_POLL_S)
            return state
        finally:
            follower.close(limit_s=_LOG_LIMIT_S)

    def _too_long(self) -> str:
        advice = "give it less to do, or the case a longer duration"
        return f"{self._tool.name} did not end within {self._order.limit_s:g} s; {advice}{self._last_lines()}"

    def _last_lines(self) -> str:
        lines = self._secrets.hidden_in(log.tail(self._log, lines=_LOG_LINES))
        return f"; the last lines of its log ({self._log}):\n{lines}" if lines else f"; it wrote nothing ({self._log})"

    def _body(self) -> dict[str, Any]:
        tool, network = self._tool, self._server.endpoint.network
        into = Volume(source=str(self._results.absolute()), target=tool.results, mode="rw")
        host_config: dict[str, Any] = {
            "Init": True,
            "Mounts": [mount(volume) for volume in (*present_volumes(tool.volumes), into)],
            "NetworkMode": network or "host",
        }
        if tool.shm_size_bytes is not None:
            host_config["ShmSize"] = tool.shm_size_bytes
        return {
            "Image": tool.image,
            "Cmd": self._args,
            "Env": [f"{name}={value}" for name, value in self._env.items()],
            "Labels": labels_for(self._order.run_id),
            "HostConfig": host_config,
        }


def _filled(tool: Tool, server: Server) -> Tool:
    at = server.endpoint
    url = at.network_url or at.url
    known = {"{url}": url, "{model}": at.model, "{port}": str(urlsplit(url).port or 80)}

    def filled(text: str) -> str:
        for name, value in known.items():
            text = text.replace(name, value)
        return text

    env = tuple((name, filled(value)) for name, value in tool.env)
    return replace(tool, args=tuple(map(filled, tool.args)), env=env, results=filled(tool.results))


def _words(tool: Tool) -> tuple[dict[str, str], list[str], Secrets]:
    """Its environment and its command line with references filled in, and what of them is not to be shown."""
    # Some tools take their key on the command line only; inside of the container nobody else reads it.
    numbered = tuple((f"argument {number}", text) for number, text in enumerate(tool.args))
    filled, secrets = resolved((*tool.env, *numbered), environ=os.environ, port=0)
    return {name: filled[name] for name, _ in tool.env}, [filled[name] for name, _ in numbered], secrets

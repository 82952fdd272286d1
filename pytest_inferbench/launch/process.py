"""
A server as a process of this machine, with a process group, a port and a log file of its own.

Rule: whatever happens while it starts, Ctrl-C included, nothing of it is left running. What is started stands in the ledger
before it runs, and a watchdog ends it should this process be killed.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.engines.engine import ServerSpec
from pytest_inferbench.errors import EngineError, EngineNotReady
from pytest_inferbench.launch import ledger, log, marked
from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.launch.environment import filled, key_in, resolved
from pytest_inferbench.launch.group import end_group, exited
from pytest_inferbench.launch.guard import guarded
from pytest_inferbench.launch.hiding import HidingProcess
from pytest_inferbench.launch.kept import reach_of
from pytest_inferbench.launch.ownership import start_time
from pytest_inferbench.launch.port import free_port, says_port_taken
from pytest_inferbench.launch.probe import text_field
from pytest_inferbench.launch.share import cores_of, visible_gpus
from pytest_inferbench.launch.wait import target_of, until_ready
from pytest_inferbench.launch.watchdog import Outliving, watch
from pytest_inferbench.redaction import redact_argv

_PORT_TRIES = 3
TERMINATE_LIMIT_S = 20.0
KILL_LIMIT_S = 10.0
_LOG_LINES = 20
_LOG_LIMIT_S = 5.0


def start(  # noqa: PLR0913 - all that a pool tells whoever starts servers
    spec: ServerSpec,
    *,
    gpus: tuple[Gpu, ...] = (),
    log_path: Path,
    progress: Callable[[str], None] = lambda _: None,
    run_id: str = "",
    kept: bool = False,
) -> ProcessServer:
    """
    Start a server and wait until it has made its first token.

    Call it from a thread that lives as long as the server should: the kernel ends the server with that thread, unless it is kept.

    Args:
        spec: what to start.
        gpus: those it may use; none: whatever its environment says.
        log_path: where its output goes; appended to.
        progress: told in a sentence, every few seconds, how it is going.
        run_id: the run that it is started for.
        kept: once it is ready, it outlives this process, until `stop` or `inferbench down` ends it.

    Raises:
        EngineNotReady: it ended, or was not ready within its limit; with its last log lines.
        EngineError: it cannot be started at all.
    """
    for attempt in range(1, _PORT_TRIES + 1):
        server = ProcessServer(spec, port=free_port(), log_path=log_path, placed=Placed(gpus=gpus, run_id=run_id, kept=kept))
        try:
            server.wait_until_ready(progress)
            if kept:
                server.keep()
        except EngineNotReady:
            server.stop()
            if attempt == _PORT_TRIES or not says_port_taken(server.log_tail(_LOG_LINES)):
                raise
            progress(f"{spec.engine}: somebody took port {server.port} first; trying another")
        except BaseException:
            server.stop()
            raise
        else:
            return server
    raise AssertionError("the last try returns or raises")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where and for whom a server runs: GPUs, the run, and whether it may outlive this process."""

    gpus: tuple[Gpu, ...] = ()
    run_id: str = ""
    kept: bool = False


class ProcessServer:
    """A server that this process started. It is a `Server`."""

    def __init__(self, spec: ServerSpec, *, port: int, log_path: Path, placed: Placed | None = None) -> None:
        self.port = port
        self._spec = spec
        self._placed = placed or Placed()
        self._log_path = log_path
        self._end: str | None = None
        self._stopped = False
        self._owner_pid = os.getpid()
        self._argv = filled(spec.argv, port=port, env=spec.env)
        env, self._secrets = resolved(spec.env, environ=os.environ, port=port)
        self._key = key_in(spec.api_key_env)
        argv = guarded(self._argv, outlives=self._placed.kept, cpus=cores_of(spec.share), memory_bytes=spec.share.memory_bytes)
        self._start_s = time.monotonic()
        log_path.parent.mkdir(parents=True, exist_ok=True)
        watch(ledger.folder(), started=start_time(os.getpid()) or "")
        self._entry = ledger.record("process", "", run_id=self._placed.run_id, key=spec.key)
        env |= visible_gpus(self._placed.gpus) | marked.environment(self._entry.token)
        self._hiding: HidingProcess | None = None
        with log_path.open("ab") as output:
            self._log_start = output.tell()
            try:
                if self._secrets.values:
                    self._hiding = HidingProcess(log_path, self._secrets, env=marked.environment(self._entry.token))
                self._process = _spawned(argv, env=env, output=(self._hiding or output).fileno(), outlives=self._placed.kept)
            except BaseException:
                ledger.forget(self._entry)
                raise
            finally:
                if self._hiding is not None:
                    self._hiding.started()
        atexit.register(self.stop)
        self._entry = ledger.found(self._entry, pid=self._process.pid)
        self._endpoint = self._described()

    @property
    def endpoint(self) -> Endpoint:
        """Where it answers."""
        return self._endpoint

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
        self._endpoint = self._described(started_in_s=started_in_s, version=self._spec.version or self._asked_version())

    def died(self) -> str | None:
        """Why it ended (exit code or signal, and its last log lines), or None while it runs."""
        if self._end is None and not self._stopped and exited(self._process):
            # What it started is of no use without it, and holds on to memory.
            self._end_all()
            self._settle_log()
            self._end = f"{end_sentence(self._process.returncode)}{self._last_lines()}"
        return self._end

    def log_tail(self, lines: int = _LOG_LINES) -> str:
        """Its last log lines, secrets taken out."""
        return self._secrets.hidden_in(log.tail(self._log_path, lines=lines, start=self._log_start))

    def stop(self) -> None:
        """
        End it and everything it started; safe to call twice.

        Raises:
            EngineError: something of it cannot be ended.
        """
        # A forked child has a copy of this object, and must leave the server to its parent.
        if self._stopped or os.getpid() != self._owner_pid:
            return
        self._stopped = True
        atexit.unregister(self.stop)
        try:
            # One that is known to have ended has been reaped: its number may be somebody else's by now.
            if self._end is None:
                self._end_all()
        finally:
            self._settle_log()

    def keep(self) -> None:
        """
        Let it outlive this process, which has to be known when it is started.

        Raises:
            EngineError: that cannot be noted down.
        """
        reach = reach_of(self._endpoint, ready_path=self._spec.ready_path, gpus=self._placed.gpus)
        self._entry = ledger.keep(self._entry, reach)
        atexit.unregister(self.stop)

    def _end_all(self) -> None:
        """
        End its group, and what has left the group.

        Raises:
            EngineError: something is left; it stays in the ledger.
        """
        end_group(self._process, terminate_s=TERMINATE_LIMIT_S, kill_s=KILL_LIMIT_S)
        left = marked.end(lambda: marked.marked(self._entry.token), terminate_s=TERMINATE_LIMIT_S, kill_s=KILL_LIMIT_S)
        if left:
            raise EngineError(
                f"these processes of a server are left {KILL_LIMIT_S:g} s after SIGKILL: {', '.join(map(str, left))}"
            )
        ledger.forget(self._entry)

    def _settle_log(self) -> None:
        if self._hiding is not None:
            self._hiding.wait(limit_s=_LOG_LIMIT_S)

    def _last_lines(self) -> str:
        lines = self.log_tail(_LOG_LINES)
        if not lines:
            return f"; it wrote nothing into its log ({self._log_path})"
        return f"; the last lines of its log ({self._log_path}):\n{lines}"

    def _described(self, *, started_in_s: float | None = None, version: str | None = None) -> Endpoint:
        url = f"http://127.0.0.1:{self.port}"
        return Endpoint(
            url=url,
            model=self._spec.model.served_name,
            engine=self._spec.engine,
            engine_version=version,
            tokenizer=self._spec.model.tokenizer,
            extra_body=self._spec.extra_body,
            cache_body=self._spec.cache_body,
            api_key_env=self._spec.api_key_env,
            command=tuple(self._secrets.hidden_in(part) for part in redact_argv(self._argv)),
            log_path=self._log_path,
            pid=self._process.pid,
            started_in_s=started_in_s,
            metrics_url=f"{url}{self._spec.metrics_path}" if self._spec.metrics_path else None,
            metric_names=self._spec.metric_names,
            health_url=f"{url}{self._spec.ready_path}",
            cache_reset=self._spec.cache_reset,
            simulated=self._spec.simulated,
        )

    def _asked_version(self) -> str | None:
        if self._spec.version_path is None:
            return None
        return text_field(f"{self._endpoint.url}{self._spec.version_path}", "version", key=self._key)


def end_sentence(returncode: int) -> str:
    """How a process ended, as people say it; negative codes are signals."""
    if returncode >= 0:
        return f"it exited with code {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = "a signal without a name"
    hint = ", as the kernel does when memory runs out" if -returncode == signal.SIGKILL else ""
    return f"it was killed by {name} (signal {-returncode}){hint}"


def _spawned(argv: tuple[str, ...], *, env: dict[str, str], output: int, outlives: bool = False) -> subprocess.Popen[bytes]:
    kind = Outliving if outlives else subprocess.Popen
    try:
        return kind(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group of its own, and Ctrl-C at the terminal does not reach it
        )
    except (OSError, ValueError) as error:
        raise EngineError(f"the server could not be started: {error}") from error

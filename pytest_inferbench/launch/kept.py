"""
A server that an earlier run kept, used again.

Rule: it is used only where it was started in the way that this case asks for, still runs, and makes a token now; and whoever
uses it never stops it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.engines.engine import ServerSpec
from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch import ledger, log
from pytest_inferbench.launch.answer import NoAnswer, trouble
from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.launch.environment import filled, resolved
from pytest_inferbench.launch.ledger import Entry, Reach
from pytest_inferbench.launch.ownership import start_time
from pytest_inferbench.launch.probe import ask
from pytest_inferbench.launch.wait import target_of, until_ready
from pytest_inferbench.redaction import redact_argv, redact_text

READY_LIMIT_S = 30.0
_HEALTH_LIMIT_S = 5.0
_LOG_LINES = 20


class KeptServer:
    """
    A server that an earlier run kept. It is a `Server`.

    Args:
        entry: where it is, as the ledger knows it.
        spec: what the case asks for.

    Attributes:
        run_id: the run that started it, as `inferbench down` takes it.
        gpus: uuids of the GPUs that it was given.
    """

    def __init__(self, entry: Entry, spec: ServerSpec) -> None:
        self._entry = entry
        self._reach = _reach(entry)
        self._spec = spec
        self.run_id = entry.run_id
        self.gpus = self._reach.gpus

    @property
    def endpoint(self) -> Endpoint:
        """Where it answers."""
        reach, spec = self._reach, self._spec
        return Endpoint(
            url=reach.url,
            model=spec.model.served_name,
            engine=spec.engine,
            engine_version=reach.engine_version,
            tokenizer=spec.model.tokenizer,
            extra_body=spec.extra_body,
            cache_body=spec.cache_body,
            api_key_env=spec.api_key_env,
            command=reach.command,
            log_path=Path(reach.log) if reach.log else None,
            pid=int(self._entry.name) if self._entry.kind == "process" else None,
            started_in_s=reach.started_in_s,
            metrics_url=f"{reach.url}{spec.metrics_path}" if spec.metrics_path else None,
            metric_names=spec.metric_names,
            health_url=f"{reach.url}{spec.ready_path}",
            cache_reset=spec.cache_reset,
            image_digest=reach.image_digest,
        )

    def died(self) -> str | None:
        """Why it is of no use any more, or None while it runs; a container is asked for its health."""
        if self._entry.kind == "process":
            if start_time(int(self._entry.name)) == self._entry.started:
                return None
            why = f"process {self._entry.name} has ended"
        else:
            unwell = self._unwell()
            if unwell is None:
                return None
            why = unwell
        lines = self.log_tail()
        return f"{why}; the last lines of its log ({self._reach.log}):\n{lines}" if lines else why

    def log_tail(self, lines: int = _LOG_LINES) -> str:
        """Its last log lines, secrets taken out; empty where its log is not a file."""
        return redact_text(log.tail(Path(self._reach.log), lines=lines)) if self._reach.log else ""

    def stop(self) -> None:
        """Leave it up: it was there before, and `inferbench down` ends it."""

    def wait_until_ready(self, progress: Callable[[str], None]) -> None:
        """
        See that it makes a token now.

        Raises:
            EngineNotReady: it does not.
        """
        target = target_of(self._spec, url=self._reach.url, timeout_s=READY_LIMIT_S)
        until_ready(target, died=self.died, progress=progress)

    def _unwell(self) -> str | None:
        try:
            answer = ask(f"{self._reach.url}{self._spec.ready_path}", timeout_s=_HEALTH_LIMIT_S)
        except NoAnswer as error:
            return str(error)
        return None if answer.status == 200 else trouble(answer)


def reach_of(at: Endpoint, *, ready_path: str, gpus: tuple[Gpu, ...]) -> Reach:
    """What the ledger says of a server that is to be kept."""
    return Reach(
        url=at.url,
        engine=at.engine,
        model=at.model,
        engine_version=at.engine_version,
        command=at.command,
        log=None if at.log_path is None else str(at.log_path.absolute()),
        ready_path=ready_path,
        started_in_s=at.started_in_s,
        gpus=tuple(gpu.uuid for gpu in gpus),
        image_digest=at.image_digest,
    )


def kept_server(spec: ServerSpec, *, progress: Callable[[str], None] = lambda _: None) -> KeptServer | None:
    """
    A server that was kept and is what ``spec`` asks for; None where there is none, and ``progress`` is told why one is not.

    Args:
        spec: what is needed.
        progress: told in sentences what is found.
    """
    for entry in ledger.kept(spec.key):
        reach = _reach(entry)
        if entry.kind == "process" and reach.command != command_of(spec, url=reach.url):
            progress(f"the {spec.engine} kept at {reach.url} (run {entry.run_id}) was started by another command; not used")
            continue
        server = KeptServer(entry, spec)
        try:
            server.wait_until_ready(progress)
        except EngineError as error:
            first = str(error).partition("\n")[0]
            progress(f"the {spec.engine} kept at {reach.url} (run {entry.run_id}) is of no use: {first}")
            continue
        progress(f"using the {spec.engine} kept at {reach.url} (run {entry.run_id})")
        return server
    return None


def kept_words(entry: Entry) -> str:
    """How a kept server is reached and stopped, in a line or two."""
    reach = _reach(entry)
    where = f"{reach.engine} with {reach.model} is up at {reach.url}"
    return (
        f"{where}" + (f", log {reach.log}" if reach.log else "") + f"\n  stop it with: inferbench down {entry.run_id or '--all'}"
    )


def command_of(spec: ServerSpec, *, url: str) -> tuple[str, ...]:
    """
    The command line that starts a server to answer at ``url``, as records show it.

    Raises:
        EngineError: a variable that it refers to is not set.
    """
    port = int(url.rpartition(":")[2])
    _, secrets = resolved(spec.env, environ=os.environ, port=port)
    return tuple(secrets.hidden_in(part) for part in redact_argv(filled(spec.argv, port=port, env=spec.env)))


def _reach(entry: Entry) -> Reach:
    if entry.reach is None:
        raise EngineError(f"the server of run {entry.run_id} was not kept")
    return entry.reach

"""
The servers of a session: each is started when its first case comes, serves all cases of its key, and is stopped in the end.

Rule: one server of ours runs at a time. Cases come ordered by key, a second server would take the first one's memory, and an
idle one still wakes up. With leases of single GPUs, servers will run side by side; this is the place for it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pytest_inferbench.cases.case import Case
from pytest_inferbench.engines import registry
from pytest_inferbench.engines.engine import Engine, ServerSpec, TokenizerRef
from pytest_inferbench.engines.models import served_name
from pytest_inferbench.errors import EngineError, EngineNotReady
from pytest_inferbench.launch.attached import Wanted, attach
from pytest_inferbench.launch.endpoint import Server
from pytest_inferbench.launch.headers import Access, filled_headers
from pytest_inferbench.launch.process import start

# A server that does not start is tried once more for the next case; after that its cases fail at once, instead of each
# waiting for the whole limit again.
START_FAILURES_MAX = 2
# Servers of these list their models and can be asked for a token beforehand; of the others only the load itself shows it.
_OPENAI_APIS = ("chat", "completions", "completions-tokens", "responses")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """An endpoint that is already there, to be used for all cases; the fields are those of `attach`."""

    url: str
    model: str | None = None
    api_key_env: str | None = None
    tokenizer: TokenizerRef | None = None


class Starter(Protocol):
    """What starts a server: `process.start`, or a test's own."""

    def __call__(self, spec: ServerSpec, *, log_path: Path, progress: Callable[[str], None]) -> Server:
        """Start it and wait until it answers."""
        ...


class ServerPool:
    """
    Gives each case the server that it needs; **not** for several threads.

    Args:
        folder: where the servers' logs go.
        progress: told in sentences what is being waited for.
        attachment: the endpoint to use for every case, in place of servers of our own.
        engine_of: finds an engine by name.
        starter: starts a server.
    """

    def __init__(
        self,
        *,
        folder: Path,
        progress: Callable[[str], None] = lambda _: None,
        attachment: Attachment | None = None,
        engine_of: Callable[[str], Engine] = registry.engine,
        starter: Starter = start,
    ) -> None:
        self._folder = folder
        self._progress = progress
        self.attachment = attachment
        self._engine_of = engine_of
        self._starter = starter
        self._running: dict[str, Server] = {}
        self._failures: Counter[str] = Counter()
        self._failure_text: dict[str, str] = {}

    def server_for(self, case: Case) -> Server:
        """
        The running server for a case; started where it does not run, and replaced where it has ended.

        Raises:
            ConfigError: what the case says of its engine is wrong.
            EngineError: there is no such server to be had; says why, with the last lines of its log.
        """
        key = self._key(case)
        present = self._running.get(key)
        if present is not None and present.died() is None:
            return present
        self.close()
        server = self._attached(case, self.attachment) if self.attachment else self._started(case)
        self._running[key] = server
        return server

    def discard(self, case: Case) -> None:
        """Stop the server of a case, so that the next case gets a new one: after it misbehaved, or to start afresh."""
        server = self._running.pop(self._key(case), None)
        if server is not None:
            server.stop()

    def close(self) -> None:
        """
        Stop everything that runs; safe to call twice.

        Raises:
            EngineError: something of it cannot be ended; the rest is ended all the same.
        """
        troubles: list[str] = []
        while self._running:
            _, server = self._running.popitem()
            try:
                server.stop()
            except EngineError as error:
                troubles.append(str(error))
        if troubles:
            raise EngineError("; ".join(troubles))

    def _key(self, case: Case) -> str:
        if self.attachment is None:
            return case.server_key
        # Of an endpoint that is already there, only how it is spoken to may differ from case to case.
        options = case.api_options
        return f"attached {case.model} {case.api in _OPENAI_APIS} {options.headers} {options.ca_file}"

    def _attached(self, case: Case, at: Attachment) -> Server:
        options = case.api_options
        wanted = Wanted(
            preferred=(case.model, served_name(case.model)),
            access=Access(headers=filled_headers(options.headers, environ=os.environ), ca_file=options.ca_file),
            openai=case.api in _OPENAI_APIS,
        )
        return attach(at.url, model=at.model, wanted=wanted, api_key_env=at.api_key_env, tokenizer=at.tokenizer)

    def _started(self, case: Case) -> Server:
        key = case.server_key
        if self._failures[key] >= START_FAILURES_MAX:
            raise EngineNotReady(f"not tried again, since it failed {START_FAILURES_MAX} times: {self._failure_text[key]}")
        spec = self._engine_of(case.engine.name).server(case)
        self._progress(f"starting {spec.engine} with {spec.model.served_name}")
        try:
            server = self._starter(spec, log_path=self._new_log(spec), progress=self._progress)
        except EngineNotReady as error:
            self._failures[key] += 1
            self._failure_text[key] = str(error)
            raise
        del self._failures[key]
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

"""
What an engine is: a recipe that turns a case into a server to start, and nothing that runs.

Rule: an engine decides and does no I/O beyond looking for a model's files; the launch stage starts processes and waits.
A new engine is one new module that makes an `Engine`, and one line in `registry.py` (or the hook
``pytest_inferbench_engines`` of a user's own plugin).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from pytest_inferbench.cases.case import Case, Container, HostShare, LauncherName


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerRef:
    """
    Where exact token counts come from.

    ``kind`` is ``json`` (a ``tokenizer.json`` file), ``gguf`` (the vocabulary inside a GGUF file), or ``none`` (lengths are
    estimated, and every record says so).
    """

    kind: str
    path: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """A model as an engine needs it: the path or name to load, the name requests use, and its tokenizer."""

    load_from: str
    served_name: str
    tokenizer: TokenizerRef
    revision: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpStep:
    """One request to a running server that is no part of a load, such as ``POST /reset_prefix_cache``."""

    method: Literal["GET", "POST"]
    path: str
    body: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSpec:
    """
    A server to start: everything a launcher needs to know.

    ``argv`` may hold the text ``{port}`` wherever the port belongs. ``env`` is added to the environment. ``ready_path``
    answers 200 when the server is up; then one real request for one token is made. ``extra_body`` is added to the JSON of
    every request (such as llama.cpp's ``cache_prompt: false``), and ``cache_body`` over it where a case is about what the
    server's prompt cache knows. ``version`` is the engine's version where it is known without
    asking the server; else ``version_path`` is asked. ``api_key_env`` names the environment variable that holds the bearer key
    which requests need, where the server wants one. ``simulated`` says that it only behaves like such a server.
    """

    key: str
    engine: str
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    model: ModelFiles
    ready_path: str = "/health"
    metrics_path: str | None = "/metrics"
    version_path: str | None = None
    ready_timeout_s: float = 600.0
    extra_body: dict[str, Any] = field(default_factory=dict)
    cache_body: dict[str, Any] = field(default_factory=dict)
    version: str | None = None
    api_key_env: str | None = None
    launcher: LauncherName = "process"
    image: str | None = None
    entrypoint: tuple[str, ...] | None = None
    container: Container = field(default_factory=Container)
    share: HostShare = field(default_factory=HostShare)
    gpus: int = 0
    cache_reset: HttpStep | None = None
    metric_names: str | None = None
    simulated: bool = False


class Engine(Protocol):
    """One kind of model server."""

    @property
    def name(self) -> str:
        """What suites call it."""
        ...

    def server(self, case: Case) -> ServerSpec:
        """
        The server that this case needs.

        Raises:
            EngineError: the model's files or the engine itself are not on this machine; says what to install.
        """
        ...

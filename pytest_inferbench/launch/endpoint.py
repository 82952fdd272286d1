"""A model server that answers, as the later stages see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pytest_inferbench.engines.engine import HttpStep, TokenizerRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """
    Where requests go, and what is known of who answers.

    ``url`` is the base without ``/v1`` and without a final slash. ``model`` is the name requests carry. ``extra_body`` is
    added to every request, and ``cache_body`` over it where a case is about the server's prompt cache. ``api_key_env`` names
    the environment variable that holds the bearer key; the key itself is never stored. ``command`` is the server's command line
    (redacted; empty for an endpoint that was already there). ``ca_file`` is a PEM file of certificates to trust in place of the
    system's own, for an https server with a certificate of its own making. ``metrics_url`` and ``health_url`` are whole
    addresses, None where the server has no such thing; ``metric_names`` says whose names its metrics have, where that is known;
    ``cache_reset`` makes it forget the prompts that it has seen. ``image_digest`` is that of the container's image, as a registry
    knows it (``vllm/vllm-openai@sha256:...``), or the image's id where it came from none; None for a server in no container.
    ``simulated`` says that whoever answers only behaves like a model server: no figure of it is a measurement of hardware.
    ``network`` is the container network that it is in, and ``network_url`` where other containers there reach it; else None.
    """

    url: str
    model: str
    engine: str
    engine_version: str | None = None
    tokenizer: TokenizerRef
    extra_body: dict[str, Any] = field(default_factory=dict)
    cache_body: dict[str, Any] = field(default_factory=dict)
    api_key_env: str | None = None
    command: tuple[str, ...] = ()
    log_path: Path | None = None
    pid: int | None = None
    started_in_s: float | None = None
    ca_file: str | None = None
    metrics_url: str | None = None
    metric_names: str | None = None
    health_url: str | None = None
    cache_reset: HttpStep | None = None
    image_digest: str | None = None
    simulated: bool = False
    network: str | None = None
    network_url: str | None = None


class Server(Protocol):
    """A running server, whoever started it."""

    @property
    def endpoint(self) -> Endpoint:
        """Where it answers."""
        ...

    def died(self) -> str | None:
        """Why it ended (exit code or signal, and its last log lines), or None while it runs."""
        ...

    def log_tail(self, lines: int = 20) -> str:
        """Its last log lines; empty where there is no log."""
        ...

    def stop(self) -> None:
        """End it and everything it started; safe to call twice."""
        ...

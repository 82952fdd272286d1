"""
The container engine as the launch stage sees it: the verbs it needs, what they answer, and how to get one.

Rule: this is the seam. The Docker SDK stands behind it in `docker_sdk` and is loaded when an engine is first asked for; tests
put `docker_fake` in its place.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from pytest_inferbench.errors import EngineError

INSTALL = "pip install 'pytest-inferbench[docker]'"
_SDK = {"docker", "requests", "urllib3"}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class EngineUnreachable(EngineError):
    """No container engine answers; says why and what to do."""


class NotThere(EngineError):
    """The container, network or image that was named is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """
    An image that is on this machine.

    Attributes:
        id: of its configuration, ``sha256:...``.
        digest: by which a registry knows it, ``vllm/vllm-openai@sha256:...``; its id where it came from no registry.
    """

    id: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """A container that was created and does not run yet; ``warnings`` are the engine's words."""

    id: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A container or network with our labels on it, whichever run made it."""

    kind: Literal["container", "network"]
    id: str
    name: str
    labels: Mapping[str, str]
    running: bool = False


class Logs(Protocol):
    """What a container writes, piece by piece, until it ends."""

    def __iter__(self) -> Iterator[bytes]:
        """The pieces, as they come; ends where the container or the connection does."""
        ...

    def close(self) -> None:
        """End it from another thread."""
        ...


class ContainerEngine(Protocol):
    """
    A container engine, one connection to it.

    Every verb raises `EngineUnreachable` where the engine does not answer, `NotThere` where what is named is not there, and
    `EngineError` with the engine's own words for whatever else it refuses.
    """

    @property
    def name(self) -> str:
        """What it calls itself, and its version."""
        ...

    def image(self, name: str) -> Image:
        """The image of this tag, digest or id, where it is on this machine."""
        ...

    def pull(self, name: str) -> Iterator[Mapping[str, Any]]:
        """Fetch an image; yields the engine's events. A refusal is raised in the registry's words."""
        ...

    def create_container(self, name: str, body: Mapping[str, Any]) -> Created:
        """Create a container from the JSON that the Docker Engine API documents for ``POST /containers/create``."""
        ...

    def start_container(self, name: str) -> None:
        """Start it."""
        ...

    def inspect(self, name: str) -> Mapping[str, Any]:
        """All that the engine knows of a container, in the words of the Docker Engine API."""
        ...

    def logs(self, name: str) -> Logs:
        """What it has written and goes on to write, both streams as one."""
        ...

    def stop_container(self, name: str, *, limit_s: float) -> None:
        """Ask it to end, and kill it after ``limit_s`` seconds; returns when it has ended."""
        ...

    def remove_container(self, name: str) -> bool:
        """Remove it and its nameless volumes, running or not; whether it was there."""
        ...

    def create_network(self, name: str, labels: Mapping[str, str]) -> None:
        """Create a bridge network, where there is none of this name."""
        ...

    def remove_network(self, name: str) -> bool:
        """Remove it; False where it is not there, or a container still uses it."""
        ...

    def list_ours(self) -> tuple[Made, ...]:
        """Every container, running or not, and every network with our labels."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


def connect() -> ContainerEngine:
    """
    Reach the container engine: the one that ``DOCKER_HOST`` names, else Docker's own on this machine.

    Raises:
        EngineUnreachable: there is none, or it does not let this user in.
        EngineError: the Docker SDK is not installed, or the engine is on another machine.
    """
    away = other_machine(os.environ.get("DOCKER_HOST", ""))
    if away is not None:
        raise EngineError(
            f"DOCKER_HOST names a container engine on another machine, {away}; a server is measured on the machine that it runs "
            "on: run there, or name an engine of this machine"
        )
    try:
        from pytest_inferbench.launch.docker_sdk import SdkEngine  # noqa: PLC0415 - an extra, and heavy
    except ModuleNotFoundError as error:
        if error.name not in _SDK:
            raise
        raise EngineError(f"servers in containers need the Python package docker: {INSTALL}") from error
    return SdkEngine()


def other_machine(docker_host: str) -> str | None:
    """The machine that a ``DOCKER_HOST`` names, or None where that is this one."""
    parts = urlsplit(docker_host)
    local = parts.scheme in {"", "unix", "npipe"} or (parts.hostname or "localhost") in _LOOPBACK
    return None if local else parts.hostname

"""
The container engine by way of the Docker SDK; Podman's service speaks the same.

Rule: this is the only module that knows `docker` and what it is made of. None of their exceptions leaves it.
"""

from __future__ import annotations

import getpass
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException, NotFound
from docker.types.daemon import CancellableStream
from requests.exceptions import ConnectionError as NoConnection
from requests.exceptions import RequestException, Timeout
from urllib3.exceptions import HTTPError as StreamError

from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch.answer import printable
from pytest_inferbench.launch.docker_engine import Created, EngineUnreachable, Image, Made, NotThere
from pytest_inferbench.launch.docker_state import digest_of
from pytest_inferbench.launch.ownership import RUN

_ANSWER_LIMIT_S = 60
_WORDS_MAX = 600
DEFAULT_HOST = "unix:///var/run/docker.sock"
_OURS = {"label": RUN}
_TROUBLES = (DockerException, RequestException, StreamError, OSError)
_CONFLICT = 409
# What engines say of a network that a container is in: Docker with 403, Podman with 500.
_IN_USE = ("has active endpoints", "network is being used")


class SdkLogs:
    """The log of one container. It is a `Logs`."""

    def __init__(self, stream: CancellableStream[bytes]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        """The pieces, as they come."""
        try:
            yield from self._stream
        except (*_TROUBLES, struct.error):
            return  # the engine went away, in the middle of a piece or between two: what is known is written

    def close(self) -> None:
        """End it from another thread."""
        try:
            self._stream.close()
        except (*_TROUBLES, AttributeError):
            return  # it has ended by itself


class SdkEngine:
    """The engine that the environment names. It is a `ContainerEngine`; safe to use from several threads."""

    def __init__(self) -> None:
        self.host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
        with self._translated("answer"):
            self._client = docker.from_env(timeout=_ANSWER_LIMIT_S)
        try:
            with self._translated("say its version"):
                self._name = _name(self._client.version())
        except BaseException:
            self._client.close()
            raise

    @property
    def name(self) -> str:
        """What it calls itself, and its version."""
        return self._name

    def image(self, name: str) -> Image:
        """The image of this tag, digest or id, where it is on this machine."""
        with self._translated(f"find the image {name}"):
            found = self._client.api.inspect_image(name)
        return Image(id=found["Id"], digest=digest_of(found.get("RepoDigests") or (), image_id=found["Id"], name=name))

    def pull(self, name: str) -> Iterator[Mapping[str, Any]]:
        """Fetch an image; yields the engine's events."""
        with self._translated(f"pull the image {name}"):
            for event in self._client.api.pull(name, stream=True, decode=True):
                if "error" in event:
                    raise EngineError(f"{self._called} could not pull the image {name}: {_words(str(event['error']))}")
                yield event

    def create_container(self, name: str, body: Mapping[str, Any]) -> Created:
        """Create a container from the engine's own JSON."""
        with self._translated(f"create a container of {body.get('Image')}"):
            made = self._client.api.create_container_from_config(dict(body), name=name)
        return Created(id=made["Id"], warnings=tuple(_words(str(text)) for text in made.get("Warnings") or ()))

    def start_container(self, name: str) -> None:
        """Start it."""
        with self._translated(f"start the container {name}"):
            self._client.api.start(name)

    def inspect(self, name: str) -> Mapping[str, Any]:
        """All that the engine knows of a container."""
        with self._translated(f"find the container {name}"):
            found: dict[str, Any] = self._client.api.inspect_container(name)
        return found

    def logs(self, name: str) -> SdkLogs:
        """What it has written and goes on to write."""
        with self._translated(f"read the log of the container {name}"):
            return SdkLogs(self._client.api.logs(name, stream=True, follow=True))

    def stop_container(self, name: str, *, limit_s: float) -> None:
        """Ask it to end, and kill it after ``limit_s`` seconds."""
        with self._translated(f"stop the container {name}"):
            self._client.api.stop(name, timeout=round(limit_s))

    def remove_container(self, name: str) -> bool:
        """Remove it and its nameless volumes, running or not; whether it was there."""
        try:
            with self._translated(f"remove the container {name}"):
                self._client.api.remove_container(name, v=True, force=True)
        except NotThere:
            return False
        except EngineError as error:
            # Somebody else removes it just now, such as the watchdog.
            if _status(error) == _CONFLICT and "already in progress" in str(error):
                return True
            raise
        return True

    def create_network(self, name: str, labels: Mapping[str, str]) -> None:
        """Create a bridge network, where there is none of this name."""
        with self._translated(f"create the network {name}"):
            if not any(found["Name"] == name for found in self._client.api.networks(names=[name])):
                self._client.api.create_network(name, driver="bridge", labels=dict(labels))

    def remove_network(self, name: str) -> bool:
        """Remove it; False where it is not there, or a container still uses it."""
        try:
            with self._translated(f"remove the network {name}"):
                self._client.api.remove_network(name)
        except NotThere:
            return False
        except EngineError as error:
            if any(words in str(error) for words in _IN_USE):
                return False
            raise
        return True

    def list_ours(self) -> tuple[Made, ...]:
        """Every container, running or not, and every network with our labels."""
        with self._translated("list what is ours"):
            containers = self._client.api.containers(all=True, filters=_OURS)
            networks = self._client.api.networks(filters=_OURS)
        return (
            *(
                Made(
                    kind="container",
                    id=found["Id"],
                    name=found["Names"][0].removeprefix("/") if found.get("Names") else found["Id"],
                    labels=found.get("Labels") or {},
                    running=found.get("State") == "running",
                )
                for found in containers
            ),
            *(Made(kind="network", id=found["Id"], name=found["Name"], labels=found.get("Labels") or {}) for found in networks),
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    @property
    def _called(self) -> str:
        return getattr(self, "_name", "the container engine")

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            knock(self.host)
            yield
        except NotFound as error:
            raise NotThere(f"{self._called} could not {what}: {_said(error)}") from error
        except APIError as error:
            raise EngineError(f"{self._called} could not {what}: {_said(error)}") from error
        except Timeout as error:
            raise EngineUnreachable(f"{self._called} did not {what} within {_ANSWER_LIMIT_S} s: it hangs, or is busy") from error
        except _TROUBLES as error:
            raise EngineUnreachable(unreachable_sentence(error, host=self.host)) from error


def knock(host: str) -> None:
    """
    See whether somebody listens at an engine's socket; the SDK leaves one open each time that nobody does.

    Raises:
        OSError: nobody does, or this user may not ask.
    """
    path = host.removeprefix("unix://")
    if path != host and path:
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(_ANSWER_LIMIT_S)
            door.connect(path)


def unreachable_sentence(error: BaseException, *, host: str) -> str:
    """Why an engine cannot be reached and what to do about it, from whatever the SDK raised."""
    reason = _system_error(error)
    if isinstance(reason, PermissionError):
        return (
            f"this user may not use the container engine at {host}: {reason.strerror}; join the group of the socket "
            f"(sudo usermod -aG docker {_user()}, then log in again), or name an engine of your own in DOCKER_HOST"
        )
    if isinstance(reason, FileNotFoundError | ConnectionRefusedError):
        return (
            f"no container engine answers at {host}: {reason.strerror}; start it (sudo systemctl start docker), "
            f"or name another in DOCKER_HOST{_nearby()}"
        )
    if isinstance(error, NoConnection | StreamError) or reason is not None:
        return f"the container engine at {host} went away: {_words(str(reason or error))}; was it stopped or restarted?"
    return f"the container engine at {host} cannot be used: {_words(str(error))}"


def _system_error(error: BaseException | None) -> OSError | None:
    """The operating system's own error, deep inside what libraries made of it."""
    seen: list[Any] = [error]
    for one in seen:
        # What requests raises is an OSError as well, without a number.
        if isinstance(one, OSError) and one.errno is not None and one.strerror:
            return one
        if isinstance(one, BaseException) and len(seen) < 50:
            seen += [*one.args, one.__cause__, one.__context__, getattr(one, "reason", None)]
    return None


def _nearby() -> str:
    """Engines of this user that would answer, where DOCKER_HOST is not set."""
    folder = os.environ.get("XDG_RUNTIME_DIR")
    if os.environ.get("DOCKER_HOST") or not folder:
        return ""
    sockets = [path for path in (Path(folder, "docker.sock"), Path(folder, "podman/podman.sock")) if path.exists()]
    return f", such as DOCKER_HOST=unix://{sockets[0]}" if sockets else ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "$USER"


def _status(error: EngineError) -> int | None:
    return error.__cause__.status_code if isinstance(error.__cause__, APIError) else None


def _said(error: APIError) -> str:
    return _words(str(error.explanation or error))


def _words(text: str) -> str:
    return printable(text, characters_max=_WORDS_MAX)


def _name(version: Mapping[str, Any]) -> str:
    parts = version.get("Components") or ()
    podman = any("podman" in str(part.get("Name", "")).lower() for part in parts)
    return f"{'Podman' if podman else 'Docker'} {version.get('Version', 'of an unknown version')}"

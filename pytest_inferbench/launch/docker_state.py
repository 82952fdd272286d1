"""
What a container engine says of a container or an image, understood.

Rule: no I/O here; `docker_engine` asks, this reads the Docker Engine API's JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch.answer import printable
from pytest_inferbench.launch.docker_config import PORT, PUBLISHED_AT
from pytest_inferbench.launch.process import end_sentence

# What shells, container engines and init programs make of a signal's number to tell it from an exit code.
_SIGNAL_BASE = 128
_SIGNALS_MAX = 64
# What engines say that have no way to hand over a GPU.
_NO_GPU_DRIVER = ("could not select device driver", "nvidia-container", "unresolvable CDI devices")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerState:
    """
    A container at one moment.

    Attributes:
        running: a paused one runs as well.
        pid: of its first process, as the host counts; None where it does not run.
        exit_code: None while it runs.
        oom_killed: the kernel killed something in it because its memory was used up.
        error: the engine's words, where it could not start it.
        addresses: in each network that it is in.
        published: the host's port of each of its own, such as ``{"8000/tcp": 32768}``.
        image_id: what it was made of.
    """

    running: bool
    pid: int | None
    exit_code: int | None
    oom_killed: bool
    error: str
    addresses: Mapping[str, str]
    published: Mapping[str, int]
    image_id: str


def state_of(inspected: Mapping[str, Any]) -> ContainerState:
    """The state in what the engine answered to inspecting a container."""
    state, networks = inspected["State"], inspected.get("NetworkSettings") or {}
    running = state.get("Status") in {"running", "paused", "restarting"}
    return ContainerState(
        running=running,
        pid=state.get("Pid") or None,
        exit_code=None if running else state.get("ExitCode"),
        oom_killed=bool(state.get("OOMKilled")),
        error=printable(state.get("Error") or ""),
        addresses={name: at["IPAddress"] for name, at in (networks.get("Networks") or {}).items() if at.get("IPAddress")},
        published={port: int(at[0]["HostPort"]) for port, at in (networks.get("Ports") or {}).items() if at},
        image_id=inspected.get("Image", ""),
    )


def address_of(state: ContainerState, *, ports: Literal["published", "network"]) -> str | None:
    """Host and port at which the server in a container is reached: of this machine, or its own; None where it has none."""
    if ports == "published":
        port = state.published.get(f"{PORT}/tcp")
        return None if port is None else f"{PUBLISHED_AT}:{port}"
    address = next(iter(state.addresses.values()), None)
    return None if address is None else f"{address}:{PORT}"


def require_gpus(inspected: Mapping[str, Any], *, asked: Mapping[str, Any], engine: str) -> None:
    """
    Nothing, where a container that was created has the GPUs that were asked for; Podman 4 takes no notice of them.

    Raises:
        EngineError: it has not, and its server would run on none.
    """
    wanted = {gpu for request in asked["HostConfig"]["DeviceRequests"] for gpu in request["DeviceIDs"]}
    granted = {gpu for request in inspected["HostConfig"].get("DeviceRequests") or () for gpu in request.get("DeviceIDs") or ()}
    if wanted - granted:
        raise EngineError(
            f"{engine} takes no notice of the GPUs that the container is to have ({', '.join(sorted(wanted - granted))}): "
            "name a Docker engine in DOCKER_HOST, or run the server as a process"
        )


def container_end(state: ContainerState) -> str:
    """How a container that does not run any more ended, as people say it."""
    if state.error:
        return f"its container could not be started: {state.error}"
    if state.oom_killed:
        return f"the kernel killed it because it had used up its memory (OOMKilled, exit code {state.exit_code})"
    code = state.exit_code or 0
    return end_sentence(_SIGNAL_BASE - code if _SIGNAL_BASE < code <= _SIGNAL_BASE + _SIGNALS_MAX else code)


_NO_INIT = "container-init binary not found"


def start_hint(words: str) -> str:
    """What a person can do about an engine's refusal to start a container; empty where it says enough itself."""
    if any(part in words for part in _NO_GPU_DRIVER):
        return "; for GPUs in containers install the NVIDIA Container Toolkit, and run: sudo nvidia-ctk runtime configure"
    if _NO_INIT in words:
        return "; Podman needs it to start containers with an init (Debian, Ubuntu: apt-get install catatonit)"
    return ""


def digest_of(repo_digests: Sequence[str], *, image_id: str, name: str) -> str:
    """Of the digests that registries know an image by, the one of the repository it was named by; its id where there is none."""
    repository = name.partition("@")[0]
    head, _, last = repository.rpartition("/")
    repository = f"{head}/{last.partition(':')[0]}".lstrip("/")
    ours = [digest for digest in repo_digests if f"/{digest}".partition("@")[0].endswith(f"/{repository}")]
    return next(iter((*ours, *repo_digests)), image_id)

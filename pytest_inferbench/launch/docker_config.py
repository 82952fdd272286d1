"""
What a container is made of: a server to start, in the JSON of the Docker Engine API, and as the command a person would type.

Rule: no I/O here. `docker_host` finds out what the host has to give, `docker` sends what is made here.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_inferbench.cases.case import Volume
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.engines.engine import ServerSpec
from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch.environment import filled
from pytest_inferbench.launch.share import visible_gpus
from pytest_inferbench.redaction import redact_argv, redact_env, redact_text

PORT = 8000
"""Where every server listens inside its container: nobody else is in there."""
PUBLISHED_AT = "127.0.0.1"
_NAME_CHARACTERS = re.compile(r"[^A-Za-z0-9_.-]+")
_LOG_SIZE = "100m"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceNode:
    """A device file of the host, and the number of the group that may use it."""

    path: str
    group: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """
    What a container gets from the host and the run, beside what its server asks for.

    Attributes:
        name: of the container.
        labels: whose it is.
        env: the server's environment with references filled in: **secret**.
        volumes: folders of the host, absolute.
        network: that it is in; None: the engine's own.
        gpus: that it may use.
        device_nodes: device files of GPUs whose vendor has no driver inside the container engine.
        cores: that it may use; empty: all.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    volumes: tuple[Volume, ...] = ()
    network: str | None = None
    gpus: tuple[Gpu, ...] = ()
    device_nodes: tuple[DeviceNode, ...] = ()
    cores: frozenset[int] = frozenset()


def create_body(spec: ServerSpec, given: Given) -> dict[str, Any]:
    """
    The JSON of ``POST /containers/create``.

    Raises:
        EngineError: the server names no image, or cannot be told its port.
    """
    entrypoint, command = launch_words(spec)
    port = f"{PORT}/tcp"
    body = {
        "Image": image_name(spec),
        **({"Entrypoint": list(entrypoint)} if entrypoint is not None else {}),
        "Cmd": list(command),
        "Env": [f"{name}={value}" for name, value in {**given.env, **_visible(given.gpus)}.items()],
        "Labels": dict(given.labels),
        "ExposedPorts": {port: {}},
        "HostConfig": _host_config(spec, given, port=port),
    }
    return _over(body, json.loads(spec.container.options or "{}"))


def launch_words(spec: ServerSpec) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """
    The entrypoint (None: the image's own) and the command of a server's container, its port filled in.

    Raises:
        EngineError: neither its arguments nor its environment has ``{port}``.
    """
    if not spec.argv and not any("{port}" in value for _, value in spec.env):
        raise EngineError(f"the server of {image_name(spec)} cannot be told where to listen: say {{port}} in its args or its env")
    argv = filled(spec.argv, port=PORT, env=spec.env)
    if spec.container.start_mode == "command" and argv:
        return argv[:1], argv[1:]
    return spec.entrypoint, argv


def image_name(spec: ServerSpec) -> str:
    """
    The image that a server is made of.

    Raises:
        EngineError: there is none.
    """
    if not spec.image:
        raise EngineError(f"{spec.engine} is to run in a container, and no image is named: say which one as the engine's image")
    return spec.image


def shown_command(spec: ServerSpec, given: Given) -> tuple[str, ...]:
    """
    The same as a ``docker run`` command that can be shown and typed: secrets are references or hidden.

    Options of the API have no flags; they stand behind one that ``docker run`` does not know.
    """
    entrypoint, command = launch_words(spec)
    env = redact_env((*((name, value.replace("{port}", str(PORT))) for name, value in spec.env), *_visible(given.gpus).items()))
    words: list[str] = ["docker", "run", "--rm", "--init"]
    if spec.container.ports == "published":
        words += ["--publish", f"{PUBLISHED_AT}::{PORT}"]
    for flag, value in _flags(spec, given):
        words += [flag, value]
    for name, value in env:
        words += ["--env", f"{name}={value}"]
    if entrypoint:
        words += ["--entrypoint", entrypoint[0]]
        command = (*entrypoint[1:], *command)
    if spec.container.options:
        # No flag of the command says all that the API can; this one only shows it.
        words += ["--options-of-the-api", redact_text(spec.container.options)]
    return (*words, image_name(spec), *redact_argv(command))


def container_name(run_id: str, key: str) -> str:
    """A name that says whose a container is, and is nobody else's."""
    return "-".join(part for part in ("inferbench", _plain(run_id), _plain(key)[:12], secrets.token_hex(4)) if part)


def network_name(run_id: str, *, owner_pid: int) -> str:
    """
    The network of a run's servers: one for each process of the run that starts any.

    Workers of one run end at different times; with a network of their own none takes it from under another.
    """
    return "-".join(part for part in ("inferbench", _plain(run_id), str(owner_pid)) if part)


def _over(body: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The body with the suite's options laid over it, mappings one by one; those that this plugin decides are none of them."""
    merged = dict(body)
    for name, value in options.items():
        own = merged.get(name)
        merged[name] = _over(own, value) if isinstance(own, dict) and isinstance(value, dict) else value
    return merged


def _host_config(spec: ServerSpec, given: Given, *, port: str) -> dict[str, Any]:
    wanted, share = spec.container, spec.share
    config: dict[str, Any] = {
        # A first process without signal handlers ignores SIGTERM, and reaps no children: the engine's init does both for it.
        "Init": True,
        # Its log is read by the engine, which not every driver that may be the engine's default can.
        "LogConfig": {"Type": "json-file", "Config": {"max-size": _LOG_SIZE}},
        "Mounts": [mount(volume) for volume in given.volumes],
        "Ulimits": [{"Name": name, "Soft": soft, "Hard": hard} for name, soft, hard in wanted.ulimits],
        "DeviceRequests": _device_requests(given.gpus),
        "Devices": [
            {"PathOnHost": node.path, "PathInContainer": node.path, "CgroupPermissions": "rwm"} for node in given.device_nodes
        ],
        "GroupAdd": sorted({str(node.group) for node in given.device_nodes}),
    }
    if given.network is not None:
        config["NetworkMode"] = given.network
    if wanted.ports == "published":
        # No port is asked for: the engine finds a free one, and nobody can take it in between.
        config["PortBindings"] = {port: [{"HostIp": PUBLISHED_AT, "HostPort": ""}]}
    if wanted.shm_size_bytes is not None:
        config["ShmSize"] = wanted.shm_size_bytes
    if given.cores:
        config["CpusetCpus"] = _listed(given.cores)
    if share.numa is not None:
        config["CpusetMems"] = str(share.numa)
    if share.memory_bytes is not None:
        # The same limit with swap: a server that swaps is not the one to be measured.
        config |= {"Memory": share.memory_bytes, "MemorySwap": share.memory_bytes}
    return config


def _flags(spec: ServerSpec, given: Given) -> list[tuple[str, str]]:
    wanted, share = spec.container, spec.share
    gpus = ",".join(_nvidia(given.gpus))
    flags: list[tuple[str, str | None]] = [
        ("--gpus", f'"device={gpus}"' if gpus else None),
        *(("--device", node.path) for node in given.device_nodes),
        *(("--group-add", group) for group in sorted({str(node.group) for node in given.device_nodes})),
        ("--shm-size", None if wanted.shm_size_bytes is None else str(wanted.shm_size_bytes)),
        *(("--volume", f"{volume.source}:{volume.target}:{volume.mode}") for volume in given.volumes),
        *(("--ulimit", f"{name}={soft}:{hard}") for name, soft, hard in wanted.ulimits),
        ("--cpuset-cpus", _listed(given.cores) or None),
        ("--cpuset-mems", None if share.numa is None else str(share.numa)),
        ("--memory", None if share.memory_bytes is None else str(share.memory_bytes)),
        ("--memory-swap", None if share.memory_bytes is None else str(share.memory_bytes)),
    ]
    return [(flag, value) for flag, value in flags if value is not None]


def mount(volume: Volume) -> dict[str, Any]:
    """A folder of the host as the engine's API has it."""
    return {"Type": "bind", "Source": volume.source, "Target": volume.target, "ReadOnly": volume.mode == "ro"}


def _device_requests(gpus: tuple[Gpu, ...]) -> list[dict[str, Any]]:
    uuids = _nvidia(gpus)
    return [{"Driver": "nvidia", "DeviceIDs": uuids, "Capabilities": [["gpu"]]}] if uuids else []


def _nvidia(gpus: tuple[Gpu, ...]) -> list[str]:
    return [gpu.uuid for gpu in gpus if gpu.vendor == "nvidia" and not gpu.declared]


def _visible(gpus: tuple[Gpu, ...]) -> dict[str, str]:
    # The device files of AMD's GPUs come all or none; which of them a server uses is said in its environment.
    return visible_gpus([gpu for gpu in gpus if gpu.vendor == "amd"])


def _listed(cores: frozenset[int]) -> str:
    return ",".join(map(str, sorted(cores)))


def _plain(text: str) -> str:
    return _NAME_CHARACTERS.sub("-", text).strip("-.")

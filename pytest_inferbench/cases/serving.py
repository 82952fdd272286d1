"""
How a person writes the part of the host and the container that a server gets: folders, amounts of memory, cores, limits.

Rule: these functions read text and look at nothing: whether a folder, a core or that much memory is there is found out when the
server starts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from pytest_inferbench.cases.case import Volume
from pytest_inferbench.cases.catalogue import did_you_mean
from pytest_inferbench.errors import ConfigError

# As the container engines read them: all of 1024, whether written g, gb or GiB.
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SIZE = re.compile(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*(?:([kmgt])(?:i?b)?|b)?\s*", re.IGNORECASE)
_CORES = re.compile(r"\d{1,5}(?:-\d{1,5})?(?:,\d{1,5}(?:-\d{1,5})?)*")
# Those that setrlimit(2) has.
_ULIMITS = (
    *("as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc"),
    *("rss", "rtprio", "rttime", "sigpending", "stack"),
)
_VOLUME = '"~/models:/models:ro" or {source: ~/models, target: /models, mode: ro}'
_SOURCES = ("/", "./", "../", "~")
_VOLUME_FIELDS = ("source", "target", "mode")

_LEASES = "which devices it gets is decided by its lease"
_NAMED = "its name and labels say whose it is"
_PORTS = "say it as the engine's ports"
_LIVES = "how it ends is decided here"
# What the container engine's API calls things that this plugin decides, or that have fields of their own.
_DECIDED = {
    "Image": "say it as the engine's image",
    **dict.fromkeys(("Cmd", "Entrypoint"), "say it as the engine's args and start_mode"),
    "Env": "say it as the engine's env",
    **dict.fromkeys(("Name", "Labels"), _NAMED),
    **dict.fromkeys(("ExposedPorts", "NetworkingConfig", "NetworkDisabled"), _PORTS),
    **dict.fromkeys(("HostConfig.NetworkMode", "HostConfig.PortBindings", "HostConfig.PublishAllPorts"), _PORTS),
    **dict.fromkeys(("HostConfig.DeviceRequests", "HostConfig.Devices", "HostConfig.DeviceCgroupRules"), _LEASES),
    **dict.fromkeys(("HostConfig.Privileged", "HostConfig.Runtime", "HostConfig.GroupAdd"), _LEASES),
    **dict.fromkeys(
        ("Volumes", "HostConfig.Mounts", "HostConfig.Binds", "HostConfig.VolumesFrom"), "say it as the engine's volumes"
    ),
    "HostConfig.ShmSize": "say it as the engine's shm_size",
    "HostConfig.Ulimits": "say it as the engine's ulimits",
    "HostConfig.CpusetCpus": "say it as the engine's cpus",
    "HostConfig.CpusetMems": "say it as the engine's numa",
    **dict.fromkeys(("HostConfig.Memory", "HostConfig.MemorySwap"), "say it as the engine's memory"),
    "HostConfig.LogConfig": "its log is read by the container engine",
    **dict.fromkeys(("HostConfig.AutoRemove", "HostConfig.RestartPolicy", "HostConfig.Init"), _LIVES),
    **dict.fromkeys(("StopSignal", "StopTimeout"), _LIVES),
}


def size_bytes(value: object) -> int:
    """
    An amount of memory in bytes: ``10g``, ``512m``, ``64GiB``, ``1.5g``; a bare number is bytes. All units are of 1024.

    Raises:
        ConfigError: it is none, or nothing.
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ConfigError("must be an amount of memory, such as 10g, 512m or 64GiB")
    match = _SIZE.fullmatch(str(value))
    if match is None:
        raise ConfigError(f"{str(value).strip()!r} is not an amount of memory; write a number and a unit, such as 10g or 512m")
    whole, _, part = match[1].partition(".")
    scale = 1 << 10 * _POWERS[(match[2] or "").lower()]
    size = int(whole) * scale + (int(part) * scale // 10 ** len(part) if part else 0)
    if size == 0:
        raise ConfigError("must be more than 0 bytes")
    return size


def cores(value: object) -> str:
    """
    Which cores: ``0-7``, ``0,2``, ``0-7,16``.

    Raises:
        ConfigError: it is no such list, or a range in it runs backwards.
    """
    # A bare 4 could be four cores as well as the fifth.
    if not isinstance(value, str):
        raise ConfigError('must name cores as text, such as "0-7" or "0,2"')
    text = re.sub(r"\s+", "", value)
    if not _CORES.fullmatch(text):
        raise ConfigError(f'{value!r} names no cores; write such as "0-7" or "0,2,8-11"')
    for part in text.split(","):
        first, _, last = part.partition("-")
        if last and int(last) < int(first):
            raise ConfigError(f"the cores {part} run backwards; write {last}-{first}")
    return text


def volume(value: object) -> Volume:
    """
    A folder of the host in the container: ``~/models:/models:ro``, or a mapping; read-only unless ``rw`` is written.

    Raises:
        ConfigError: a part is missing, unknown, or no absolute path of the container.
    """
    parts = _parts_of_mapping(value) if isinstance(value, Mapping) else _parts_of_text(value)
    source, target, mode = parts["source"], parts["target"], parts.get("mode", "ro")
    if not source.startswith(_SOURCES):
        raise ConfigError(f"{source!r} is not a folder of this machine; begin it with /, ./, ../ or ~")
    if not target.startswith("/") or not target.strip("/"):
        raise ConfigError(f"{target!r} is no absolute path in the container, such as /models")
    return Volume(source=source, target=target, mode=_mode(mode))


def ulimits(value: object) -> tuple[tuple[str, int, int], ...]:
    """
    Limits of the container's processes as (name, soft, hard): ``{memlock: -1, nofile: [1024, 65536]}``; -1 is none.

    Raises:
        ConfigError: a name is unknown, a value is no limit, or a soft limit is above its hard one.
    """
    if not isinstance(value, Mapping):
        raise ConfigError("must be a mapping such as {memlock: -1, nofile: [1024, 65536]}")
    return tuple(_ulimit(name, limit) for name, limit in value.items())


def container_options(value: object) -> str:
    """
    What is laid over the body with which the container engine's API makes a container, as JSON text.

    Raises:
        ConfigError: it is no such mapping, or says what is decided here or has a field of its own.
    """
    if not isinstance(value, Mapping) or not value:
        raise ConfigError("must be a mapping as the container engine's API has it, such as {HostConfig: {IpcMode: host}}")
    host = value.get("HostConfig", {})
    if not isinstance(host, Mapping):
        raise ConfigError("HostConfig must be a mapping, such as {IpcMode: host}")
    known = {name.lower(): name for name in _DECIDED}
    for name in (*value, *(f"HostConfig.{name}" for name in host)):
        # The API takes names in any case.
        decided = known.get(str(name).lower())
        if decided is not None:
            raise ConfigError(f"{decided} is not for here: {_DECIDED[decided]}")
        if str(name).lower() == "hostconfig" and name != "HostConfig":
            raise ConfigError(f"{name!r} is written HostConfig")
    try:
        return json.dumps(value, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as exc:
        raise ConfigError(f"holds something that JSON cannot: {exc}") from exc


def _parts_of_text(value: object) -> dict[str, str]:
    parts = value.split(":") if isinstance(value, str) else []
    if len(parts) not in (2, 3) or not all(part.strip() for part in parts):
        raise ConfigError(f"must be a folder and where it is in the container: {_VOLUME}")
    return dict(zip(_VOLUME_FIELDS, (part.strip() for part in parts), strict=False))


def _parts_of_mapping(value: Mapping[Any, Any]) -> dict[str, str]:
    for name, part in value.items():
        if name not in _VOLUME_FIELDS:
            raise ConfigError(f"unknown field {name!r}{did_you_mean(str(name), _VOLUME_FIELDS)}; write {_VOLUME}")
        if not isinstance(part, str) or not part.strip():
            raise ConfigError(f"{name} must be text; write {_VOLUME}")
    if not {"source", "target"} <= value.keys():
        raise ConfigError(f"needs source and target: {_VOLUME}")
    return {name: part.strip() for name, part in value.items()}


def _mode(text: str) -> Literal["ro", "rw"]:
    if text not in ("ro", "rw"):
        raise ConfigError(f"the mode is ro (read-only) or rw, not {text!r}")
    return "rw" if text == "rw" else "ro"


def _ulimit(name: object, limit: object) -> tuple[str, int, int]:
    if name not in _ULIMITS:
        raise ConfigError(f"there is no limit {name!r}{did_you_mean(str(name), _ULIMITS)}; known: {', '.join(_ULIMITS)}")
    pair = limit if isinstance(limit, list) else [limit, limit]
    numbers = [one for one in pair if isinstance(one, int) and not isinstance(one, bool) and one >= -1]
    if len(pair) != 2 or len(numbers) != 2:
        raise ConfigError(f"{name} must be a whole number, -1 for no limit, or [soft, hard]")
    soft, hard = numbers
    if hard != -1 and (soft == -1 or soft > hard):
        raise ConfigError(f"the soft limit of {name} is above the hard one")
    return str(name), soft, hard

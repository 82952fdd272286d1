"""
The part of the host that a server process gets: GPUs by name, cores by number.

Rule: a server never gets more than this process may use itself, and never silently less than it asked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_inferbench.cases.case import HostShare
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.errors import EngineError

# What tells a server which GPUs it may see, by vendor.
_VARIABLES = {"nvidia": "CUDA_VISIBLE_DEVICES", "amd": "ROCR_VISIBLE_DEVICES"}
_RANGE = re.compile(r"\s*(\d{1,6})(?:-(\d{1,6}))?\s*")


def visible_gpus(gpus: Sequence[Gpu]) -> dict[str, str]:
    """The environment in which a server sees these GPUs only; empty for none, and for those that are only declared."""
    return {
        variable: ",".join(gpu.uuid for gpu in gpus if gpu.vendor == vendor)
        for vendor, variable in _VARIABLES.items()
        if any(gpu.vendor == vendor and not gpu.declared for gpu in gpus)
    }


def cores_of(
    share: HostShare, *, allowed: frozenset[int] | None = None, node_cores: Callable[[int], str] | None = None
) -> frozenset[int]:
    """
    The cores that a server is to use; empty where it may use all that this process may.

    Args:
        share: what it asks for; a NUMA node and cores together mean those that are both.
        allowed: the cores that this process may use; by default asked for.
        node_cores: the list of a NUMA node's cores, such as ``0-7,16-23``; by default the kernel's.

    Raises:
        EngineError: there are no such cores, or this process may not use one of them.
    """
    if share.cpus is None and share.numa is None:
        return frozenset()
    allowed = _allowed() if allowed is None else allowed
    wanted = allowed if share.numa is None else parse_cores((node_cores or _node_cores)(share.numa)) & allowed
    if share.cpus is not None:
        asked = parse_cores(share.cpus)
        missing = asked - allowed
        if missing:
            raise EngineError(
                f"the server is to use the cores {share.cpus}, and {_listed(missing)} cannot be had here; "
                f"this process may use {_listed(allowed)}"
            )
        wanted &= asked
    if not wanted:
        node = "" if share.numa is None else f" of NUMA node {share.numa}"
        raise EngineError(f"there is no core{node} that the server may use; this process may use {_listed(allowed)}")
    return wanted


def parse_cores(text: str) -> frozenset[int]:
    """
    The cores in a list such as ``0-7,16``.

    Raises:
        EngineError: it is no such list.
    """
    cores = set[int]()
    for part in text.split(","):
        found = _RANGE.fullmatch(part)
        first = int(found[1]) if found else 1
        last = int(found[2] or found[1]) if found else 0
        if last < first:
            raise EngineError(f"{text!r} is no list of cores; write one such as 0-7,16")
        cores |= set(range(first, last + 1))
    return frozenset(cores)


def _listed(cores: frozenset[int]) -> str:
    """The shortest list of these cores: ``0-3,8``."""
    runs: list[list[int]] = []
    for core in sorted(cores):
        if runs and runs[-1][-1] == core - 1:
            runs[-1] = [runs[-1][0], core]
        else:
            runs.append([core, core])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _allowed() -> frozenset[int]:
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    raise EngineError("this system cannot tie a server to cores; leave cpus and numa out")


def _node_cores(node: int) -> str:
    try:
        return Path(f"/sys/devices/system/node/node{node}/cpulist").read_text(encoding="ascii").strip()
    except OSError as error:
        raise EngineError(f"this machine has no NUMA node {node}, which the server is to use") from error

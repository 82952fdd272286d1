"""What the host has to give a container: folders that are there, device files of GPUs, cores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pytest_inferbench.cases.case import Volume
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch.docker_config import DeviceNode

_AMD_NODES = ("/dev/kfd", "/dev/dri")


def present_volumes(volumes: Iterable[Volume]) -> tuple[Volume, ...]:
    """
    The same volumes with absolute sources, ``~`` filled in.

    Raises:
        EngineError: a source is not there. The engine itself might make an empty folder of it.
    """
    return tuple(replace(volume, source=str(_source(volume))) for volume in volumes)


def device_nodes(gpus: Sequence[Gpu], *, nodes: Sequence[str] = _AMD_NODES) -> tuple[DeviceNode, ...]:
    """
    The device files through which AMD's GPUs are used; none for others, which the engine hands over by name.

    Raises:
        EngineError: they are not there.
    """
    if not any(gpu.vendor == "amd" and not gpu.declared for gpu in gpus):
        return ()
    return tuple(_node(Path(node)) for node in nodes)


def _source(volume: Volume) -> Path:
    try:
        path = Path(volume.source).expanduser().absolute()
    except RuntimeError as error:
        raise EngineError(f"the volume {volume.source} begins with a home that is not known: {error}") from error
    try:
        path.stat()
    except OSError as error:
        raise EngineError(
            f"the volume {volume.source} for {volume.target} cannot be given to the container: {path}: {error.strerror}; "
            "make it, or correct it under the engine's volumes"
        ) from error
    return path


def _node(path: Path) -> DeviceNode:
    # The files in /dev/dri have the group; the folder itself is root's.
    inside = sorted(path.glob("renderD*")) if path.is_dir() else []
    try:
        return DeviceNode(path=str(path), group=(inside[0] if inside else path).stat().st_gid)
    except OSError as error:
        raise EngineError(
            f"the server is to use an AMD GPU, and {path} cannot be looked at: {error.strerror}; is the driver amdgpu loaded?"
        ) from error

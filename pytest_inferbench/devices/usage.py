"""
What goes on on a GPU, and whether that means that it is somebody else's.

Rule: readings come in as data, and nothing here asks a driver. Whether the processes on a GPU are ours is for its lease to
know: of a GPU that nobody has leased, each of them is somebody else's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.devices.lock_file import printable

# An idle GPU shows some of both: a driver's own memory, another tool that looks at it.
BUSY_PERCENT = 10.0
_NAMED_MAX = 3
# It sits on each GPU of a host that shares them between processes, with or without work.
_NO_WORK = frozenset({"nvidia-cuda-mps-server"})


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuProcess:
    """A process that computes on a GPU; what its driver does not say is None."""

    pid: int
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What goes on on a GPU at one instant; what its driver does not say is None."""

    memory_used_bytes: int | None = None
    utilization_percent: float | None = None
    processes: tuple[GpuProcess, ...] = ()


Usages = Mapping[str, Usage]
"""By the uuids of GPUs; those that could not be read are missing."""


def busy_reason(gpu: Gpu, usage: Usage) -> str | None:
    """Why a GPU that nobody has leased must be left alone: ``71.0 GiB in use by process 4711 (python)``; None: it is idle."""
    working = tuple(process for process in usage.processes if process.name not in _NO_WORK)
    used, total = usage.memory_used_bytes, gpu.memory_total_bytes
    full = used is not None and total is not None and used > total * BUSY_PERCENT / 100
    at_work = usage.utilization_percent is not None and usage.utilization_percent > BUSY_PERCENT
    if not (full or at_work or working):
        return None
    by = f" by {named(working)}" if working else ""
    if used is not None and (full or working):
        return f"{gib(used)} in use{by}"
    return f"{usage.utilization_percent:.0f} % busy{by}" if at_work else f"in use{by}"


def named(processes: tuple[GpuProcess, ...]) -> str:
    """Processes in words, the first few of them: ``process 4711 (python)``."""
    words = [f"{one.pid} ({one.name})" if one.name else str(one.pid) for one in processes]
    text = ", ".join(words[:_NAMED_MAX])
    if len(words) > _NAMED_MAX:
        text += f" and {len(words) - _NAMED_MAX} more"
    return f"{'process' if len(words) == 1 else 'processes'} {text}"


def program(command: str) -> str | None:
    """The program in a command line, without its folder and arguments, which may be nobody's business."""
    words = command.split()
    # "[Not Found]" and the like: what nvidia-smi says of processes that it must not see.
    return printable(os.path.basename(words[0])) if words and not command.startswith("[") else None  # noqa: PTH119 - no path of ours


def gib(count_bytes: float) -> str:
    """Bytes as people read them: ``71.0 GiB``."""
    return f"{count_bytes / 1024**3:.1f} GiB"

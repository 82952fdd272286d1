"""
NVIDIA's GPUs, as the command nvidia-smi lists them; for where the Python package of NVML is not installed.

Rule: what its answers mean is decided by pure functions of their text.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace

from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.devices.names import normalised
from pytest_inferbench.devices.survey import Links, Survey, linked_pairs, numa_of
from pytest_inferbench.devices.usage import GpuProcess, Usage, program
from pytest_inferbench.errors import DeviceError

_FIELDS = "index,uuid,name,memory.total,memory.used,utilization.gpu,driver_version,pci.bus_id,mig.mode.current"
GPUS = ("nvidia-smi", f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits")
PROCESSES = ("nvidia-smi", "--query-compute-apps=gpu_uuid,pid,process_name", "--format=csv,noheader,nounits")
SLICES = ("nvidia-smi", "-L")
TOPOLOGY = ("nvidia-smi", "topo", "-m")

_SLICE = re.compile(r"^\s+MIG\s+(\S+)\s+Device\s+\d+:\s+\(UUID:\s+(MIG-[^)]+)\)")
_WHOLE = re.compile(r"^GPU\s+(\d+):")
_TOPOLOGY_ROW = re.compile(r"^GPU(\d+)\s+(.*)$")

Ask = Callable[[tuple[str, ...]], str]


def survey(ask: Ask, *, topology: bool) -> Survey | None:
    """
    All GPUs of NVIDIA's, slices included; None where this machine has no nvidia-smi.

    Args:
        ask: runs a command and gives its output (`asked`).
        topology: ask for the links between them too.
    """
    try:
        rows = [row for row in map(_cells, ask(GPUS).splitlines()) if len(row) == _FIELDS.count(",") + 1]
        if not rows:
            return Survey()
        whole = {row[0]: _gpu(row) for row in rows}
        cut = {row[0] for row in rows if row[-1] == "Enabled"}
        gpus = [gpu for index, gpu in whole.items() if index not in cut]
        gpus += slices(ask(SLICES), {index: whole[index] for index in sorted(cut)}) if cut else []
        usages = usages_of(rows, ask(PROCESSES))
        links = links_of(ask(TOPOLOGY), {index: gpu.uuid for index, gpu in whole.items()}) if topology and len(rows) > 1 else None
    except FileNotFoundError:
        return None
    except DeviceError as error:
        return Survey(trouble=str(error))
    return Survey(gpus=tuple(gpus), links=links or frozenset(), driver=rows[0][6], usages=usages)


def asked(argv: tuple[str, ...], *, limit_s: float) -> str:
    """
    What nvidia-smi says.

    Raises:
        DeviceError: it could not be run, failed, or did not answer in time.
        FileNotFoundError: there is none.
    """
    try:
        answer = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=limit_s, check=False)
    except FileNotFoundError:
        raise
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"nvidia-smi did not answer within {limit_s:g} s") from error
    except OSError as error:
        raise DeviceError(f"nvidia-smi could not be run: {error.strerror}") from error
    if answer.returncode != 0:
        words = " ".join((answer.stdout + answer.stderr).split())[:200]
        raise DeviceError(f"nvidia-smi failed with exit code {answer.returncode}: {words}")
    return answer.stdout


def slices(listing: str, whole: dict[str, Gpu]) -> list[Gpu]:
    """The slices of these GPUs (by index), from the listing of all; how much memory each has is not said there."""
    found: list[Gpu] = []
    parent: Gpu | None = None
    for line in listing.splitlines():
        if head := _WHOLE.match(line):
            parent = whole.get(head[1])
        elif (part := _SLICE.match(line)) and parent is not None:
            name = normalised(f"{parent.name} MIG {part[1]}")
            found.append(replace(parent, uuid=part[2], name=name, memory_total_bytes=None))
    return found


def usages_of(rows: list[list[str]], processes: str) -> dict[str, Usage]:
    """What goes on on each whole GPU, from the rows of the question for GPUs and the answer to the one for processes."""
    by_uuid: dict[str, list[GpuProcess]] = {}
    for uuid, pid, *name in (row for row in map(_cells, processes.splitlines()) if len(row) >= 3):
        if pid.isdigit():
            by_uuid.setdefault(uuid, []).append(GpuProcess(pid=int(pid), name=program(",".join(name))))
    return {
        row[1]: Usage(
            memory_used_bytes=_bytes(row[4]),
            utilization_percent=float(row[5]) if row[5].isdigit() else None,
            processes=tuple(by_uuid.get(row[1], ())),
        )
        for row in rows
    }


def links_of(matrix: str, uuids: dict[str, str]) -> Links:
    """The pairs with NVLink between them, from the matrix of connections: ``NV18`` in a cell is 18 links."""
    cells: dict[str, list[str]] = {}
    for line in matrix.splitlines():
        if row := _TOPOLOGY_ROW.match(line):
            cells[row[1]] = row[2].split()
    indices = [index for index in uuids if index in cells]

    def linked(a: int, b: int) -> bool:
        row = cells[indices[a]]
        return b < len(row) and row[b].startswith("NV")

    return linked_pairs([uuids[index] for index in indices], linked)


def _gpu(row: list[str]) -> Gpu:
    total = _bytes(row[3])
    return Gpu(
        index=int(row[0]),
        uuid=row[1],
        name=normalised(row[2], memory_mib=None if total is None else total // 1024**2),
        memory_total_bytes=total,
        numa=numa_of(row[7]),
    )


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split(",")]


def _bytes(mib: str) -> int | None:
    return int(mib) * 1024**2 if mib.isdigit() else None

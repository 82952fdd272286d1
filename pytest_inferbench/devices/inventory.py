"""
What hardware this machine has, and whether a case can run on it.

Rule: the machine is asked at most once a process, and only when somebody wants to know; what the answers mean is decided by
pure functions that tests feed with recorded answers. Only names and counts are known here. Which process may use which
device is the business of leases.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from functools import cache

from pytest_inferbench.cases import catalogue
from pytest_inferbench.cases.case import Case

CPU = "cpu"
# Without the persistence daemon, nvidia-smi initialises the driver first, which takes seconds on a machine with many GPUs.
NVIDIA_SMI_LIMIT_S = 10.0
NVIDIA_SMI = ("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits")

# Words of a product name that say nothing about which chip it is.
_NOISE = {"nvidia", "tesla", "geforce", "quadro", "graphics", "device", "gpu", "generation", "laptop"}
# Form factors, memory kinds and sizes: the same chip is sold with several. What differs in speed is told apart below.
_VARIANT = re.compile(r"^(pcie|sxm\d*|nvl\d*|hbm\d*e?|\d+\s?gb|\d+g)$")
# These exist with two sizes of memory that decide which models fit, so the size is part of their name.
_SIZED = {"a100": (40, 80), "a800": (40, 80), "v100": (16, 32)}
_MIB_PER_GB = 1000**3 / 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What was found: one name a device (``cpu`` first), and why the search for GPUs failed where it did."""

    names: tuple[str, ...]
    trouble: str | None = None


def found() -> tuple[str, ...]:
    """The hardware of this machine: ``cpu``, then one name a GPU such as ``h100``; looked for once a process."""
    return detected().names


def skip_reason(case: Case) -> str | None:
    """None where the case can run on this machine, else a sentence with what it needs and what was found."""
    inventory = detected()
    return missing(case, inventory.names, trouble=inventory.trouble)


def missing(case: Case, found: tuple[str, ...], *, trouble: str | None = None) -> str | None:
    """
    None where the case can run on the hardware found, else a sentence for the reason of a skip.

    A GPU case needs as many of that GPU as its tensor-parallel size. ``cpu`` is there always, and any number of times:
    ranks share the cores.
    """
    wanted = normalised(case.hardware)
    if wanted == CPU:
        return None
    if Counter(found)[wanted] >= case.tensor_parallel:
        return None
    reason = f"needs {case.tensor_parallel} x {wanted}; found: {described(found)}"
    return f"{reason} ({trouble})" if trouble else reason


def described(found: tuple[str, ...]) -> str:
    """The hardware found, as people say it: ``cpu (2 cores), 8 x h100``."""
    count = cores()
    parts = [f"{CPU} ({count} {'core' if count == 1 else 'cores'})"]
    parts += [f"{number} x {name}" for name, number in Counter(found).items() if name != CPU]
    return ", ".join(parts)


def cores() -> int:
    """How many cores this process may use, which in a container or under taskset is fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def detected() -> Inventory:
    """The inventory of this machine; asked once a process."""
    return detect(limit_s=NVIDIA_SMI_LIMIT_S)


def detect(*, limit_s: float) -> Inventory:
    """Ask the machine now, waiting at most ``limit_s`` seconds for each of its tools."""
    try:
        answer = subprocess.run(NVIDIA_SMI, capture_output=True, text=True, timeout=limit_s, check=False)
    except FileNotFoundError:
        return Inventory(names=(CPU,))
    except subprocess.TimeoutExpired:
        return Inventory(names=(CPU,), trouble=f"nvidia-smi did not answer within {limit_s:g} s")
    except OSError as error:
        return Inventory(names=(CPU,), trouble=f"nvidia-smi could not be run: {error.strerror}")
    if answer.returncode != 0:
        words = " ".join((answer.stdout + answer.stderr).split())[:200]
        return Inventory(names=(CPU,), trouble=f"nvidia-smi failed with exit code {answer.returncode}: {words}")
    return Inventory(names=(CPU, *nvidia_names(answer.stdout)))


def nvidia_names(answer: str) -> tuple[str, ...]:
    """The GPUs in nvidia-smi's answer: a line a GPU, its name and its memory in MiB."""
    names: list[str] = []
    for line in answer.splitlines():
        name, comma, memory = line.rpartition(",")
        if comma:
            memory_mib = int(memory) if memory.strip().isdigit() else None
            names.append(normalised(name, memory_mib=memory_mib))
    return tuple(names)


def normalised(name: str, *, memory_mib: int | None = None) -> str:
    """
    A product's name as it stands in suites and test ids: ``NVIDIA A100-SXM4-80GB`` is ``a100-80gb``.

    A name that is normal already stays as it is, and a product that the catalogue knows has the catalogue's name.
    ``memory_mib`` settles the size where the name does not say it.
    """
    for known in catalogue.hardware_names():
        if name.strip() in catalogue.hardware_of(known).products:
            return known
    words = [word for word in re.split(r"[\s_-]+", name.strip().lower()) if word and word not in _NOISE]
    chip = [word for word in words if not _VARIANT.match(word)]
    text = "-".join(chip) or "unknown"
    return text if text not in _SIZED else f"{text}-{_size_gb(_SIZED[text], words, memory_mib)}gb"


def _size_gb(sizes: tuple[int, ...], words: list[str], memory_mib: int | None) -> int:
    for word in words:
        if word.removesuffix("gb").isdigit() and int(word.removesuffix("gb")) in sizes:
            return int(word.removesuffix("gb"))
    if memory_mib is None:
        return sizes[0]
    return min(sizes, key=lambda size: abs(size - memory_mib / _MIB_PER_GB))

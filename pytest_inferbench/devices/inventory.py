"""
What hardware this machine has, and whether a case can run on it.

Rule: the machine is asked at most once a process, and only when somebody wants to know; what the answers mean is decided by
pure functions that tests feed with recorded answers. Which process may use which GPU is the business of leases.
"""

from __future__ import annotations

import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from pytest_inferbench.cases import catalogue
from pytest_inferbench.cases.case import Case
from pytest_inferbench.devices import amd, nvidia_smi, nvml
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.devices.lock_file import file_name, holder_of, shared_folder
from pytest_inferbench.devices.names import counted, normalised
from pytest_inferbench.devices.survey import Links, Survey
from pytest_inferbench.devices.usage import busy_reason
from pytest_inferbench.devices.visible import visible
from pytest_inferbench.errors import ConfigError

CPU = "cpu"
# Without the persistence daemon the driver is started first, which takes seconds on a machine with many GPUs.
DRIVER_LIMIT_S = 10.0
_DECLARED_MAX = 1024
_DECLARED = re.compile(r"\s*(\d{1,9})\s*[x*]\s*([^\s].*?)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """
    The GPUs of a machine that this process may use.

    Attributes:
        links: pairs of uuids with a direct link between them (NVLink, XGMI).
        driver: its version; of several vendors, all.
        trouble: why the search for GPUs failed, where it did.
        declared: a person said so, and nobody looked.
        busy: uuids of GPUs that somebody else uses without a lease, and how, as of when the machine was asked.
        locks: the folder of their lock files, where they are nobody else's; None: the one that all users of this host share.
    """

    gpus: tuple[Gpu, ...] = ()
    links: Links = frozenset()
    driver: str | None = None
    trouble: str | None = None
    declared: bool = False
    busy: tuple[tuple[str, str], ...] = ()
    locks: Path | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The hardware: ``cpu``, then one name a GPU such as ``h100``."""
        return (CPU, *(gpu.name for gpu in self.gpus))

    @property
    def free(self) -> tuple[Gpu, ...]:
        """The GPUs that are not busy with somebody else's work; they may be leased."""
        busy = dict(self.busy)
        return tuple(gpu for gpu in self.gpus if gpu.uuid not in busy)

    def of(self, hardware: str) -> tuple[Gpu, ...]:
        """The GPUs of a kind, busy or not; with ``gpu`` all."""
        kinds = self.kinds(hardware)
        return tuple(gpu for gpu in self.gpus if gpu.name in kinds)

    def kinds(self, hardware: str) -> tuple[str, ...]:
        """What a hardware stands for here: itself, and ``gpu`` for every kind of GPU; a server has all of its own of one kind."""
        kind = normalised(hardware)
        return tuple(dict.fromkeys(gpu.name for gpu in self.gpus)) if kind == catalogue.ANY_GPU else (kind,)


def found() -> tuple[str, ...]:
    """The hardware of this machine: ``cpu``, then one name a GPU such as ``h100``; looked for once a process."""
    return detected().names


def skip_reason(case: Case) -> str | None:
    """None where the case can run on this machine, else a sentence with what it needs and what was found."""
    return None if normalised(case.hardware) == CPU else missing(case, detected())


def missing(case: Case, inventory: Inventory) -> str | None:
    """
    None where the case can run on this inventory, else a sentence for the reason of a skip.

    A GPU case needs as many of that GPU as its tensor-parallel size, and none of them busy with somebody else's work; where any
    GPU will do (``gpu``), all of one kind. ``cpu`` is there always, and any number of times: ranks share the cores.
    """
    wanted = normalised(case.hardware)
    free = Counter(gpu.name for gpu in inventory.free)
    if wanted == CPU or any(free[kind] >= case.tensor_parallel for kind in inventory.kinds(wanted)):
        return None
    verb = "declared" if inventory.declared else "found"
    reason = f"needs {counted(wanted, case.tensor_parallel)}; {verb}: {described(inventory.names)}"
    reasons = dict(inventory.busy)
    busy = [f"{gpu.label}: {reasons[gpu.uuid]}" for gpu in inventory.of(wanted) if gpu.uuid in reasons]
    reason += f"; busy, and left alone: {', '.join(busy)}" if busy else ""
    return f"{reason} ({inventory.trouble})" if inventory.trouble else reason


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


def declared(text: str) -> Inventory:
    """
    The inventory that a person declares for planning: ``8xh100``, ``4xh100+2xl4``; nothing is known of links.

    Raises:
        ConfigError: the text is not such a declaration, or names unknown hardware.
    """
    gpus: list[Gpu] = []
    for part in text.split("+"):
        match = _DECLARED.fullmatch(part)
        if match is None or not 0 < int(match[1]) <= _DECLARED_MAX - len(gpus):
            raise ConfigError(f"{text!r} is no inventory; write how many of which GPU, such as 8xh100 or 4xh100+2xl4")
        name, memory_bytes = _declared_kind(match[2])
        for _ in range(int(match[1])):
            # Two sessions that declare different inventories share the locks of the GPUs that are in both, and of no others.
            uuid = f"declared-{name}-{sum(gpu.name == name for gpu in gpus)}"
            gpus.append(Gpu(index=len(gpus), uuid=uuid, name=name, memory_total_bytes=memory_bytes, declared=True))
    return Inventory(gpus=tuple(gpus), declared=True)


def _declared_kind(text: str) -> tuple[str, int | None]:
    name = normalised(text)
    if "-mig-" in name:
        return name, None
    known = catalogue.hardware_of(name)
    if known.name == catalogue.ANY_GPU:
        raise ConfigError("gpu is any kind of GPU; declare which, such as 8xh100")
    if known.name == CPU:
        raise ConfigError("cpu need not be declared: every machine has one; write GPUs, such as 8xh100")
    return known.name, None if known.memory_gib is None else known.memory_gib * 1024**3


class _InUse:
    """The inventory that stands in for what this machine has; None: the machine itself is asked."""

    inventory: Inventory | None = None


def use(inventory: Inventory | None) -> None:
    """Take this inventory for this process's, whatever the machine has; None: ask the machine again."""
    _InUse.inventory = inventory


def detected() -> Inventory:
    """The inventory of this process: the one of `use`, else that of this machine, which is asked once."""
    return _InUse.inventory or _of_this_machine()


@cache
def _of_this_machine() -> Inventory:
    return detect(limit_s=DRIVER_LIMIT_S)


def detect(*, limit_s: float) -> Inventory:
    """Ask the machine now, waiting at most ``limit_s`` seconds for each answer of its drivers."""
    return inventory_of(surveys(limit_s=limit_s, topology=True), environ=os.environ, holder=_holder)


def inventory_of(answers: list[Survey], *, environ: Mapping[str, str], holder: Callable[[Gpu], str | None]) -> Inventory:
    """What drivers' answers mean for a process with this environment; ``holder`` says who has leased a GPU."""
    gpus = visible((gpu for answer in answers for gpu in answer.gpus), environ)
    usages = {uuid: usage for answer in answers for uuid, usage in answer.usages.items()}
    reasons = ((gpu, busy_reason(gpu, usages[gpu.uuid])) for gpu in gpus if gpu.uuid in usages)
    ours = {gpu.uuid for gpu in gpus}
    return Inventory(
        gpus=gpus,
        links=frozenset(pair for answer in answers for pair in answer.links if pair <= ours),
        driver=", ".join(answer.driver for answer in answers if answer.driver) or None,
        trouble="; ".join(answer.trouble for answer in answers if answer.trouble) or None,
        # A leased GPU is busy with its lease's server: that one is waited for, and no reason to do without.
        busy=tuple((gpu.uuid, reason) for gpu, reason in reasons if reason is not None and holder(gpu) is None),
    )


def surveys(*, limit_s: float, topology: bool) -> list[Survey]:
    """The answers of all drivers of this machine."""
    answers: list[Survey | None] = []
    if (pynvml := nvml.library()) is not None:
        answers.append(_within(limit_s, "NVML", partial(nvml.survey, pynvml, topology=topology)))
    if not answers or answers[0] is None:
        answers.append(nvidia_smi.survey(partial(nvidia_smi.asked, limit_s=limit_s), topology=topology))
    if (amdsmi := amd.library()) is not None:
        answers.append(_within(limit_s, "amdsmi", partial(amd.survey, amdsmi, topology=topology)))
    return [answer for answer in answers if answer is not None]


def _within(limit_s: float, name: str, ask: Callable[[], Survey | None]) -> Survey | None:
    """An answer, or trouble where there is none in time: a library that hangs in its driver cannot be interrupted, only left."""
    answer: Future[Survey | None] = Future()

    def answered() -> None:
        try:
            answer.set_result(ask())
        except Exception as error:  # noqa: BLE001 - whoever waits for the answer gets it
            answer.set_exception(error)

    threading.Thread(target=answered, daemon=True, name=f"inferbench {name}").start()
    try:
        return answer.result(limit_s)
    except TimeoutError:
        return Survey(trouble=f"{name} did not answer within {limit_s:g} s")


def _holder(gpu: Gpu) -> str | None:
    return holder_of(shared_folder() / file_name(gpu.resource))

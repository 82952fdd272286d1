"""
A session whose servers and GPUs are simulated: what becomes of its cases, and which GPUs it has.

Rule: nothing is simulated here. The server is a program of its own (`simulator`), which the engines stage starts by name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_inferbench.cases import catalogue
from pytest_inferbench.cases.case import Case, Simulation
from pytest_inferbench.devices import inventory
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.devices.gpu_lease import GpusWanted, Host, lease_gpus
from pytest_inferbench.devices.inventory import CPU, Inventory

SUFFIX = "-simulated"
"""The end of every simulated case's id."""
EACH = 8
"""GPUs of every kind that a session has which declares none."""
CORES_EACH = 2
"""Cores that a simulated load takes: one for the server, one for the client."""
_PLACE = "simulated-load"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """
    What was asked for.

    Attributes:
        time_scale: what waiting is multiplied by, which is never measured load; None: no start-up is waited for, and users think
            as long as the suite says.
        faults: what is to go wrong with every server.
    """

    time_scale: float | None = None
    faults: tuple[str, ...] = ()


def simulated(cases: Iterable[Case], asked: Asked) -> tuple[Case, ...]:
    """The same cases, simulated: no id of them can be mistaken for a measured one's."""
    simulation = Simulation(startup_scale=asked.time_scale or 0.0, faults=asked.faults)
    scale = 1.0 if asked.time_scale is None else asked.time_scale
    return tuple(_simulated(case, simulation, scale) for case in cases)


def _simulated(case: Case, simulation: Simulation, scale: float) -> Case:
    traffic = case.traffic
    if scale != 1.0 and traffic.think_time_s:
        traffic = replace(traffic, think_time_s=traffic.think_time_s * scale)
    return replace(case, id=f"{case.id}{SUFFIX}", simulation=simulation, traffic=traffic)


def inventory_of(declared: str | None, run_id: str, *, locks: Path | None = None) -> Inventory:
    """
    The GPUs of a simulated session: those declared, else 8 of every kind; nobody else's, so that no session waits for another.

    Args:
        declared: what a person declared.
        run_id: whose they are.
        locks: the folder of their lock files, which is gone after the session; None: that of the host, where they stay and their
            queue is that of real GPUs.

    Raises:
        ConfigError: the declaration cannot be read.
    """
    kinds = (name for name in catalogue.hardware_names() if name not in (CPU, catalogue.ANY_GPU))
    found = inventory.declared(declared or "+".join(f"{EACH}x{name}" for name in kinds))
    gpus = tuple(replace(gpu, uuid=f"simulated-{run_id}-{gpu.index}") for gpu in found.gpus)
    return replace(found, gpus=gpus, locks=locks)


@contextmanager
def favoured(server_pid: int | None) -> Iterator[None]:
    """
    A simulated server, and the load that this process drives meanwhile, go before everything else on this host, where they may.

    The rest of a session plans and draws next to them, and on few cores it would make them late. That takes the right to schedule
    in real time, which root has; everybody else has what there is.
    """
    chosen = [pid for pid in (0, server_pid) if pid is not None and _in_real_time(pid)]
    try:
        yield
    finally:
        for pid in chosen:
            with suppress(OSError):
                os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))


def _in_real_time(pid: int) -> bool:
    try:
        os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(1))
    except (OSError, AttributeError):
        return False
    return True


@contextmanager
def turn(*, timeout_s: float, waiting: Callable[[str], None], what: str, host: Host | None = None) -> Iterator[None]:
    """
    One of the host's places for a simulated load: server and load each need a core, or they measure how busy the host is.

    Args:
        timeout_s: the longest to wait for it, in seconds.
        waiting: told in a sentence who has them.
        what: what it is for, as others will read it.
        host: where the lock files are; by default this host.

    Raises:
        DeviceError: none was free in time.
    """
    places = max(1, inventory.cores() // CORES_EACH)
    slots = (Gpu(index=index, uuid=f"simulated-load-{index}", name=_PLACE, declared=True) for index in range(places))
    wanted = GpusWanted(hardware=_PLACE, count=1, what=what)
    with lease_gpus(Inventory(gpus=tuple(slots), declared=True), wanted, timeout_s=timeout_s, waiting=waiting, host=host):
        yield

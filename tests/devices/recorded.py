"""Machines with GPUs, as their drivers describe them, and what answers like NVML for them."""

# ruff: noqa: N802, N815 - functions and constants are called as in pynvml

from __future__ import annotations

from dataclasses import dataclass, field

MIB = 1024**2
GIB = 1024**3


@dataclass(kw_only=True)
class Device:
    """One GPU, or one slice of one; a field that is an exception is raised."""

    uuid: str
    product: str
    memory_total_bytes: int
    memory_used_bytes: int | Exception = 4 * MIB
    bus_id: str = "00000000:1B:00.0"
    percent: int | Exception = 0
    pids: tuple[int, ...] = ()
    slices: list[Device] | None = None
    lost: bool = False


@dataclass(kw_only=True)
class Machine:
    """A host: its GPUs, the pairs of them that NVLink joins, and the names of its processes."""

    devices: list[Device]
    nvlinks: set[tuple[int, int]] = field(default_factory=set)
    processes: dict[int, str] = field(default_factory=dict)
    driver: str = "570.86.15"


def h100_x8() -> Machine:
    """An HGX board: eight H100 behind NVSwitch, four next to each socket."""
    bus_ids = ("1B", "43", "52", "61", "9D", "C3", "D1", "DF")
    devices = [
        Device(
            uuid=f"GPU-{index}c2e4f6a-7b8d-4e1f-9a3c-5d6e7f8091a2",
            product="NVIDIA H100 80GB HBM3",
            memory_total_bytes=81559 * MIB,
            bus_id=f"00000000:{bus}:00.0",
        )
        for index, bus in enumerate(bus_ids)
    ]
    return Machine(devices=devices, nvlinks={(a, b) for a in range(8) for b in range(8) if a != b})


def a100_mig() -> Machine:
    """Two A100 of 40 GB: the first cut into two slices, the second whole."""
    parts = [
        Device(
            uuid=f"MIG-{name}-1111-5222-8333-444455556666",
            product=f"NVIDIA A100-SXM4-40GB MIG {profile}",
            memory_total_bytes=size * MIB,
            memory_used_bytes=13 * MIB,
            percent=NVMLError_NotSupported(),
        )
        for name, profile, size in (("aaaa0000", "3g.20gb", 19968), ("bbbb0000", "1g.5gb", 4864))
    ]
    whole = [
        Device(
            uuid=f"GPU-a100000{index}-0000-4000-8000-000000000000",
            product="NVIDIA A100-SXM4-40GB",
            memory_total_bytes=40960 * MIB,
            slices=parts if index == 0 else None,
        )
        for index in range(2)
    ]
    return Machine(devices=whole, nvlinks={(0, 1), (1, 0)}, driver="535.183.01")


def l4_busy() -> Machine:
    """Three L4: one idle, one with somebody's notebook, one that is only at work."""
    devices = [
        Device(uuid=f"GPU-1400000{index}-0000-4000-8000-000000000000", product="NVIDIA L4", memory_total_bytes=23034 * MIB)
        for index in range(3)
    ]
    devices[1].memory_used_bytes = 18 * GIB
    devices[1].pids = (4711,)
    devices[2].percent = 83
    return Machine(devices=devices, processes={4711: "/opt/venv/bin/python train.py --token abc"})


class NVMLError(Exception):
    """As in pynvml."""


class NVMLError_NotSupported(NVMLError):  # noqa: N801 - as in pynvml
    """As in pynvml."""

    def __str__(self) -> str:
        return "Not Supported"


class NVMLError_LibraryNotFound(NVMLError):  # noqa: N801 - as in pynvml
    """As in pynvml."""


class NVMLError_GpuIsLost(NVMLError):  # noqa: N801 - as in pynvml
    """As in pynvml."""

    def __str__(self) -> str:
        return "GPU is lost"


@dataclass
class Numbers:
    """A structure of NVML's, of whatever fields are asked for."""

    used: int = 0
    total: int = 0
    gpu: int = 0
    pid: int = 0
    busId: str | bytes = ""


class FakeNvml:
    """Answers like pynvml for a recorded machine; ``start`` is raised by `nvmlInit`."""

    NVMLError = NVMLError
    NVMLError_LibraryNotFound = NVMLError_LibraryNotFound
    NVML_DEVICE_MIG_ENABLE = 1
    NVML_P2P_CAPS_INDEX_NVLINK = 2
    NVML_P2P_STATUS_OK = 0
    nvmlMemory_v2 = 33554472

    def __init__(self, machine: Machine, *, start: Exception | None = None, old: bool = False) -> None:
        self.machine = machine
        self.start = start
        self.old = old
        self.sessions = 0
        self.started = 0

    def nvmlInit(self) -> None:
        if self.start is not None:
            raise self.start
        self.sessions += 1
        self.started += 1

    def nvmlShutdown(self) -> None:
        self.sessions -= 1

    def nvmlDeviceGetCount(self) -> int:
        assert self.sessions
        return len(self.machine.devices)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Device:
        if self.machine.devices[index].lost:
            raise NVMLError_GpuIsLost
        return self.machine.devices[index]

    def nvmlSystemGetDriverVersion(self) -> str | bytes:
        return self._text(self.machine.driver)

    def nvmlDeviceGetName(self, device: Device) -> str | bytes:
        return self._text(device.product)

    def nvmlDeviceGetUUID(self, device: Device) -> str | bytes:
        return self._text(device.uuid)

    def nvmlDeviceGetPciInfo(self, device: Device) -> Numbers:
        return Numbers(busId=self._text(device.bus_id))

    def nvmlDeviceGetMemoryInfo(self, device: Device, version: int | None = None) -> Numbers:
        if self.old and version is not None:
            raise NVMLError_NotSupported
        return Numbers(used=number(device.memory_used_bytes), total=device.memory_total_bytes)

    def nvmlDeviceGetUtilizationRates(self, device: Device) -> Numbers:
        return Numbers(gpu=number(device.percent))

    def nvmlDeviceGetComputeRunningProcesses(self, device: Device) -> list[Numbers]:
        return [Numbers(pid=pid) for pid in device.pids]

    def nvmlSystemGetProcessName(self, pid: int) -> str | bytes:
        if pid not in self.machine.processes:
            raise NVMLError_NotSupported
        return self._text(self.machine.processes[pid])

    def nvmlDeviceGetMigMode(self, device: Device) -> list[int]:
        if self.old:
            raise NVMLError_NotSupported
        mode = int(device.slices is not None)
        return [mode, mode]

    def nvmlDeviceGetMaxMigDeviceCount(self, _: Device) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, device: Device, place: int) -> Device:
        assert device.slices is not None
        if place >= len(device.slices):
            raise NVMLError_NotSupported
        return device.slices[place]

    def nvmlDeviceGetP2PStatus(self, one: Device, other: Device, kind: int) -> int:
        assert kind == self.NVML_P2P_CAPS_INDEX_NVLINK
        if self.old:
            raise NVMLError_NotSupported
        places = (self.machine.devices.index(one), self.machine.devices.index(other))
        return 0 if places in self.machine.nvlinks else 5

    def _text(self, text: str) -> str | bytes:
        return text.encode() if self.old else text


def number(value: int | Exception) -> int:
    """The value, or the error that stands in its place."""
    if isinstance(value, Exception):
        raise value
    return value

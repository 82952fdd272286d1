"""
NVIDIA's GPUs, as NVML knows them: the driver's own library.

Rule: this is the only module that imports pynvml, and not before somebody asks. What one GPU does not answer is not known of
it; a GPU that answers nothing is named as trouble and hides no other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.devices.names import normalised
from pytest_inferbench.devices.survey import Links, Survey, linked_pairs, numa_of, text_of
from pytest_inferbench.devices.usage import GpuProcess, Usage, program

T = TypeVar("T")


def library() -> Any:
    """The Python package pynvml, or None where it is not installed (``pip install 'pytest-inferbench[gpu]'``)."""
    try:
        import pynvml  # noqa: PLC0415 - see the module's rule
    except ImportError:
        return None
    return pynvml


def survey(pynvml: Any, *, topology: bool) -> Survey | None:
    """
    All GPUs of NVIDIA's, slices included; None where this machine has no NVML.

    Args:
        pynvml: the package, or what answers in its place.
        topology: ask for the links between them too.
    """
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError_LibraryNotFound:
        return None
    except pynvml.NVMLError as error:
        return Survey(trouble=f"NVML could not be started: {error}")
    try:
        return _Session(pynvml).survey(topology=topology)
    except pynvml.NVMLError as error:
        return Survey(trouble=f"NVML failed: {error}")
    finally:
        pynvml.nvmlShutdown()


class _Session:
    """NVML, started; collects what it says of one GPU after the other."""

    def __init__(self, pynvml: Any) -> None:
        self.nvml = pynvml
        self.gpus: list[Gpu] = []
        self.usages: dict[str, Usage] = {}
        self.whole: dict[str, Any] = {}
        self.troubles: list[str] = []

    def survey(self, *, topology: bool) -> Survey:
        for index in range(self.nvml.nvmlDeviceGetCount()):
            try:
                self._device(index, self.nvml.nvmlDeviceGetHandleByIndex(index))
            except self.nvml.NVMLError as error:
                self.troubles.append(f"gpu {index}: {error}")
        return Survey(
            gpus=tuple(self.gpus),
            links=self._links() if topology else frozenset(),
            driver=self._known(lambda: text_of(self.nvml.nvmlSystemGetDriverVersion())),
            trouble="; ".join(self.troubles) or None,
            usages=self.usages,
        )

    def _device(self, index: int, handle: Any) -> None:
        numa = self._known(lambda: numa_of(text_of(self.nvml.nvmlDeviceGetPciInfo(handle).busId)))
        slices = self._slices(handle)
        if slices is None:
            self.whole[self._add(index, handle, numa=numa).uuid] = handle
            return
        # Nothing can run on a GPU that is to be cut and is not, so one without slices is none.
        for part in slices:
            self._add(index, part, numa=numa)

    def _add(self, index: int, handle: Any, *, numa: int | None) -> Gpu:
        memory = self._known(lambda: self._memory(handle))
        used, total = memory or (None, None)
        product = text_of(self.nvml.nvmlDeviceGetName(handle))
        gpu = Gpu(
            index=index,
            uuid=text_of(self.nvml.nvmlDeviceGetUUID(handle)),
            name=normalised(product, memory_mib=None if total is None else total // 1024**2),
            memory_total_bytes=total,
            numa=numa,
        )
        self.gpus.append(gpu)
        self.usages[gpu.uuid] = Usage(
            memory_used_bytes=used,
            utilization_percent=self._known(lambda: float(self.nvml.nvmlDeviceGetUtilizationRates(handle).gpu)),
            processes=self._known(lambda: self._processes(handle)) or (),
        )
        return gpu

    def _slices(self, handle: Any) -> list[Any] | None:
        """The handles of the slices that a GPU is cut into; None where it is whole."""
        mode = self._known(lambda: self.nvml.nvmlDeviceGetMigMode(handle)[0])
        if mode != self.nvml.NVML_DEVICE_MIG_ENABLE:
            return None
        places = range(self.nvml.nvmlDeviceGetMaxMigDeviceCount(handle))
        parts = [self._known(partial(self.nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, place)) for place in places]
        return [part for part in parts if part is not None]

    def _memory(self, handle: Any) -> tuple[int, int]:
        """Bytes used and in all; the second form of the question leaves out what the driver keeps for itself."""
        try:
            memory = self.nvml.nvmlDeviceGetMemoryInfo(handle, version=self.nvml.nvmlMemory_v2)
        except self.nvml.NVMLError:
            memory = self.nvml.nvmlDeviceGetMemoryInfo(handle)
        return int(memory.used), int(memory.total)

    def _processes(self, handle: Any) -> tuple[GpuProcess, ...]:
        found = self.nvml.nvmlDeviceGetComputeRunningProcesses(handle)
        return tuple(GpuProcess(pid=one.pid, name=self._name_of(one.pid)) for one in found)

    def _name_of(self, pid: int) -> str | None:
        name = self._known(lambda: text_of(self.nvml.nvmlSystemGetProcessName(pid)))
        return None if name is None else program(name)

    def _links(self) -> Links:
        handles = list(self.whole.values())

        def linked(a: int, b: int) -> bool:
            kind = self.nvml.NVML_P2P_CAPS_INDEX_NVLINK
            status = self._known(lambda: self.nvml.nvmlDeviceGetP2PStatus(handles[a], handles[b], kind))
            return bool(status == self.nvml.NVML_P2P_STATUS_OK)

        return linked_pairs(list(self.whole), linked)

    def _known(self, ask: Callable[[], T]) -> T | None:
        """An answer, or None where this GPU or this driver has none."""
        try:
            return ask()
        except self.nvml.NVMLError:
            return None

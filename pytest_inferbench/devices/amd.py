"""
AMD's GPUs, as amdsmi knows them: the Python package that comes with ROCm.

Rule: this is the only module that imports amdsmi, and not before somebody asks. What a GPU does not answer is not known of it.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any, TypeVar

from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.devices.names import normalised
from pytest_inferbench.devices.survey import Links, Survey, linked_pairs, numa_of
from pytest_inferbench.devices.usage import GpuProcess, Usage, program

T = TypeVar("T")

# AMDSMI_LINK_TYPE_XGMI of amdsmi.h; its Python package has had two names for the enumeration.
_XGMI = 2


def library() -> Any:
    """The Python package amdsmi, or None where it is not installed or finds no ROCm."""
    try:
        # It says on standard output that it finds no ROCm, and then fails with whatever comes next.
        with contextlib.redirect_stdout(io.StringIO()):
            import amdsmi  # noqa: PLC0415 - see the module's rule
    except (ImportError, OSError, KeyError, AttributeError):
        return None
    return amdsmi


def survey(amdsmi: Any, *, topology: bool) -> Survey | None:
    """
    All GPUs of AMD's; None where its driver is not loaded.

    Args:
        amdsmi: the package, or what answers in its place.
        topology: ask for the links between them too.
    """
    try:
        amdsmi.amdsmi_init()
    except amdsmi.AmdSmiException:
        return None
    try:
        return _Session(amdsmi).survey(topology=topology)
    except amdsmi.AmdSmiException as error:
        return Survey(trouble=f"amdsmi failed: {' '.join(str(error).split())}")
    finally:
        amdsmi.amdsmi_shut_down()


class _Session:
    """amdsmi, started."""

    def __init__(self, amdsmi: Any) -> None:
        self.smi = amdsmi

    def survey(self, *, topology: bool) -> Survey:
        handles = self.smi.amdsmi_get_processor_handles()
        gpus = [self._gpu(index, handle) for index, handle in enumerate(handles)]
        uuids = [gpu.uuid for gpu in gpus]
        return Survey(
            gpus=tuple(gpus),
            links=self._links(handles, uuids) if topology else frozenset(),
            driver=self._driver(handles[0]) if handles else None,
            usages={uuid: self._usage(handle) for uuid, handle in zip(uuids, handles, strict=True)},
        )

    def _driver(self, handle: Any) -> str | None:
        return self._known(lambda: str(self.smi.amdsmi_get_gpu_driver_info(handle)["driver_version"]))

    def _gpu(self, index: int, handle: Any) -> Gpu:
        total = self._known(lambda: int(self.smi.amdsmi_get_gpu_memory_total(handle, self.smi.AmdSmiMemoryType.VRAM)))
        return Gpu(
            index=index,
            uuid=self.smi.amdsmi_get_gpu_device_uuid(handle),
            name=normalised(self.smi.amdsmi_get_gpu_asic_info(handle)["market_name"]),
            memory_total_bytes=total,
            numa=self._known(lambda: numa_of(self.smi.amdsmi_get_gpu_device_bdf(handle))),
            vendor="amd",
        )

    def _usage(self, handle: Any) -> Usage:
        activity = self._known(lambda: self.smi.amdsmi_get_gpu_activity(handle)["gfx_activity"])
        return Usage(
            memory_used_bytes=self._known(
                lambda: int(self.smi.amdsmi_get_gpu_memory_usage(handle, self.smi.AmdSmiMemoryType.VRAM))
            ),
            utilization_percent=float(activity) if isinstance(activity, int) else None,  # "N/A" where it is not counted
            processes=self._known(lambda: self._processes(handle)) or (),
        )

    def _processes(self, handle: Any) -> tuple[GpuProcess, ...]:
        found = self.smi.amdsmi_get_gpu_process_list(handle)
        # It lists whoever has the device open, on this GPU or not; those that have memory there use it.
        there = [one for one in found if one["memory_usage"]["vram_mem"]]
        return tuple(GpuProcess(pid=one["pid"], name=None if one["name"] == "N/A" else program(one["name"])) for one in there)

    def _links(self, handles: list[Any], uuids: list[str]) -> Links:
        def linked(a: int, b: int) -> bool:
            kind = self._known(lambda: int(self.smi.amdsmi_topo_get_link_type(handles[a], handles[b])["type"]))
            return kind == _XGMI

        return linked_pairs(uuids, linked)

    def _known(self, ask: Callable[[], T]) -> T | None:
        """An answer, or None where this GPU or this driver has none."""
        try:
            return ask()
        except self.smi.AmdSmiException:
            return None

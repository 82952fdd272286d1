import sys
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_inferbench.devices import amd
from pytest_inferbench.devices.survey import Survey
from pytest_inferbench.devices.usage import GpuProcess, Usage

GIB = 1024**3


class AmdSmiException(Exception):
    """As in amdsmi."""


class FakeAmdSmi:
    """Answers like amdsmi for a node of MI300X; the handle of a GPU is its index. ``start`` is raised at the beginning."""

    AmdSmiException = AmdSmiException
    AmdSmiMemoryType = SimpleNamespace(VRAM=0)

    def __init__(self, *, start: Exception | None = None, activity: int | str = 0, dumb: tuple[str, ...] = ()) -> None:
        self.start = start
        self.activity = activity
        self.dumb = dumb
        self.sessions = 0

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("amdsmi_") and name in self.dumb:
            raise AmdSmiException("AMDSMI_STATUS_NOT_SUPPORTED")
        return super().__getattribute__(name)

    def amdsmi_init(self) -> None:
        if self.start is not None:
            raise self.start
        self.sessions += 1

    def amdsmi_shut_down(self) -> None:
        self.sessions -= 1

    def amdsmi_get_processor_handles(self) -> list[int]:
        return [0, 1]

    def amdsmi_get_gpu_driver_info(self, _: int) -> dict[str, str]:
        return {"driver_name": "amdgpu", "driver_version": "6.10.5", "driver_date": "N/A"}

    def amdsmi_get_gpu_device_uuid(self, handle: int) -> str:
        return f"{handle}aff74a1-0000-1000-80e0-a5ee4b3d0f1c"

    def amdsmi_get_gpu_asic_info(self, _: int) -> dict[str, str]:
        return {"market_name": "AMD Instinct MI300X", "vendor_name": "Advanced Micro Devices"}

    def amdsmi_get_gpu_memory_total(self, _: int, kind: int) -> int:
        assert kind == self.AmdSmiMemoryType.VRAM
        return 192 * GIB

    def amdsmi_get_gpu_memory_usage(self, handle: int, kind: int) -> int:
        assert kind == self.AmdSmiMemoryType.VRAM
        return 96 * GIB * handle

    def amdsmi_get_gpu_activity(self, _: int) -> dict[str, int | str]:
        return {"gfx_activity": self.activity, "umc_activity": 0, "mm_activity": "N/A"}

    def amdsmi_get_gpu_process_list(self, handle: int) -> list[dict[str, Any]]:
        return [
            {"name": "N/A", "pid": 8, "memory_usage": {"gtt_mem": 0, "cpu_mem": 0, "vram_mem": 0}},
            {"name": "python3", "pid": 9, "memory_usage": {"gtt_mem": 0, "cpu_mem": 0, "vram_mem": 96 * GIB * handle}},
        ]

    def amdsmi_topo_get_link_type(self, one: int, other: int) -> dict[str, int]:
        assert one != other
        return {"hops": 1, "type": 2}

    def amdsmi_get_gpu_device_bdf(self, handle: int) -> str:
        return f"0000:{handle}5:00.0"


def answer(fake: FakeAmdSmi) -> Survey:
    found = amd.survey(fake, topology=True)
    assert found is not None
    assert fake.sessions == 0
    return found


def test_gpus_their_links_and_users_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amd, "numa_of", {"0000:15:00.0": 1}.get)
    found = answer(FakeAmdSmi(activity=71))
    assert [(gpu.index, gpu.name, gpu.numa, gpu.vendor) for gpu in found.gpus] == [
        (0, "mi300x", None, "amd"),
        (1, "mi300x", 1, "amd"),
    ]
    assert found.gpus[0].memory_total_bytes == 192 * GIB
    assert found.driver == "6.10.5"
    assert found.links == {frozenset(gpu.uuid for gpu in found.gpus)}
    assert found.usages[found.gpus[0].uuid] == Usage(memory_used_bytes=0, utilization_percent=71.0)
    assert found.usages[found.gpus[1].uuid].processes == (GpuProcess(pid=9, name="python3"),)


def test_what_a_gpu_does_not_say_is_not_known() -> None:
    fake = FakeAmdSmi(
        activity="N/A",
        dumb=("amdsmi_get_gpu_memory_usage", "amdsmi_topo_get_link_type", "amdsmi_get_gpu_process_list"),
    )
    found = answer(fake)
    assert found.usages[found.gpus[1].uuid] == Usage()
    assert found.links == frozenset()


def test_a_gpu_without_a_uuid_is_trouble() -> None:
    found = answer(FakeAmdSmi(dumb=("amdsmi_get_gpu_device_uuid",)))
    assert found == Survey(trouble="amdsmi failed: AMDSMI_STATUS_NOT_SUPPORTED")


def test_a_machine_without_the_driver_has_no_answer() -> None:
    assert amd.survey(FakeAmdSmi(start=AmdSmiException("AMDSMI_STATUS_DRIVER_NOT_LOADED")), topology=True) is None


def test_the_package_is_imported_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeAmdSmi()
    monkeypatch.setitem(sys.modules, "amdsmi", fake)  # an object stands in for the module
    assert amd.library() is fake
    monkeypatch.setitem(sys.modules, "amdsmi", None)  # None: importing it fails
    assert amd.library() is None


def test_a_package_that_finds_no_driver_says_nothing(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "amdsmi.py").write_text("print('Unable to find libamd_smi.so')\n{}['libamd_smi.so']\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "amdsmi", raising=False)
    assert amd.library() is None
    assert capsys.readouterr().out == ""

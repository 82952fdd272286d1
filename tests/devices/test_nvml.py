import sys

import pytest

from pytest_inferbench.devices import nvml
from pytest_inferbench.devices.survey import Survey
from pytest_inferbench.devices.usage import GpuProcess, Usage
from tests.devices.recorded import (
    GIB,
    MIB,
    FakeNvml,
    NVMLError,
    NVMLError_LibraryNotFound,
    NVMLError_NotSupported,
    a100_mig,
    h100_x8,
    l4_busy,
)


def answer(fake: FakeNvml, *, topology: bool = True) -> Survey:
    found = nvml.survey(fake, topology=topology)
    assert found is not None
    assert fake.sessions == 0, "NVML is stopped as often as it is started"
    return found


def test_eight_gpus_behind_nvswitch() -> None:
    found = answer(FakeNvml(h100_x8()))
    assert [gpu.name for gpu in found.gpus] == ["h100"] * 8
    assert [gpu.index for gpu in found.gpus] == list(range(8))
    assert found.gpus[3].uuid == "GPU-3c2e4f6a-7b8d-4e1f-9a3c-5d6e7f8091a2"
    assert found.gpus[3].memory_total_bytes == 81559 * MIB
    assert found.driver == "570.86.15"
    assert found.trouble is None
    assert len(found.links) == 28
    assert frozenset({found.gpus[0].uuid, found.gpus[7].uuid}) in found.links
    assert found.usages[found.gpus[0].uuid] == Usage(memory_used_bytes=4 * MIB, utilization_percent=0.0)


def test_numa_nodes_are_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = {"00000000:1B:00.0": 0, "00000000:9D:00.0": 1}
    monkeypatch.setattr(nvml, "numa_of", nodes.get)
    found = answer(FakeNvml(h100_x8()))
    assert [found.gpus[index].numa for index in (0, 1, 4)] == [0, None, 1]


def test_links_are_asked_for_only_where_they_are_wanted() -> None:
    assert answer(FakeNvml(h100_x8()), topology=False).links == frozenset()


def test_a_gpu_in_slices_is_there_as_its_slices() -> None:
    found = answer(FakeNvml(a100_mig()))
    assert [(gpu.index, gpu.name) for gpu in found.gpus] == [(0, "a100-mig-3g.20gb"), (0, "a100-mig-1g.5gb"), (1, "a100-40gb")]
    assert found.gpus[0].uuid == "MIG-aaaa0000-1111-5222-8333-444455556666"
    assert found.gpus[0].label == "gpu 0 (MIG-aaaa0000-1111-5222-8333-444455556666)"
    assert found.gpus[1].memory_total_bytes == 4864 * MIB
    assert found.usages[found.gpus[0].uuid] == Usage(memory_used_bytes=13 * MIB)
    assert found.links == frozenset()


def test_a_gpu_that_is_to_be_cut_and_is_not_is_none() -> None:
    machine = a100_mig()
    machine.devices[0].slices = []
    assert [gpu.index for gpu in answer(FakeNvml(machine)).gpus] == [1]


def test_who_uses_a_gpu_is_named_without_arguments() -> None:
    found = answer(FakeNvml(l4_busy()))
    usages = [found.usages[gpu.uuid] for gpu in found.gpus]
    assert usages[1] == Usage(
        memory_used_bytes=18 * GIB, utilization_percent=0.0, processes=(GpuProcess(pid=4711, name="python"),)
    )
    assert usages[2].utilization_percent == 83.0


def test_a_process_that_must_not_be_seen_has_no_name() -> None:
    machine = l4_busy()
    machine.processes = {}
    found = answer(FakeNvml(machine))
    assert found.usages[found.gpus[1].uuid].processes == (GpuProcess(pid=4711),)


def test_a_gpu_that_is_lost_is_named_and_hides_no_other() -> None:
    machine = h100_x8()
    machine.devices[3].lost = True
    found = answer(FakeNvml(machine))
    assert [gpu.index for gpu in found.gpus] == [0, 1, 2, 4, 5, 6, 7]
    assert found.trouble == "gpu 3: GPU is lost"
    assert len(found.links) == 21


def test_what_a_gpu_does_not_say_is_not_known() -> None:
    machine = l4_busy()
    machine.devices[0].memory_used_bytes = NVMLError_NotSupported()
    found = answer(FakeNvml(machine))
    assert found.gpus[0].memory_total_bytes is None
    assert found.usages[found.gpus[0].uuid] == Usage(utilization_percent=0.0)


def test_an_old_driver_answers_with_less() -> None:
    found = answer(FakeNvml(h100_x8(), old=True))
    assert [gpu.name for gpu in found.gpus] == ["h100"] * 8
    assert found.gpus[0].memory_total_bytes == 81559 * MIB
    assert found.driver == "570.86.15"
    assert found.links == frozenset()


def test_a_machine_without_nvml_has_no_answer() -> None:
    assert nvml.survey(FakeNvml(l4_busy(), start=NVMLError_LibraryNotFound()), topology=True) is None


def test_a_driver_that_does_not_start_is_trouble() -> None:
    found = answer(FakeNvml(l4_busy(), start=NVMLError("Driver/library version mismatch")))
    assert found == Survey(trouble="NVML could not be started: Driver/library version mismatch")


def test_a_driver_that_fails_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: FakeNvml) -> int:
        raise NVMLError("Unknown Error")

    monkeypatch.setattr(FakeNvml, "nvmlDeviceGetCount", fails)
    assert answer(FakeNvml(l4_busy())) == Survey(trouble="NVML failed: Unknown Error")


def test_the_package_is_imported_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNvml(l4_busy())
    monkeypatch.setitem(sys.modules, "pynvml", fake)  # an object stands in for the module
    assert nvml.library() is fake
    monkeypatch.setitem(sys.modules, "pynvml", None)  # None: importing it fails
    assert nvml.library() is None


def test_the_real_package_has_all_that_is_asked_of_it() -> None:
    pynvml = pytest.importorskip("pynvml", reason="needs nvidia-ml-py")
    asked = [name for name in vars(FakeNvml) if name.startswith(("nvml", "NVML"))]
    assert len(asked) > 15
    assert [name for name in asked if not hasattr(pynvml, name)] == []
    assert pynvml.NVML_P2P_CAPS_INDEX_NVLINK == FakeNvml.NVML_P2P_CAPS_INDEX_NVLINK
    assert pynvml.NVML_DEVICE_MIG_ENABLE == FakeNvml.NVML_DEVICE_MIG_ENABLE
    assert pynvml.nvmlMemory_v2 == FakeNvml.nvmlMemory_v2

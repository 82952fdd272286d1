import subprocess
from functools import partial
from typing import Any

import pytest

from pytest_inferbench.devices import nvidia_smi
from pytest_inferbench.devices.nvidia_smi import GPUS, PROCESSES, SLICES, TOPOLOGY
from pytest_inferbench.devices.survey import Survey
from pytest_inferbench.devices.usage import GpuProcess, Usage
from pytest_inferbench.errors import DeviceError

MIB = 1024**2
TWO_A100 = (
    "0, GPU-a0, NVIDIA A100-SXM4-40GB, 40960, 87, 0, 535.183.01, 00000000:00:04.0, Enabled\n"
    "1, GPU-a1, NVIDIA A100-SXM4-40GB, 40960, 30210, 97, 535.183.01, 00000000:00:05.0, Disabled\n"
)
BUSY = "GPU-a1, 4711, /usr/bin/python3\nGPU-a1, 4712, [Not Found]\nGPU-a1, [N/A], x\n\n"
LISTING = (
    "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-a0)\n"
    "  MIG 3g.20gb     Device  0: (UUID: MIG-aaaa)\n"
    "  MIG 1g.5gb      Device  1: (UUID: MIG-bbbb)\n"
    "GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-a1)\n"
)
MATRIX = (
    "\t\x1b[4mGPU0\tGPU1\tNIC0\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\x1b[0m\n"
    "GPU0\t X \tNV12\tSYS\t0-63\t0\t\tN/A\n"
    "GPU1\tNV12\t X \tSYS\t0-63\t0\t\tN/A\n"
    "NIC0\tSYS\tSYS\t X\n\nLegend:\n  X    = Self\n"
)
ANSWERS = {GPUS: TWO_A100, PROCESSES: BUSY, SLICES: LISTING, TOPOLOGY: MATRIX}


def answer(**changed: str) -> Survey | None:
    return nvidia_smi.survey(lambda argv: changed.get(argv[1].strip("-").partition("=")[0], ANSWERS[argv]), topology=True)


def test_gpus_slices_links_and_users_are_read() -> None:
    found = answer()
    assert found is not None
    assert [(gpu.index, gpu.uuid, gpu.name) for gpu in found.gpus] == [
        (1, "GPU-a1", "a100-40gb"),
        (0, "MIG-aaaa", "a100-mig-3g.20gb"),
        (0, "MIG-bbbb", "a100-mig-1g.5gb"),
    ]
    assert found.gpus[0].memory_total_bytes == 40960 * MIB
    assert found.gpus[1].memory_total_bytes is None
    assert found.driver == "535.183.01"
    assert found.links == {frozenset({"GPU-a0", "GPU-a1"})}
    assert found.usages["GPU-a1"] == Usage(
        memory_used_bytes=30210 * MIB,
        utilization_percent=97.0,
        processes=(GpuProcess(pid=4711, name="python3"), GpuProcess(pid=4712)),
    )


def test_what_a_gpu_does_not_say_is_not_known() -> None:
    found = answer(**{"query-gpu": "0, GPU-x, NVIDIA L4, [N/A], [N/A], [N/A], 1, 00000000:00:04.0, [N/A]\n"})
    assert found is not None
    assert found.gpus[0].memory_total_bytes is None
    assert found.usages == {"GPU-x": Usage()}


@pytest.mark.parametrize("words", ["", "No devices were found\n"])
def test_a_driver_without_gpus_has_none(words: str) -> None:
    assert answer(**{"query-gpu": words}) == Survey()


def test_a_matrix_that_says_nothing_has_no_links() -> None:
    found = answer(topo="")
    assert found is not None
    assert found.links == frozenset()


def test_only_pairs_with_nvlink_are_linked() -> None:
    matrix = "GPU0 X NV1 SYS PHB\nGPU1 NV1 X PIX SYS\nGPU2 SYS PIX X NV4\nGPU3 PHB SYS NV4 X\n"
    uuids = {str(index): f"u{index}" for index in range(4)}
    assert nvidia_smi.links_of(matrix, uuids) == {frozenset({"u0", "u1"}), frozenset({"u2", "u3"})}


def answering(**answer: Any) -> Any:
    return lambda argv, **_: subprocess.CompletedProcess(argv, **{"returncode": 0, "stdout": "", "stderr": "", **answer})


def test_a_failing_tool_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    words = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n"
    monkeypatch.setattr(subprocess, "run", answering(returncode=9, stdout=words))
    found = nvidia_smi.survey(partial(nvidia_smi.asked, limit_s=1), topology=True)
    assert found == Survey(trouble=f"nvidia-smi failed with exit code 9: {words.strip()}")


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (subprocess.TimeoutExpired("nvidia-smi", 2), "nvidia-smi did not answer within 2 s"),
        (PermissionError(13, "Permission denied"), "nvidia-smi could not be run: Permission denied"),
    ],
)
def test_a_tool_that_cannot_be_asked_is_trouble(monkeypatch: pytest.MonkeyPatch, error: Exception, trouble: str) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(DeviceError) as raised:
        nvidia_smi.asked(GPUS, limit_s=2)
    assert str(raised.value) == trouble


def test_a_machine_without_the_tool_has_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", fail)
    assert nvidia_smi.survey(partial(nvidia_smi.asked, limit_s=2), topology=True) is None


def test_the_tools_own_words_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", answering(stdout=TWO_A100))
    assert nvidia_smi.asked(GPUS, limit_s=2) == TWO_A100

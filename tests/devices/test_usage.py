from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.devices.usage import GpuProcess, Usage, busy_reason, named, program

GIB = 1024**3
GPU = Gpu(index=3, uuid="GPU-3", name="h100", memory_total_bytes=80 * GIB)
PYTHON = GpuProcess(pid=4711, name="python")


@pytest.mark.parametrize(
    ("usage", "reason"),
    [
        (Usage(), None),
        (Usage(memory_used_bytes=8 * GIB, utilization_percent=10.0), None),
        (Usage(memory_used_bytes=8 * GIB + 1), "8.0 GiB in use"),
        (Usage(memory_used_bytes=71 * GIB, processes=(PYTHON,)), "71.0 GiB in use by process 4711 (python)"),
        (Usage(memory_used_bytes=GIB, processes=(PYTHON,)), "1.0 GiB in use by process 4711 (python)"),
        (Usage(memory_used_bytes=GIB, utilization_percent=11.0), "11 % busy"),
        (Usage(utilization_percent=90.0, processes=(GpuProcess(pid=7),)), "90 % busy by process 7"),
        (Usage(processes=(PYTHON,)), "in use by process 4711 (python)"),
        (Usage(memory_used_bytes=GIB, processes=(GpuProcess(pid=1, name="nvidia-cuda-mps-server"),)), None),
    ],
)
def test_a_gpu_that_somebody_uses_is_left_alone(usage: Usage, reason: str | None) -> None:
    assert busy_reason(GPU, usage) == reason


def test_of_a_gpu_whose_size_is_not_known_only_work_tells() -> None:
    unknown = replace(GPU, memory_total_bytes=None)
    assert busy_reason(unknown, Usage(memory_used_bytes=71 * GIB)) is None
    assert busy_reason(unknown, Usage(memory_used_bytes=71 * GIB, processes=(PYTHON,))) is not None


def test_many_processes_are_counted() -> None:
    many = tuple(GpuProcess(pid=pid) for pid in range(1, 6))
    assert named(many) == "processes 1, 2, 3 and 2 more"
    assert named(many[:2]) == "processes 1, 2"


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/usr/bin/python3", "python3"),
        ("python serve.py --api-key secret", "python"),
        ("\x1b[31mred", "?[31mred"),
        ("[Not Found]", None),
        ("", None),
        (" ", None),
    ],
)
def test_a_program_is_named_without_folder_and_arguments(command: str, name: str | None) -> None:
    assert program(command) == name


@given(st.text())
def test_no_name_of_a_program_can_break_a_terminal(command: str) -> None:
    assert (program(command) or "").isprintable()

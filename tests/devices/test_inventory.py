import subprocess
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.case import Case, EngineSpec, Lengths, Load, Traffic
from pytest_inferbench.cases.catalogue import Hardware, register_hardware
from pytest_inferbench.devices import inventory

CASE = Case(
    id="h100-vllm-m-tp2-d1x1-c1",
    suite="s",
    hardware="h100",
    engine=EngineSpec(name="vllm"),
    model="m",
    tensor_parallel=2,
    traffic=Traffic(
        text="D(1,1)",
        input_tokens=Lengths(kind="fixed", first=1),
        output_tokens=Lengths(kind="fixed", first=1),
    ),
    load=Load(concurrency=1),
)


@pytest.mark.parametrize(
    ("product", "memory_mib", "name"),
    [
        ("NVIDIA H100 80GB HBM3", 81559, "h100"),
        ("NVIDIA H100 PCIe", 81559, "h100"),
        ("NVIDIA H100 NVL", 95830, "h100"),
        ("NVIDIA H200", 143771, "h200"),
        ("NVIDIA B200", 183359, "b200"),
        ("NVIDIA A100-SXM4-80GB", 81920, "a100-80gb"),
        ("NVIDIA A100 80GB PCIe", 81920, "a100-80gb"),
        ("NVIDIA A100-SXM4-40GB", 40960, "a100-40gb"),
        ("A100-PCIE-40GB", 40536, "a100-40gb"),
        ("NVIDIA A100-SXM", 81251, "a100-80gb"),
        ("NVIDIA L4", 23034, "l4"),
        ("NVIDIA L40S", 46068, "l40s"),
        ("NVIDIA A10", 23028, "a10"),
        ("NVIDIA A10G", 23028, "a10g"),
        ("Tesla T4", 15360, "t4"),
        ("Tesla V100-SXM2-16GB", 16160, "v100-16gb"),
        ("Tesla V100-SXM2-32GB", 32510, "v100-32gb"),
        ("NVIDIA GeForce RTX 4090", 24564, "rtx-4090"),
        ("NVIDIA RTX 6000 Ada Generation", 49140, "rtx-6000-ada"),
        ("NVIDIA Graphics Device", None, "unknown"),
    ],
)
def test_product_names_become_the_names_of_suites(product: str, memory_mib: int | None, name: str) -> None:
    assert inventory.normalised(product, memory_mib=memory_mib) == name


@pytest.mark.parametrize("name", ["cpu", "h100", "h200", "b200", "a100-80gb", "a100-40gb", "l4", "l40s", "a10", "mi300x"])
def test_a_normal_name_stays_as_it_is(name: str) -> None:
    assert inventory.normalised(name) == name
    assert inventory.normalised(name.upper()) == name


@given(st.text(max_size=60))
def test_any_product_name_has_a_normal_form_that_is_stable(product: str) -> None:
    name = inventory.normalised(product)
    assert name
    assert inventory.normalised(name) == name


def test_every_line_of_an_answer_is_a_gpu() -> None:
    answer = "NVIDIA H100 80GB HBM3, 81559\nNVIDIA H100 80GB HBM3, 81559\nNVIDIA A100-SXM4-40GB, [N/A]\n\n"
    assert inventory.nvidia_names(answer) == ("h100", "h100", "a100-40gb")


def test_a_cpu_case_runs_anywhere_and_with_any_tensor_parallel_size() -> None:
    assert inventory.missing(replace(CASE, hardware="cpu", tensor_parallel=4), ("cpu",)) is None


def test_a_gpu_case_runs_where_enough_of_that_gpu_are_there() -> None:
    assert inventory.missing(CASE, ("cpu", "h100", "h100")) is None
    assert inventory.missing(replace(CASE, hardware="H100"), ("cpu", "h100", "h100")) is None


def test_what_is_missing_is_said_with_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "cores", lambda: 2)
    assert inventory.missing(CASE, ("cpu",)) == "needs 2 x h100; found: cpu (2 cores)"
    assert inventory.missing(CASE, ("cpu", "h100", "l4", "l4")) == "needs 2 x h100; found: cpu (2 cores), 1 x h100, 2 x l4"
    monkeypatch.setattr(inventory, "cores", lambda: 1)
    assert inventory.missing(CASE, ("cpu",), trouble="nvidia-smi did not answer within 10 s") == (
        "needs 2 x h100; found: cpu (1 core) (nvidia-smi did not answer within 10 s)"
    )


def answering(**answer: Any) -> Any:
    return lambda argv, **_: subprocess.CompletedProcess(argv, **{"returncode": 0, "stdout": "", "stderr": "", **answer})


def test_gpus_are_found_with_nvidia_smi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", answering(stdout="NVIDIA L4, 23034\n"))
    assert inventory.detect(limit_s=1) == inventory.Inventory(names=("cpu", "l4"))


def test_a_broken_driver_is_named_and_leaves_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    words = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n"
    monkeypatch.setattr(subprocess, "run", answering(returncode=9, stdout=words))
    broken = inventory.detect(limit_s=1)
    assert broken.names == ("cpu",)
    assert broken.trouble == f"nvidia-smi failed with exit code 9: {words.strip()}"


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (FileNotFoundError(), None),
        (subprocess.TimeoutExpired("nvidia-smi", 2), "nvidia-smi did not answer within 2 s"),
        (PermissionError(13, "Permission denied"), "nvidia-smi could not be run: Permission denied"),
    ],
)
def test_a_tool_that_cannot_be_asked_leaves_the_cpu(
    monkeypatch: pytest.MonkeyPatch, error: Exception, trouble: str | None
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(subprocess, "run", fail)
    assert inventory.detect(limit_s=2) == inventory.Inventory(names=("cpu",), trouble=trouble)


def test_the_machine_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def detect(*, limit_s: float) -> inventory.Inventory:
        asked.append(limit_s)
        return inventory.Inventory(names=("cpu", "l4"), trouble="one of them")

    monkeypatch.setattr(inventory, "detect", detect)
    inventory.detected.cache_clear()
    try:
        assert inventory.found() == inventory.found() == ("cpu", "l4")
        assert (inventory.skip_reason(CASE) or "").endswith("1 x l4 (one of them)")
    finally:
        inventory.detected.cache_clear()
    assert asked == [inventory.NVIDIA_SMI_LIMIT_S]


def test_a_product_that_a_user_registered_has_the_users_name() -> None:
    register_hardware(Hardware(name="lab-card", products=("Lab Prototype 7",)))
    assert inventory.nvidia_names("Lab Prototype 7, 1000\n") == ("lab-card",)

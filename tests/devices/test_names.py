import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases import catalogue
from pytest_inferbench.cases.catalogue import Hardware, register_hardware
from pytest_inferbench.devices.names import counted, normalised


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
        ("AMD Instinct MI300X", 196592, "mi300x"),
        ("AMD Instinct MI300X OAM", 196592, "mi300x"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", 9856, "h100-mig-1g.10gb"),
        ("NVIDIA A100-SXM4-40GB MIG 3g.20gb", 19968, "a100-mig-3g.20gb"),
        ("NVIDIA Graphics Device", None, "unknown"),
        ("GPU", None, "gpu"),
    ],
)
def test_product_names_become_the_names_of_suites(product: str, memory_mib: int | None, name: str) -> None:
    assert normalised(product, memory_mib=memory_mib) == name


@pytest.mark.parametrize(
    "name", ["cpu", "h100", "h200", "b200", "a100-80gb", "a100-40gb", "l4", "l40s", "a10", "mi300x", "h100-mig-1g.10gb"]
)
def test_a_normal_name_stays_as_it_is(name: str) -> None:
    assert normalised(name) == name
    assert normalised(name.upper()) == name


@given(st.text(max_size=60))
def test_any_product_name_has_a_normal_form_that_is_stable(product: str) -> None:
    name = normalised(product)
    assert name
    assert normalised(name) == name


def test_a_product_that_a_user_registered_has_the_users_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_HARDWARE", dict(catalogue._HARDWARE))
    register_hardware(Hardware(name="lab-card", products=("Lab Prototype 7",)))
    assert normalised("Lab Prototype 7", memory_mib=1000) == "lab-card"


def test_so_many_of_a_hardware_are_said_as_people_say_it() -> None:
    assert [counted("H100", 2), counted("gpu", 1), counted("gpu", 2)] == ["2 x h100", "a GPU of any kind", "2 GPUs of one kind"]

import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.case import Case, EngineSpec, Lengths, Load, Traffic
from pytest_inferbench.devices import amd, inventory, nvml
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.devices.gpu_lease import GpusWanted, Host, lease_gpus
from pytest_inferbench.devices.inventory import Inventory
from pytest_inferbench.devices.survey import Survey
from pytest_inferbench.errors import ConfigError
from tests.devices.recorded import FakeNvml, Machine, NVMLError, NVMLError_LibraryNotFound, a100_mig, h100_x8, l4_busy

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
TWO_H100 = Inventory(gpus=tuple(Gpu(index=index, uuid=f"GPU-{index}", name="h100") for index in range(2)))


@pytest.fixture(autouse=True)
def _bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No drivers, no leases but those of the test, and nothing remembered."""
    for name in ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(nvml, "library", lambda: None)
    monkeypatch.setattr(amd, "library", lambda: None)
    monkeypatch.setattr(subprocess, "run", raising(FileNotFoundError()))
    monkeypatch.setattr(inventory, "shared_folder", lambda: tmp_path)
    inventory._of_this_machine.cache_clear()
    yield
    inventory.use(None)
    inventory._of_this_machine.cache_clear()


def raising(error: Exception) -> Any:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def with_nvml(monkeypatch: pytest.MonkeyPatch, machine: Machine, **how: Any) -> FakeNvml:
    fake = FakeNvml(machine, **how)
    monkeypatch.setattr(nvml, "library", lambda: fake)
    return fake


def test_a_cpu_case_runs_anywhere_and_with_any_tensor_parallel_size() -> None:
    assert inventory.missing(replace(CASE, hardware="cpu", tensor_parallel=4), Inventory()) is None


def test_a_cpu_case_asks_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "detect", raising(AssertionError("asked")))
    assert inventory.skip_reason(replace(CASE, hardware="cpu")) is None


def test_a_gpu_case_runs_where_enough_of_that_gpu_are_there() -> None:
    assert inventory.missing(CASE, TWO_H100) is None
    assert inventory.missing(replace(CASE, hardware="H100"), TWO_H100) is None


def test_what_is_missing_is_said_with_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "cores", lambda: 2)
    assert inventory.missing(CASE, Inventory()) == "needs 2 x h100; found: cpu (2 cores)"
    assert inventory.missing(CASE, inventory.declared("1xh100+2xl4")) == (
        "needs 2 x h100; declared: cpu (2 cores), 1 x h100, 2 x l4"
    )
    monkeypatch.setattr(inventory, "cores", lambda: 1)
    assert inventory.missing(CASE, Inventory(trouble="nvidia-smi did not answer within 10 s")) == (
        "needs 2 x h100; found: cpu (1 core) (nvidia-smi did not answer within 10 s)"
    )


def test_where_any_gpu_will_do_all_of_a_server_are_of_one_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "cores", lambda: 2)
    case = replace(CASE, hardware="gpu")
    assert inventory.missing(case, inventory.declared("1xh100+2xl4")) is None
    assert inventory.missing(case, inventory.declared("1xh100+1xl4")) == (
        "needs 2 GPUs of one kind; declared: cpu (2 cores), 1 x h100, 1 x l4"
    )
    assert inventory.missing(replace(case, tensor_parallel=1), Inventory()) == "needs a GPU of any kind; found: cpu (2 cores)"
    assert inventory.declared("1xh100+2xl4").kinds("GPU") == ("h100", "l4")
    with pytest.raises(ConfigError, match="gpu is any kind of GPU; declare which, such as 8xh100"):
        inventory.declared("2xgpu")


def test_gpus_that_others_use_do_not_count_and_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "cores", lambda: 2)
    with_nvml(monkeypatch, l4_busy())
    case = replace(CASE, hardware="l4")
    assert inventory.skip_reason(replace(case, tensor_parallel=1)) is None
    assert inventory.skip_reason(case) == (
        "needs 2 x l4; found: cpu (2 cores), 3 x l4; busy, and left alone: "
        "gpu 1: 18.0 GiB in use by process 4711 (python), gpu 2: 83 % busy"
    )
    assert [gpu.index for gpu in inventory.detected().free] == [0]


def test_a_gpu_of_somebody_elses_lease_is_not_busy_but_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine = l4_busy()
    with_nvml(monkeypatch, machine)
    found = inventory.detect(limit_s=5)
    assert len(found.busy) == 2
    with lease_gpus(found, GpusWanted(hardware="l4", count=1), timeout_s=5, host=Host(folder=tmp_path, usages=dict)) as lease:
        machine.devices[lease.gpus[0].index].percent = 99
        assert lease.gpus[0].uuid not in dict(inventory.detect(limit_s=5).busy)
    assert lease.gpus[0].uuid in dict(inventory.detect(limit_s=5).busy)


def test_nvml_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = with_nvml(monkeypatch, h100_x8())
    found = inventory.detect(limit_s=5)
    assert found.names == ("cpu", *["h100"] * 8)
    assert len(found.links) == 28
    assert (found.driver, found.trouble, found.declared, found.busy) == ("570.86.15", None, False, ())
    assert fake.started == 1


def test_nvidia_smi_is_asked_where_there_is_no_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    with_nvml(monkeypatch, h100_x8(), start=NVMLError_LibraryNotFound())
    answer = subprocess.CompletedProcess((), 0, "0, GPU-l, NVIDIA L4, 23034, 1, 0, 550.1, 00000000:00:04.0, [N/A]\n", "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
    found = inventory.detect(limit_s=1)
    assert found.names == ("cpu", "l4")
    assert found.driver == "550.1"


def test_a_broken_driver_is_named_and_leaves_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    with_nvml(monkeypatch, h100_x8(), start=NVMLError("Driver/library version mismatch"))
    assert inventory.detect(limit_s=5) == Inventory(trouble="NVML could not be started: Driver/library version mismatch")


def test_a_driver_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = with_nvml(monkeypatch, h100_x8())
    hang = threading.Event()
    monkeypatch.setattr(fake, "nvmlInit", lambda: hang.wait(30))
    assert inventory.detect(limit_s=0.1).trouble == "NVML did not answer within 0.1 s"
    hang.set()


def test_a_mistake_of_ours_is_not_taken_for_a_driver_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = with_nvml(monkeypatch, h100_x8())
    monkeypatch.setattr(fake, "nvmlInit", raising(ZeroDivisionError("by zero")))
    with pytest.raises(ZeroDivisionError):
        inventory.detect(limit_s=5)


def test_a_machine_without_drivers_has_a_cpu() -> None:
    assert inventory.detect(limit_s=1) == Inventory()
    assert Inventory().names == ("cpu",)


def test_gpus_of_two_vendors_are_one_inventory(monkeypatch: pytest.MonkeyPatch) -> None:
    with_nvml(monkeypatch, a100_mig())
    mi300x = Gpu(index=0, uuid="0aff", name="mi300x", vendor="amd")
    monkeypatch.setattr(amd, "library", object)
    monkeypatch.setattr(amd, "survey", lambda *_, **__: Survey(gpus=(mi300x,), driver="6.10.5", trouble="one is hot"))
    found = inventory.detect(limit_s=5)
    assert found.names == ("cpu", "a100-mig-3g.20gb", "a100-mig-1g.5gb", "a100-40gb", "mi300x")
    assert found.driver == "535.183.01, 6.10.5"
    assert found.trouble == "one is hot"
    assert found.of("MI300X") == (mi300x,)


def test_only_the_gpus_of_this_process_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with_nvml(monkeypatch, h100_x8())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    found = inventory.detect(limit_s=5)
    assert [gpu.index for gpu in found.gpus] == [4, 5, 6]
    assert len(found.links) == 3


def test_the_machine_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def detect(*, limit_s: float) -> Inventory:
        asked.append(limit_s)
        return TWO_H100

    monkeypatch.setattr(inventory, "detect", detect)
    assert inventory.found() == inventory.found() == ("cpu", "h100", "h100")
    assert inventory.skip_reason(CASE) is None
    assert asked == [inventory.DRIVER_LIMIT_S]


def test_a_declared_inventory_takes_the_machines_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "detect", raising(AssertionError("asked")))
    inventory.use(inventory.declared("2xh100"))
    assert inventory.skip_reason(CASE) is None
    assert inventory.found() == ("cpu", "h100", "h100")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("8xh100", ["h100"] * 8),
        ("1xH100+2xl4", ["h100", "l4", "l4"]),
        (" 2 x a100-80gb ", ["a100-80gb"] * 2),
        ("1*mi300x", ["mi300x"]),
        ("2xh100-mig-1g.10gb", ["h100-mig-1g.10gb"] * 2),
    ],
)
def test_gpus_are_declared_in_a_few_words(text: str, names: list[str]) -> None:
    found = inventory.declared(text)
    assert [gpu.name for gpu in found.gpus] == names
    assert [gpu.uuid for gpu in found.gpus] == [f"declared-{name}-{names[:at].count(name)}" for at, name in enumerate(names)]
    assert [gpu.index for gpu in found.gpus] == list(range(len(names)))
    assert found.declared
    assert all(gpu.declared for gpu in found.gpus)


def test_different_inventories_share_what_is_in_both_and_nothing_else() -> None:
    one, other = inventory.declared("2xh100+1xl4"), inventory.declared("1xl4+1xh100+1xl4")
    assert {gpu.uuid for gpu in one.gpus} & {gpu.uuid for gpu in other.gpus} == {"declared-h100-0", "declared-l4-0"}


def test_a_declared_gpu_has_the_memory_of_its_kind() -> None:
    assert inventory.declared("1xl4").gpus[0].memory_total_bytes == 24 * 1024**3


@pytest.mark.parametrize("text", ["", "h100", "8", "8x", "0xh100", "-1xh100", "8xh100+", "1025xh100", "1000xh100+25xl4"])
def test_what_is_no_declaration_is_named_with_one_that_is(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        inventory.declared(text)
    assert str(error.value) == f"{text!r} is no inventory; write how many of which GPU, such as 8xh100 or 4xh100+2xl4"


def test_hardware_that_nobody_knows_is_not_declared() -> None:
    with pytest.raises(ConfigError, match=r"'h1000' is not a known hardware \(did you mean 'h100'\?\)"):
        inventory.declared("8xh1000")
    with pytest.raises(ConfigError, match="cpu need not be declared: every machine has one; write GPUs, such as 8xh100"):
        inventory.declared("2xcpu")

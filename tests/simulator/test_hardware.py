"""Accelerators: what suites may name can be simulated, and both catalogues say the same of it."""

from __future__ import annotations

import pytest

from pytest_inferbench.cases.catalogue import hardware_of
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.simulator.hardware import accelerator, accelerator_names

SHIPPED = ("cpu", "h100", "h200", "b200", "a100-80gb", "a100-40gb", "l4", "l40s", "a10", "mi300x")
GPUS = tuple(name for name in SHIPPED if name != "cpu")


def test_every_hardware_that_suites_may_name_can_be_simulated() -> None:
    assert sorted(SHIPPED) == sorted(accelerator_names())


@pytest.mark.parametrize("name", GPUS)
def test_memory_and_product_are_those_of_the_catalogue_of_suites(name: str) -> None:
    known, simulated = hardware_of(name), accelerator(name)
    assert simulated.product in known.products
    assert known.memory_gib is not None
    # A driver reports a little less than the gigabytes that are sold.
    assert 0.92 * known.memory_gib * 1e9 <= simulated.memory_bytes <= known.memory_gib * 2**30


@pytest.mark.parametrize("name", SHIPPED)
def test_figures_are_whole_and_say_where_they_stand(name: str) -> None:
    entry = accelerator(name)
    assert entry.source
    assert entry.flops_per_s["bf16"] <= entry.flops_per_s.get("fp8", entry.flops_per_s["bf16"])
    assert entry.flops_per_s.get("fp8", 0) <= entry.flops_per_s.get("fp4", float("inf"))
    assert 0 < entry.link_bytes_per_s < entry.bandwidth_bytes_per_s
    assert 0 < entry.link_latency_s < 1e-4
    assert 0 < entry.power_idle_w < entry.power_max_w
    assert entry.clock_mhz > 0


@pytest.mark.parametrize("name", GPUS)
def test_the_source_of_a_gpu_can_be_looked_up(name: str) -> None:
    assert "https://" in accelerator(name).source


def test_peaks_are_dense() -> None:
    assert accelerator("h100").flops_per_s["fp8"] == 1979e12
    assert accelerator("l4").flops_per_s["fp8"] == 242.5e12


def test_what_a_gpu_cannot_compute_in_is_not_there() -> None:
    assert "fp8" not in accelerator("a100-80gb").flops_per_s
    assert "fp4" not in accelerator("h200").flops_per_s


def test_capitals_and_blanks_do_not_matter() -> None:
    assert accelerator(" H100 ") is accelerator("h100")


def test_an_unknown_accelerator_is_answered_with_a_near_one_and_all_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        accelerator("h10")
    assert str(caught.value) == (
        "'h10' cannot be simulated (did you mean 'h100'?); "
        "known: h100, h200, b200, a100-80gb, a100-40gb, l4, l40s, a10, mi300x, cpu"
    )


def test_a_slice_has_its_part_of_the_gpu() -> None:
    whole, part = accelerator("h100"), accelerator("h100-mig-3g.40gb")
    assert part.name == "h100-mig-3g.40gb"
    assert part.memory_bytes == 40 * 2**30
    assert part.flops_per_s["fp8"] == pytest.approx(whole.flops_per_s["fp8"] * 3 / 7)
    assert part.bandwidth_bytes_per_s == pytest.approx(whole.bandwidth_bytes_per_s / 2)


def test_a_slice_of_an_unknown_gpu_is_unknown() -> None:
    with pytest.raises(ConfigError, match=r"^'h300-mig-1g\.10gb' cannot be simulated"):
        accelerator("h300-mig-1g.10gb")

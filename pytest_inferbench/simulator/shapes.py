"""
Shapes of models by name: of the catalogue, of the hub, or of a ``config.json`` on this machine.

Rule: what is kept (``models.json``) are fields of the models' own ``config.json``; everything else is computed from them
(`model_config`). Variants of a model that differ in how weights are stored only, such as ``...-FP8``, are the same model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pytest_inferbench.cases import catalogue
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.simulator.deployment import ModelShape
from pytest_inferbench.simulator.model_config import KV_BYTES, model_shape

# What a name may end in without being another shape; those that say how weights are stored come with their dtype.
_STORED = {
    "fp8": "fp8",
    "fp8-dynamic": "fp8",
    "fp8-kv": "fp8",
    "w8a8-fp8": "fp8",
    "quantized.w8a8": "int8",
    "int8": "int8",
    "gptq-int8": "int8",
    "gptq-int4": "int4",
    "quantized.w4a16": "int4",
    "awq": "int4",
    "awq-int4": "int4",
    "gptq": "int4",
    "marlin": "int4",
    "int4": "int4",
    "nvfp4": "fp4",
    "fp4": "fp4",
    "mxfp4": "mxfp4",
}
_TUNED = (
    "instruct",
    "chat",
    "it",
    "base",
    "hf",
    "pt",
    "bf16",
    "gguf",
    # Weights that are zero are stored and read like others here, though kernels for sparse ones read fewer.
    "pruned50",
    "pruned2.4",
    "2501",
    "2507",
    "0324",
    "0528",
    "v0.1",
    "v0.2",
    "v0.3",
    "v1.0",
)
_GIVEN = ("meta-",)
# Hub names whose stem is that of no catalogue model, though their shape is.
_SAME_SHAPE = {
    "mistralai/mistral-7b-v0.1": "openhermes-2.5-mistral-7b",
    "mistralai/mistral-7b-instruct-v0.1": "openhermes-2.5-mistral-7b",
    "qwen/qwq-32b": "qwen2.5-32b",
    "deepseek-ai/deepseek-r1-distill-llama-8b": "llama-3.1-8b",
    "deepseek-ai/deepseek-r1-distill-llama-70b": "llama-3.1-70b",
    "meta-llama/meta-llama-3-70b-instruct": "llama-3.1-70b",
    "meta-llama/meta-llama-3-8b-instruct": "llama-3.1-8b",
}
_QUANTIZATIONS = {
    "fp8": "fp8",
    "fbgemm_fp8": "fp8",
    "awq": "int4",
    "awq_marlin": "int4",
    "gptq": "int4",
    "gptq_marlin": "int4",
    "eetq": "int8",
    "bitsandbytes": "int4",
    "bitsandbytes-nf4": "int4",
    "experts_int8": "int8",
    "w8a8_int8": "int8",
    "w8a8_fp8": "fp8",
    "mxfp4": "mxfp4",
    "nvfp4": "fp4",
    "modelopt": "fp8",
    "modelopt_fp4": "fp4",
}
_KV_DTYPES = {
    "fp8": "fp8",
    "fp8_e4m3": "fp8",
    "fp8_e5m2": "fp8",
    "int8": "int8",
    "bfloat16": "bf16",
    "float16": "bf16",
    "auto": "",
}
_HOW = "give the folder or path of its config.json"


def shape(name: str) -> ModelShape:
    """
    The shape of a model by catalogue name, hub name (capitals don't matter), or path of its ``config.json`` or its folder.

    Raises:
        ConfigError: the model is not known (names a near one, and says what to give), or the file is no decoder's config.
    """
    local = _local(name)
    if local is not None:
        return _read(local)
    known, stored = _known(name.strip().rstrip("/").lower())
    if known is None:
        near = catalogue.did_you_mean(name.lower(), [*_configs(), *(_hub(each).lower() for each in _configs())])
        others = "" if near else f", or one of: {', '.join(_configs())}"
        raise ConfigError(f"the shape of the model {name!r} is not known{near}; {_HOW}{others}")
    found = _shape_of(known)
    return replace(found, name=name, hub=name if "/" in name else found.hub, weight_dtype=stored or found.weight_dtype)


def shape_names() -> tuple[str, ...]:
    """Catalogue names whose shape is known."""
    return tuple(_configs())


def stored_as(model: ModelShape, options: Mapping[str, object]) -> ModelShape:
    """
    The model as an engine's own options (``quantization``, ``kv-cache-dtype``, with - or _) have it stored.

    Raises:
        ConfigError: an option names a way of storing that is not known.
    """
    given = {name.replace("_", "-"): str(value).lower() for name, value in options.items() if value is not None}
    stored, cached = given.get("quantization", given.get("quantize")), given.get("kv-cache-dtype")
    weight_dtype = _named(stored, _QUANTIZATIONS, field="quantization") or model.weight_dtype
    kv_dtype = _named(cached, _KV_DTYPES, field="kv-cache-dtype") or model.kv_dtype
    # A checkpoint that is stored in fewer bits already stays as it is.
    weight_dtype = weight_dtype if model.weight_dtype == "bf16" else model.weight_dtype
    scale = KV_BYTES[kv_dtype] / KV_BYTES[model.kv_dtype]
    return replace(model, weight_dtype=weight_dtype, kv_dtype=kv_dtype, kv_bytes_per_token=model.kv_bytes_per_token * scale)


def _named(value: str | None, names: Mapping[str, str], *, field: str) -> str:
    if value is None:
        return ""
    if value not in names:
        near = catalogue.did_you_mean(value, names)
        raise ConfigError(f"{value!r} cannot be simulated{near}; known: {', '.join(names)}", field=f"engine.args.{field}")
    return names[value]


# --- names ------------------------------------------------------------------------------------------------------------------


@cache
def _configs() -> dict[str, dict[str, Any]]:
    text = resources.files("pytest_inferbench.simulator").joinpath("models.json").read_text("utf-8")
    configs: dict[str, dict[str, Any]] = json.loads(text)
    return configs


@cache
def _shape_of(name: str) -> ModelShape:
    hub = _hub(name)
    return model_shape(name, hub=hub, fields=_configs()[name], source=f"config.json of {hub} on the Hugging Face hub")


def _hub(name: str) -> str:
    entry = catalogue.model_of(name)
    return name if entry is None else entry.hub


@cache
def _stems() -> dict[str, str]:
    """Catalogue name by stem, of the names themselves and of their names on the hub."""
    return {_stem(spelled)[0]: name for name in _configs() for spelled in (_hub(name).lower(), name)}


def _known(name: str) -> tuple[str | None, str]:
    """The catalogue name whose shape it is, and how weights are stored where the name says so."""
    if name in _SAME_SHAPE:
        return _SAME_SHAPE[name], ""
    entry = catalogue.model_of(name)
    spelled = name if entry is None or name in _configs() else entry.hub.lower()
    stem, stored = _stem(spelled)
    return _stems().get(stem), stored


def _stem(name: str) -> tuple[str, str]:
    """``llama-3.1-8b`` and ``fp8`` of ``redhatai/meta-llama-3.1-8b-instruct-fp8``."""
    stem, stored, before = name.rpartition("/")[2], "", ""
    for prefix in _GIVEN:
        stem = stem.removeprefix(prefix)
    while stem != before:
        before = stem
        for ending, dtype in _STORED.items():
            if stem.endswith(f"-{ending}"):
                stem, stored = stem.removesuffix(f"-{ending}"), stored or dtype
        for ending in _TUNED:
            stem = stem.removesuffix(f"-{ending}")
    return stem, stored


# --- files ------------------------------------------------------------------------------------------------------------------


def _local(name: str) -> Path | None:
    """The ``config.json`` that a path means; None where it is no path."""
    path = Path(name).expanduser()
    if path.is_dir():
        path = path / "config.json"
        if not path.is_file():
            raise ConfigError(f"has no config.json; {_HOW}", file=name)
        return path
    if path.is_file():
        return path
    if name.endswith(".json") or name.startswith(("/", "./", "../", "~")):
        if _known(name.rstrip("/").lower())[0] is not None:
            # Where the model lies in a container, or on the machine with the GPUs; its name says which it is.
            return None
        raise ConfigError(f"there is no such file; {_HOW}", file=name)
    return None


def _read(path: Path) -> ModelShape:
    try:
        fields = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"is no config.json that can be read: {error}", file=str(path)) from error
    if not isinstance(fields, dict):
        raise ConfigError("is no config.json: its top is no JSON object", file=str(path))
    name = path.parent.name if path.name == "config.json" else path.stem
    return model_shape(name, hub=str(path), fields=fields, source=str(path))

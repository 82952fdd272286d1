"""
How the engines batch unless they are told otherwise, and which of their options tell them.

Rule: limits and shares are facts of the engines, each with its source. Efficiencies and overheads are estimates, since no
document has them; whoever has measured puts in what came out. Those of TensorRT-LLM, and what `_near_peaks` says of vLLM on large
GPUs, were chosen on 14 published figures (the rows of docs/simulator.md that are marked *calibrated*), others' by analogy. What a
lone sequence gets was chosen by hand: of Llama 3.1 8B in bf16 on an H100 about 160 tokens a second from vLLM, and what a layer
with experts costs so that one of gpt-oss-120b and of Qwen3 235B on eight B200 comes near the 2.41 ms and 6.70 ms a token that
SGLang 0.5.8 took (https://gist.github.com/BenHamm/78563d0d0a08d7cb61b4737392633384, February 2026). Engines that cache by the
token (SGLang, TGI, llama.cpp) do so by 16 here, since a server that hashes every token of a prompt could not keep its own time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.simulator.deployment import Accelerator, Deployment, EngineProfile, ModelShape
from pytest_inferbench.simulator.engine_flags import FLAGS
from pytest_inferbench.simulator.shapes import stored_as

_GIB = 2**30
_GB = 1e9
_LIKE_VLLM = "efficiencies by analogy with vLLM, not held against this engine"

_VLLM = EngineProfile(
    name="vllm",
    max_batched_tokens=2048,
    max_running=256,
    block_tokens=16,
    memory_share=0.92,
    prefix_caching=True,
    chunked_prefill=True,
    compute_efficiency=0.60,
    bandwidth_efficiency=0.80,
    link_efficiency=0.70,
    step_overhead_s=250e-6,
    sequence_overhead_s=6e-6,
    layer_overhead_s=12e-6,
    mixture_overhead_s=18e-6,
    load_bytes_per_s=2 * _GB,
    start_s=45,
    source="vLLM 0.32: vllm/engine/arg_utils.py (2048 tokens, 256 sequences; more on larger GPUs), vllm/config/cache.py (0.92); "
    "efficiencies on H100 and MI300X chosen on published figures (docs/simulator.md), elsewhere estimated by analogy",
)
_LLAMACPP = EngineProfile(
    name="llamacpp",
    max_batched_tokens=2048,
    max_running=4,
    block_tokens=16,
    memory_share=1.0,
    prefix_caching=True,
    chunked_prefill=True,
    compute_efficiency=0.35,
    bandwidth_efficiency=0.65,
    link_efficiency=0.50,
    step_overhead_s=150e-6,
    sequence_overhead_s=20e-6,
    layer_overhead_s=10e-6,
    mixture_overhead_s=20e-6,
    load_bytes_per_s=2 * _GB,
    start_s=2,
    reserves_answers=True,
    share_of="free",
    cache_tokens=8192,
    source="llama.cpp: tools/server/README.md (batch 2048, cells of the cache set aside at start); 4 slots and 8192 "
    "tokens in all, as this project starts it",
)
_TRTLLM = replace(
    _VLLM,
    name="trtllm",
    max_batched_tokens=8192,
    max_running=2048,
    block_tokens=32,
    memory_share=0.90,
    chunked_prefill=False,
    compute_efficiency=0.58,
    bandwidth_efficiency=0.84,
    link_efficiency=0.41,
    step_overhead_s=350e-6,
    sequence_overhead_s=5.3e-6,
    layer_overhead_s=8e-6,
    mixture_overhead_s=14e-6,
    start_s=90,
    reserves_answers=True,
    share_of="free",
    source="TensorRT-LLM: trtllm-serve's defaults (BuildConfig: 2048 requests, 8192 tokens; chunked prefill off), KvCacheConfig "
    "(0.9 of the free memory, blocks of 32, reuse on), scheduler GUARANTEED_NO_EVICT (docs, useful runtime options); "
    "efficiencies chosen on its published throughput on H100 (docs/simulator.md), on other GPUs the same by analogy",
)
_PROFILES = {
    entry.name: entry
    for entry in (
        _VLLM,
        replace(
            _VLLM,
            name="sglang",
            max_batched_tokens=4096,
            max_running=2048,
            block_tokens=16,
            memory_share=0.88,
            mixed_steps=False,
            share_of="static",
            start_s=40,
            source="SGLang: python/sglang/srt/server_args.py (chunked_prefill_size and mem_fraction_static by the GPU's memory, "
            f"radix cache on, enable_mixed_chunk off; 2048 sequences); {_LIKE_VLLM}",
        ),
        replace(
            _VLLM,
            name="tgi",
            max_batched_tokens=4096,
            max_running=128,
            block_tokens=16,
            memory_share=1.0,
            compute_efficiency=0.50,
            bandwidth_efficiency=0.75,
            step_overhead_s=600e-6,
            mixed_steps=False,
            reserves_answers=True,
            start_s=30,
            source="text-generation-inference: docs/source/reference/launcher.md (128 concurrent requests, memory fraction 1.0, "
            f"prefills pause the running batch, a batch is sized by prompts and max_new_tokens together); {_LIKE_VLLM}",
        ),
        _TRTLLM,
        replace(_TRTLLM, name="nim", start_s=120, source=f"NIM for LLMs starts TensorRT-LLM where it can; {_TRTLLM.source}"),
        replace(
            _VLLM,
            name="lmdeploy",
            max_batched_tokens=8192,
            max_running=256,
            block_tokens=64,
            memory_share=0.80,
            prefix_caching=False,
            compute_efficiency=0.60,
            share_of="free",
            start_s=30,
            source="LMDeploy: lmdeploy/messages.py, TurbomindEngineConfig (0.8 of the free memory, blocks of 64, 8192 tokens, "
            f"prefix caching off); 256 sequences on data-centre GPUs; {_LIKE_VLLM}",
        ),
        _LLAMACPP,
        replace(
            _LLAMACPP,
            name="ollama",
            max_batched_tokens=512,
            max_running=1,
            start_s=3,
            cache_tokens=4096,
            source="Ollama: docs/faq (1 request at a time), docs/context-length.mdx (4k, 32k or 256k tokens by GPU memory), "
            "batches of 512 (num_batch)",
        ),
        replace(
            _VLLM,
            name="transformers",
            max_batched_tokens=8192,
            max_running=1,
            memory_share=1.0,
            prefix_caching=False,
            chunked_prefill=False,
            compute_efficiency=0.40,
            bandwidth_efficiency=0.60,
            step_overhead_s=2e-3,
            layer_overhead_s=500e-6,
            mixed_steps=False,
            start_s=15,
            source="transformers serve without continuous batching: one generate at a time, eager, every kernel launched; "
            "efficiencies estimated",
        ),
        replace(_VLLM, name="openai", source=f"whatever is behind the address, taken to be like vLLM; {_VLLM.source}"),
        replace(_VLLM, name="command", source=f"whatever was started, taken to be like vLLM; {_VLLM.source}"),
    )
}


# Without CUDA graphs the host launches every kernel of a step, about ten a layer.
_EAGER_LAYER_S = 120e-6

# What GGUF files hold under a name without a dtype: in Ollama's library 4 bits; the one that the catalogue's wheel carries 8.
_GGUF_DTYPES = {"ollama": "q4_k_m", "llamacpp": "q8_0"}

_STORED = ("kv-cache-dtype", "quantization")
_SWITCHES = ("prefix_caching", "chunked_prefill", "mixed_steps", "eager")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    What an engine's options say beside how it batches.

    Attributes:
        context_tokens: the longest prompt and answer together; None where the model's own counts.
        options: those that say how weights and cache are stored, as `shapes.stored_as` takes them.
        ignored: options that change no time here.
    """

    context_tokens: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()


def engine_names() -> tuple[str, ...]:
    """Engines that can be simulated."""
    return tuple(_PROFILES)


def profile(engine: str, accelerator: Accelerator | None = None, **overrides: Any) -> EngineProfile:
    """
    How an engine batches, on an accelerator where that matters, with single fields put in by name.

    Raises:
        ConfigError: the engine is not known, or a field is not one of a profile.
    """
    if engine not in _PROFILES:
        raise ConfigError(f"the engine {engine!r} cannot be simulated; known are {', '.join(_PROFILES)}")
    found = _on(_PROFILES[engine], accelerator) if accelerator else _PROFILES[engine]
    known = [each.name for each in fields(EngineProfile)]
    for name in overrides:
        if name not in known:
            raise ConfigError(f"an engine's profile has no {name!r}; it has {', '.join(known)}")
    return replace(found, **overrides)


def from_arguments(
    engine: str, arguments: Sequence[tuple[str, object]], accelerator: Accelerator | None = None
) -> tuple[EngineProfile, Settings]:
    """
    How an engine batches with its own options as (name, value), names with - or _; ``model_length`` works with all of them.

    Raises:
        ConfigError: the engine is not known, or an option's value makes no sense; names the option.
    """
    found = profile(engine, accelerator)
    flags = {"model-length": "context_tokens", **FLAGS[engine]}
    given: dict[str, Any] = {}
    ignored: list[str] = []
    for name, value in arguments:
        target, negated = _target(flags, name)
        if target is None:
            ignored.append(name)
        else:
            given[target.lstrip("!")] = _value(name, value, target=target.lstrip("!"), off=negated != target.startswith("!"))
    return _applied(found, given, tuple(ignored))


def deployed(
    accelerator: Accelerator,
    model: ModelShape,
    *,
    engine: str,
    arguments: Sequence[tuple[str, object]] = (),
    tensor_parallel: int = 1,
) -> Deployment:
    """
    A model on accelerators under an engine with its own options.

    Raises:
        ConfigError: the engine is not known, or an option's value makes no sense.
    """
    found, settings = from_arguments(engine, arguments, accelerator)
    model = stored_as(model, settings.options)
    if model.weight_dtype == "bf16":
        model = replace(model, weight_dtype=_GGUF_DTYPES.get(engine, "bf16"))
    return Deployment(
        accelerator=accelerator,
        model=model,
        engine=found,
        tensor_parallel=tensor_parallel,
        context_tokens=settings.context_tokens,
        options=settings.options,
    )


# --- options ----------------------------------------------------------------------------------------------------------------


def _target(flags: Mapping[str, str], name: str) -> tuple[str | None, bool]:
    """What an option means, and whether it was written with ``no-``."""
    flag = name.lstrip("-").replace("_", "-")
    if flag not in flags and flag.removeprefix("no-") in flags:
        return flags[flag.removeprefix("no-")], True
    return flags.get(flag), False


def _value(name: str, value: object, *, target: str, off: bool) -> object:
    if target in _STORED:
        return str(value)
    if target in _SWITCHES:
        on = value is None or str(value).lower() in ("true", "1", "yes", "on")
        return on != off
    try:
        number = float(str(value)) if target == "memory_share" else _count(str(value))
    except ValueError:
        number = 0
    if number <= 0 or (target == "memory_share" and number > 1):
        wanted = "a share above 0 and up to 1" if target == "memory_share" else "a whole number above 0"
        raise ConfigError(f"must be {wanted}, not {value!r}", field=f"engine.args.{name}")
    return number


def _count(text: str) -> int:
    """As vLLM reads them too: 8k is 8000, 8K is 8192."""
    factor = {"k": 1000, "K": 1024}.get(text[-1:], 1)
    return int(text) if factor == 1 else int(float(text[:-1]) * factor)


def _applied(found: EngineProfile, given: dict[str, Any], ignored: tuple[str, ...]) -> tuple[EngineProfile, Settings]:
    options = {name: given.pop(name) for name in _STORED if name in given}
    context = given.pop("context_tokens", None)
    if given.pop("eager", False):
        given["layer_overhead_s"] = _EAGER_LAYER_S
    if "max_running" not in given:
        # Unless somebody insists, as many sequences as the budget has tokens: vLLM does the same.
        given["max_running"] = min(found.max_running, given.get("max_batched_tokens", found.max_batched_tokens))
    made = replace(found, **given)
    if made.name == "llamacpp":
        context = context or made.cache_tokens // made.max_running
        made = replace(made, cache_tokens=context * made.max_running)
    elif made.name == "ollama":
        context = context or made.cache_tokens
        made = replace(made, cache_tokens=context * made.max_running)
    return made, Settings(context_tokens=context, options=options, ignored=ignored)


# --- by the GPU -------------------------------------------------------------------------------------------------------------


def _on(found: EngineProfile, accelerator: Accelerator) -> EngineProfile:
    by_memory: dict[str, Callable[[EngineProfile, Accelerator], EngineProfile]] = {
        "vllm": _vllm_on,
        "openai": _vllm_on,
        "command": _vllm_on,
        "sglang": _sglang_on,
        "ollama": _ollama_on,
    }
    made = by_memory[found.name](found, accelerator) if found.name in by_memory else found
    return made if made.name in _EVERYWHERE_ALIKE else _near_peaks(made, accelerator.name.partition("-")[0])


# Engines whose efficiencies are the same on every GPU: those that were chosen for the engine itself.
_EVERYWHERE_ALIKE = ("trtllm", "nim", "llamacpp", "ollama")
_LARGE_GPUS = ("h100", "h200", "b200", "mi300x")


def _near_peaks(found: EngineProfile, gpu: str) -> EngineProfile:
    """
    Large GPUs come less near to their peaks.

    Of the arithmetic vLLM 0.11 gets 0.34 on an H100 (chosen on 3 published figures); so do, by analogy, the others that are as
    large, and other engines where they don't get less. What its ROCm build gets on an MI300X was chosen on 3 figures, too: that
    each sequence costs 80 us in a step is a fit, which no term here explains. On smaller GPUs and the A100 0.6 is about right.
    """
    if gpu not in _LARGE_GPUS:
        return found
    found = replace(found, compute_efficiency=min(found.compute_efficiency, 0.34))
    if gpu != "mi300x":
        return found
    return replace(
        found,
        bandwidth_efficiency=min(found.bandwidth_efficiency, 0.60),
        step_overhead_s=max(found.step_overhead_s, 500e-6),
        sequence_overhead_s=max(found.sequence_overhead_s, 80e-6),
    )


def _vllm_on(found: EngineProfile, accelerator: Accelerator) -> EngineProfile:
    """Of an API server: 16384 tokens from 160 GiB, 8192 from 70 GiB but for the A100, with 1024 sequences; a CPU takes 128."""
    if accelerator.name == "cpu":
        return replace(found, max_running=128)
    if accelerator.memory_bytes >= 160 * _GIB:
        return replace(found, max_batched_tokens=16384, max_running=1024)
    if accelerator.memory_bytes >= 70 * _GIB and "a100" not in accelerator.product.lower():
        return replace(found, max_batched_tokens=8192, max_running=1024)
    return found


# Below so many GiB: tokens of a piece of a prompt, and sequences in its largest CUDA graph (of TP below 4).
_SGLANG_BY_GIB = ((20, 2048, 8), (35, 2048, 24), (60, 4096, 32), (160, 8192, 256), (float("inf"), 16384, 512))


def _sglang_on(found: EngineProfile, accelerator: Accelerator) -> EngineProfile:
    """
    Share of weights and cache: 1 - reserve / memory.

    The reserve is 512 MiB + 1.5 MiB a token of a piece + 2 MiB a sequence of the largest graph + 128 MiB a rank (one is counted),
    and at least 10 GiB on a GPU of more than 60 GiB.
    """
    memory_gib = accelerator.memory_bytes / _GIB
    tokens, graph = next((tokens, graph) for limit, tokens, graph in _SGLANG_BY_GIB if memory_gib < limit)
    reserve_gib = (512 + 1.5 * tokens + 2 * graph + 128) / 1024
    if memory_gib > 60:
        reserve_gib = max(reserve_gib, 10)
    return replace(found, max_batched_tokens=tokens, memory_share=round(1 - reserve_gib / memory_gib, 3))


def _ollama_on(found: EngineProfile, accelerator: Accelerator) -> EngineProfile:
    """4096 tokens of context below 24 GiB, 32768 below 48 GiB, else 262144."""
    memory_gib = accelerator.memory_bytes / _GIB
    return replace(found, cache_tokens=4096 if memory_gib < 24 else 32768 if memory_gib < 48 else 262144)

"""
How long a step takes: the matrices, then attention, then the exchange between ranks, then what the engine itself needs.

Matrices and attention run one after the other on a device, so each of the two takes the slower of its arithmetic and its memory.

Rule: every term is a function with its formula; nothing here knows which jobs there are, or what came before.

The roofline is that of Williams, Waterman and Patterson, "Roofline: An Insightful Visual Performance Model for Multicore
Architectures" (CACM 52(4), 2009); the arithmetic of a token, 2 operations a parameter, that of Kaplan et al., "Scaling Laws for
Neural Language Models" (arXiv:2001.08361, section 2.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.simulator.deployment import Deployment, ModelShape

# Bytes of one number. Block formats carry a scale: MXFP4 8 bits for 32 numbers (OCP Microscaling Formats 1.0), NVFP4 8 bits for
# 16 (NVIDIA), AWQ and GPTQ a 16-bit scale and a 4-bit zero for a group of 128, GGUF as llama.cpp's own table of bits a weight.
BYTES_BY_DTYPE = {
    "fp32": 4.0,
    "bf16": 2.0,
    "fp16": 2.0,
    "fp8": 1.0,
    "int8": 1.0,
    "mxfp4": 4.25 / 8,
    "nvfp4": 4.5 / 8,
    "fp4": 4.5 / 8,
    "int4": 4.15625 / 8,
    "awq": 4.15625 / 8,
    "gptq": 4.15625 / 8,
    "q8_0": 8.5 / 8,
    "q6_k": 6.5625 / 8,
    "q5_k_m": 5.69 / 8,
    "q4_k_m": 4.85 / 8,
    "q4_0": 4.5 / 8,
}
# The arithmetic a dtype of weights runs in; the others are unpacked and run as bf16.
_ARITHMETIC = {"fp8": "fp8", "int8": "int8", "mxfp4": "fp4", "nvfp4": "fp4", "fp4": "fp4"}
_ACTIVATION_BYTES = 2.0


class Chunk(NamedTuple):
    """A piece of a prompt: how many tokens, and how many of the same sequence are in the cache already."""

    tokens: int
    before: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWork:
    """
    What one step computes.

    Attributes:
        prompts: pieces of prompts, one for each sequence that has one in this step.
        decodes: sequences that get one more token each.
        context_tokens: their contexts together, the token that is computed among them.
        window_tokens: the same, each cut at the model's sliding window.
    """

    prompts: tuple[Chunk, ...] = ()
    decodes: int = 0
    context_tokens: int = 0
    window_tokens: int = 0


def step_work(model: ModelShape, *, prompts: Iterable[Chunk] = (), contexts: Iterable[int] = ()) -> StepWork:
    """The work of these pieces of prompts and of one more token for sequences with these contexts."""
    lengths = list(contexts)
    return StepWork(
        prompts=tuple(prompts),
        decodes=len(lengths),
        context_tokens=sum(lengths),
        window_tokens=sum(min(length, model.window_tokens) for length in lengths),
    )


def bytes_per_number(dtype: str) -> float:
    """
    Bytes of one number of a dtype, scales included.

    Raises:
        ConfigError: the dtype is not known; names those that are.
    """
    if dtype not in BYTES_BY_DTYPE:
        raise ConfigError(f"{dtype!r} is not a dtype that the simulator knows; known are {', '.join(BYTES_BY_DTYPE)}")
    return BYTES_BY_DTYPE[dtype]


def peak_flops_per_s(deployment: Deployment, dtype: str) -> float:
    """The peak of all ranks in the arithmetic that ``dtype`` runs in; bf16 where the device has no faster one."""
    peaks = deployment.accelerator.flops_per_s
    return peaks.get(_ARITHMETIC.get(dtype, "bf16"), peaks["bf16"]) * deployment.tensor_parallel


def expert_parameters(model: ModelShape) -> float:
    """
    Parameters of all experts together.

    total = shared + X and active = shared + X k / E, so X = (total - active) / (1 - k / E). A table of inputs that is only looked
    up counts among them, being in the total and not active; it is 3 % of a mixture at most.
    """
    if not model.experts or model.experts_per_token >= model.experts:
        return 0.0
    return (model.parameters - model.active_parameters) / (1 - model.experts_per_token / model.experts)


def experts_touched(model: ModelShape, tokens: int) -> float:
    """
    Expected number of different experts of a layer that ``tokens`` tokens pass through, each choosing k of E alike.

    E (1 - (1 - k / E) ** tokens)
    """
    return model.experts * (1 - (1 - model.experts_per_token / model.experts) ** tokens) if model.experts else 0.0


def weight_bytes(model: ModelShape) -> float:
    """All weights: parameters times bytes of one."""
    return model.parameters * bytes_per_number(model.weight_dtype)


def weight_bytes_read(model: ModelShape, tokens: int) -> float:
    """
    Weights that a step of so many tokens reads, over all ranks; a table of inputs that is only looked up is not among them.

    Of a dense model its active parameters. Of a mixture active + X (touched - k) / E, where X are the experts' parameters, since
    k of them are active already; no tokens read what is not in experts: active - X k / E.
    """
    experts = expert_parameters(model)
    share = (experts_touched(model, tokens) - model.experts_per_token) / model.experts if experts else 0.0
    return (model.active_parameters + experts * share) * bytes_per_number(model.weight_dtype)


def window_bytes_per_token(model: ModelShape) -> float:
    """Cache of one token in the layers with a sliding window: layers 2 heads size bytes, keys and values."""
    return model.window_layers * 2 * model.kv_heads * model.head_size * bytes_per_number(model.kv_dtype)


def kv_copies(deployment: Deployment) -> float:
    """How often the cache is held in all: TP / min(TP, KV heads), since a head cannot be split over ranks."""
    return deployment.tensor_parallel / min(deployment.tensor_parallel, max(deployment.model.kv_heads, 1))


def keys_seen(chunk: Chunk, window: int = 0) -> int:
    """
    Keys that the tokens of a piece see, each those before it and itself, at most ``window`` where there is one.

    Sum over i = 1 .. tokens of min(before + i, window).
    """
    tokens, before = chunk
    if not window or before + tokens <= window:
        return tokens * before + tokens * (tokens + 1) // 2
    rising = max(window - before, 0)
    return rising * before + rising * (rising + 1) // 2 + (tokens - rising) * window


def token_flops(model: ModelShape, tokens: int) -> float:
    """Arithmetic of the weights: 2 operations for each active parameter and token."""
    return 2.0 * model.active_parameters * tokens


def attention_flops(model: ModelShape, keys: int, window_keys: int) -> float:
    """
    Arithmetic of attention: scores and values, 2 operations each for every query, key, head and dimension.

    4 heads size (full layers * keys + window layers * window keys)
    """
    full_layers = model.layers - model.window_layers
    return 4.0 * model.heads * model.head_size * (full_layers * keys + model.window_layers * window_keys)


def weight_compute_s(deployment: Deployment, tokens: int) -> float:
    """FLOPs of the weights / (their own peak x efficiency)."""
    flops = token_flops(deployment.model, tokens)
    return flops / (peak_flops_per_s(deployment, deployment.model.weight_dtype) * deployment.engine.compute_efficiency)


def attention_compute_s(deployment: Deployment, *, keys: int, window_keys: int) -> float:
    """FLOPs of attention / (peak x efficiency), in bf16."""
    flops = attention_flops(deployment.model, keys, window_keys)
    return flops / (peak_flops_per_s(deployment, "bf16") * deployment.engine.compute_efficiency)


def weight_memory_s(deployment: Deployment, tokens: int) -> float:
    """Bytes of the weights that so many tokens read / (bandwidth x efficiency)."""
    return weight_bytes_read(deployment.model, tokens) / _bytes_per_s(deployment)


def cache_memory_s(deployment: Deployment, *, full_tokens: int, window_tokens: int) -> float:
    """
    Bytes of the cache that is read and written / (bandwidth x efficiency), in so many tokens of it.

    ``full_tokens`` are those of the layers that keep all, ``window_tokens`` those of the layers with a window.
    """
    model = deployment.model
    cache = full_tokens * model.kv_bytes_per_token + window_tokens * window_bytes_per_token(model)
    return cache * kv_copies(deployment) / _bytes_per_s(deployment)


def _bytes_per_s(deployment: Deployment) -> float:
    bandwidth = deployment.accelerator.bandwidth_bytes_per_s * deployment.tensor_parallel
    return bandwidth * deployment.engine.bandwidth_efficiency


def all_reduce_s(deployment: Deployment, tokens: int) -> float:
    """
    Two all-reduces a layer, after attention and after the MLP (Megatron-LM, arXiv:1909.08053, section 3), each as a ring.

    2 layers (2 (n - 1) / n * tokens * hidden * 2 bytes / (link x efficiency) + 2 (n - 1) * latency of a hop); the ring is that of
    Thakur, Rabenseifner and Gropp, "Optimization of Collective Communication Operations in MPICH" (2005), section 4.5.
    """
    ranks, model = deployment.tensor_parallel, deployment.model
    if ranks == 1:
        return 0.0
    link = deployment.accelerator.link_bytes_per_s * deployment.engine.link_efficiency
    message = tokens * model.hidden * _ACTIVATION_BYTES
    hops_s = 2 * (ranks - 1) * deployment.accelerator.link_latency_s
    return 2 * model.layers * (2 * (ranks - 1) / ranks * message / link + hops_s)


def overhead_s(deployment: Deployment, sequences: int) -> float:
    """
    What the engine itself needs, in seconds.

    step + layers (layer + mixture, where the model is one) + sequences * sequence
    """
    engine, model = deployment.engine, deployment.model
    layer_s = engine.layer_overhead_s + (engine.mixture_overhead_s if model.experts else 0.0)
    return engine.step_overhead_s + model.layers * layer_s + engine.sequence_overhead_s * sequences


def step_time_s(deployment: Deployment, work: StepWork) -> float:
    """
    How long the step takes, in seconds.

    max(arithmetic, memory) of the weights + max(arithmetic, memory) of attention + all-reduce + overhead
    """
    window = deployment.model.window_tokens
    prompt = sum(chunk.tokens for chunk in work.prompts)
    tokens = prompt + work.decodes
    keys, window_keys, read, window_read = work.context_tokens, work.window_tokens, work.context_tokens, work.window_tokens
    for chunk in work.prompts:
        keys += keys_seen(chunk)
        window_keys += keys_seen(chunk, window)
        # A kernel reads each key once for all queries of a piece.
        read += chunk.before + chunk.tokens
        window_read += min(chunk.before, window) + chunk.tokens
    return (
        max(weight_compute_s(deployment, tokens), weight_memory_s(deployment, tokens))
        + max(
            attention_compute_s(deployment, keys=keys, window_keys=window_keys),
            cache_memory_s(deployment, full_tokens=read, window_tokens=window_read),
        )
        + all_reduce_s(deployment, tokens)
        + overhead_s(deployment, len(work.prompts) + work.decodes)
    )


class Pace:
    """
    The terms of `step_time_s`, with all that is the same in every step of a deployment worked out once.

    Most steps only add tokens to sequences, and cost a microsecond here. A test holds this against the terms themselves.
    """

    def __init__(self, deployment: Deployment) -> None:
        model, engine = deployment.model, deployment.engine
        self._window = model.window_tokens
        self._token_s = weight_compute_s(deployment, 1)
        self._key_s = attention_compute_s(deployment, keys=1, window_keys=0)
        self._window_key_s = attention_compute_s(deployment, keys=0, window_keys=1)
        self._dense_s = weight_memory_s(deployment, 0)
        self._experts_s = expert_parameters(model) * bytes_per_number(model.weight_dtype) / _bytes_per_s(deployment)
        self._miss = 1 - model.experts_per_token / model.experts if model.experts else 1.0
        self._cache_s = cache_memory_s(deployment, full_tokens=1, window_tokens=0)
        self._window_cache_s = cache_memory_s(deployment, full_tokens=0, window_tokens=1)
        exchange_s = all_reduce_s(deployment, 0)
        self._link_s = all_reduce_s(deployment, 1) - exchange_s
        self._fixed_s = overhead_s(deployment, 0) + exchange_s
        self._sequence_s = engine.sequence_overhead_s

    def decode_s(self, decodes: int, context_tokens: int, window_tokens: int) -> float:
        """Of a step without prompts, in seconds."""
        attention_s = max(
            context_tokens * self._key_s + window_tokens * self._window_key_s,
            context_tokens * self._cache_s + window_tokens * self._window_cache_s,
        )
        return self._weights_s(decodes) + attention_s + decodes * (self._link_s + self._sequence_s) + self._fixed_s

    def step_s(self, work: StepWork) -> float:
        """Of any step, in seconds."""
        if not work.prompts:
            return self.decode_s(work.decodes, work.context_tokens, work.window_tokens)
        window = self._window
        tokens, keys, window_keys = work.decodes, work.context_tokens, work.window_tokens
        read, window_read = work.context_tokens, work.window_tokens
        for chunk in work.prompts:
            tokens += chunk.tokens
            keys += keys_seen(chunk)
            window_keys += keys_seen(chunk, window)
            read += chunk.before + chunk.tokens
            window_read += min(chunk.before, window) + chunk.tokens
        attention_s = max(
            keys * self._key_s + window_keys * self._window_key_s, read * self._cache_s + window_read * self._window_cache_s
        )
        sequences = len(work.prompts) + work.decodes
        return self._weights_s(tokens) + attention_s + tokens * self._link_s + sequences * self._sequence_s + self._fixed_s

    def _weights_s(self, tokens: int) -> float:
        return max(tokens * self._token_s, self._dense_s + self._experts_s * (1 - self._miss**tokens))


def min_tpot_s(deployment: Deployment, context_tokens: int = 1) -> float:
    """
    No token of an answer can come sooner after the one before it, however empty the server: one sequence, this context, at peak.

    The larger of weights and cache / bandwidth and of FLOPs / peak; no efficiency, exchange or overhead is counted.
    """
    return _bound_s(deployment, 1, context_tokens)


def max_decode_tokens_per_s(deployment: Deployment, *, sequences: int, context_tokens: int = 1) -> float:
    """No server with at most so many sequences, each of at least this context, can give more tokens a second: the roofline."""
    return sequences / _bound_s(deployment, sequences, context_tokens)


def max_tokens_per_s(deployment: Deployment) -> float:
    """No server can compute more tokens a second, prompts and answers together: peak / (2 active parameters)."""
    return peak_flops_per_s(deployment, deployment.model.weight_dtype) / token_flops(deployment.model, 1)


def min_prefill_s(deployment: Deployment, prompt_tokens: int) -> float:
    """No prompt that nothing is known of can be read in less: its FLOPs / peak, attention included."""
    chunk, window = Chunk(prompt_tokens), deployment.model.window_tokens
    return _arithmetic_s(deployment, prompt_tokens, keys=keys_seen(chunk), window_keys=keys_seen(chunk, window))


def _bound_s(deployment: Deployment, sequences: int, context_tokens: int) -> float:
    """The larger of all arithmetic and all memory, as if both ran beside each other from end to end."""
    context, window = sequences * context_tokens, sequences * min(context_tokens, deployment.model.window_tokens)
    memory_s = weight_memory_s(deployment, sequences) + cache_memory_s(deployment, full_tokens=context, window_tokens=window)
    return max(
        _arithmetic_s(deployment, sequences, keys=context, window_keys=window),
        memory_s * deployment.engine.bandwidth_efficiency,
    )


def _arithmetic_s(deployment: Deployment, tokens: int, *, keys: int, window_keys: int) -> float:
    """FLOPs / peak, of weights and attention together."""
    both_s = weight_compute_s(deployment, tokens) + attention_compute_s(deployment, keys=keys, window_keys=window_keys)
    return both_s * deployment.engine.compute_efficiency

"""
What is simulated: an accelerator, a model's shape, an engine's way of batching, and the three put together.

Rule: frozen facts, each with its source; how long a step takes is decided in `roofline`, what is in it in `batching`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """
    A GPU (or ``cpu``) as its data sheet has it.

    Attributes:
        name: as suites write it: ``h100``.
        flops_per_s: dense peak by dtype: ``bf16``, ``fp8``, ``int8``, ``fp4``; a dtype that is not there runs as ``bf16``.
        memory_bytes: what the device has.
        bandwidth_bytes_per_s: of its memory.
        link_bytes_per_s: to its neighbours, one direction: NVLink, XGMI, or PCIe where it has neither.
        link_latency_s: of one hop of a collective.
        power_idle_w, power_max_w: at rest, and at its limit.
        clock_mhz: of its cores, at full speed.
        product: as its driver names it.
        source: where these figures stand.
    """

    name: str
    flops_per_s: Mapping[str, float]
    memory_bytes: int
    bandwidth_bytes_per_s: float
    link_bytes_per_s: float
    link_latency_s: float
    power_idle_w: float
    power_max_w: float
    clock_mhz: float
    product: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """
    What decides how dear a token of a model is.

    Attributes:
        name: as suites write it, or its hub name.
        hub: its name on the Hugging Face hub, or the path of its ``config.json``.
        parameters: all of them.
        active_parameters: those that one token passes through; fewer than all in a mixture of experts.
        layers, hidden, heads, kv_heads, head_size, vocabulary: of the transformer.
        weight_dtype, kv_dtype: ``bf16``, ``fp8``, ``mxfp4`` and the like.
        experts, experts_per_token: of a mixture; 0 where it is none.
        kv_bytes_per_token: of all layers that keep the whole context, over all ranks.
        window_layers, window_tokens: layers that see only so many tokens back, where there are any.
        context_tokens: the longest prompt and answer together.
        source: where these figures stand.
    """

    name: str
    hub: str
    parameters: int
    active_parameters: int
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    kv_bytes_per_token: float
    context_tokens: int
    source: str
    weight_dtype: str = "bf16"
    kv_dtype: str = "bf16"
    experts: int = 0
    experts_per_token: int = 0
    window_layers: int = 0
    window_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineProfile:
    """
    How an engine batches, and how near to the hardware's peaks it comes.

    Attributes:
        name: as suites write it.
        max_batched_tokens: the most tokens of one step, prompts and answers together.
        max_running: the most sequences in one step.
        block_tokens: of one block of the paged cache.
        memory_share: of the device's memory; ``share_of`` says of what, and for what.
        prefix_caching: full blocks that are known from before are not computed again.
        chunked_prefill: a prompt may be spread over steps.
        mixed_steps: prompts and answers share steps; without it, steps of prompts go first and the answers wait.
        reserves_answers: a sequence is let in only where there is room for its whole answer, and is never sent back.
        share_of: ``memory``: weights, cache and all else that a rank needs take this share of the memory; ``static``: weights and
            cache do, all else is beside it; ``free``: the cache takes this share of what weights and all else leave.
        cache_tokens: room of the cache where the engine is told it, and takes no more; 0: what memory is left.
        compute_efficiency, bandwidth_efficiency, link_efficiency: of the peaks, from 0 to 1.
        step_overhead_s: of every step: scheduling, launching, sampling.
        sequence_overhead_s: of every sequence in a step.
        layer_overhead_s, mixture_overhead_s: of every layer in every step, and of every one with experts besides: kernels that
            are too small to fill the device.
        load_bytes_per_s: at which weights come from disk to the device at start.
        start_s: of a start, beside that.
        source: where these figures stand.
    """

    name: str
    max_batched_tokens: int
    max_running: int
    block_tokens: int
    memory_share: float
    prefix_caching: bool
    chunked_prefill: bool
    compute_efficiency: float
    bandwidth_efficiency: float
    link_efficiency: float
    step_overhead_s: float
    sequence_overhead_s: float
    load_bytes_per_s: float
    start_s: float
    source: str
    layer_overhead_s: float = 0.0
    mixture_overhead_s: float = 0.0
    mixed_steps: bool = True
    reserves_answers: bool = False
    share_of: Literal["memory", "static", "free"] = "memory"
    cache_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A model on ``tensor_parallel`` accelerators under an engine; ``context_tokens`` caps the model's own where it is set."""

    accelerator: Accelerator
    model: ModelShape
    engine: EngineProfile
    tensor_parallel: int = 1
    context_tokens: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)

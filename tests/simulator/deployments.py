"""Deployments for the tests of the step model: round figures, and models that differ in one thing each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pytest_inferbench.simulator.deployment import Accelerator, Deployment, EngineProfile, ModelShape

GPU = Accelerator(
    name="gpu",
    flops_per_s={"bf16": 1000e12, "fp8": 2000e12},
    memory_bytes=80 * 2**30,
    bandwidth_bytes_per_s=3e12,
    link_bytes_per_s=450e9,
    link_latency_s=1e-6,
    power_idle_w=70,
    power_max_w=700,
    clock_mhz=1980,
    product="Round GPU",
    source="made up",
)
DENSE = ModelShape(
    name="dense-8b",
    hub="made/up",
    parameters=8_000_000_000,
    active_parameters=8_000_000_000,
    layers=32,
    hidden=4096,
    heads=32,
    kv_heads=8,
    head_size=128,
    vocabulary=128_000,
    kv_bytes_per_token=131_072,
    context_tokens=32_768,
    source="made up",
)
MIXTURE = replace(
    DENSE, name="mixture", parameters=24_000_000_000, active_parameters=8_000_000_000, experts=8, experts_per_token=2
)
# Half of the layers see 64 tokens back.
WINDOWED = replace(DENSE, name="windowed", window_layers=16, window_tokens=64, kv_bytes_per_token=65_536)
ENGINE = EngineProfile(
    name="vllm",
    max_batched_tokens=2048,
    max_running=256,
    block_tokens=16,
    memory_share=0.9,
    prefix_caching=True,
    chunked_prefill=True,
    compute_efficiency=0.6,
    bandwidth_efficiency=0.8,
    link_efficiency=0.7,
    step_overhead_s=500e-6,
    sequence_overhead_s=5e-6,
    load_bytes_per_s=2e9,
    start_s=30,
    source="made up",
)


def deployment(
    model: ModelShape = DENSE, *, tensor_parallel: int = 1, accelerator: Accelerator = GPU, **engine: Any
) -> Deployment:
    """One with these fields of the engine."""
    return Deployment(accelerator=accelerator, model=model, engine=replace(ENGINE, **engine), tensor_parallel=tensor_parallel)

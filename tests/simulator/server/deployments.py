"""Deployments for tests of the simulated server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pytest_inferbench.simulator.deployment import Deployment, EngineProfile
from pytest_inferbench.simulator.hardware import accelerator
from pytest_inferbench.simulator.server.settings import Settings
from pytest_inferbench.simulator.shapes import shape

ENGINE = EngineProfile(
    name="vllm",
    max_batched_tokens=2048,
    max_running=512,
    block_tokens=16,
    memory_share=0.9,
    prefix_caching=True,
    chunked_prefill=True,
    compute_efficiency=0.5,
    bandwidth_efficiency=0.7,
    link_efficiency=0.7,
    step_overhead_s=0.001,
    sequence_overhead_s=1e-6,
    load_bytes_per_s=2e9,
    start_s=30.0,
    source="made up for tests",
)
MODEL = "llama-3.1-8b"


def deployment(engine: str = "vllm", *, context_tokens: int = 4096, **changes: Any) -> Deployment:
    """Llama 3.1 8B on one H100."""
    profile = replace(ENGINE, name=engine, **changes)
    return Deployment(accelerator=accelerator("h100"), model=shape(MODEL), engine=profile, context_tokens=context_tokens)


def settings(engine: str = "vllm", **changes: Any) -> Settings:
    """A server of it, whose steps take next to no time."""
    return Settings(deployment=deployment(engine, **changes), model=MODEL, version="0", step_s=0.0005)

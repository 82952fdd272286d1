"""Simulated GPUs: their formulas, their limits, and what faults do to them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.simulator.deployment import Accelerator, Deployment, EngineProfile, ModelShape
from pytest_inferbench.simulator.faults import FaultPlan
from pytest_inferbench.simulator.gpus import BatchState, GpuReading, gpu_readings, gpus_json, out_of_memory, used_bytes

GPU = Accelerator(
    name="h100",
    flops_per_s={"bf16": 1e15},
    memory_bytes=80_000_000_000,
    bandwidth_bytes_per_s=3e12,
    link_bytes_per_s=4e11,
    link_latency_s=1e-6,
    power_idle_w=100.0,
    power_max_w=700.0,
    clock_mhz=2000.0,
    product="A GPU",
    source="this test",
)
MODEL = ModelShape(
    name="m",
    hub="m",
    parameters=10**9,
    active_parameters=10**9,
    layers=10,
    hidden=1000,
    heads=10,
    kv_heads=10,
    head_size=100,
    vocabulary=1000,
    kv_bytes_per_token=40_000,
    context_tokens=4096,
    source="this test",
)
ENGINE = EngineProfile(
    name="vllm",
    max_batched_tokens=2048,
    max_running=100,
    block_tokens=16,
    memory_share=0.9,
    prefix_caching=True,
    chunked_prefill=True,
    compute_efficiency=0.5,
    bandwidth_efficiency=0.5,
    link_efficiency=0.5,
    step_overhead_s=0.001,
    sequence_overhead_s=0.0,
    load_bytes_per_s=1e9,
    start_s=1.0,
    source="this test",
)
DEPLOYMENT = Deployment(accelerator=GPU, model=MODEL, engine=ENGINE, tensor_parallel=2)
FULL = BatchState(running=100, kv_usage=0.5, busy_share=1.0)
shares = st.floats(min_value=0, max_value=1)


def first(state: BatchState, *faults: str, elapsed_s: float = 0.0) -> GpuReading:
    return gpu_readings(DEPLOYMENT, state, faults=FaultPlan.parse(faults), elapsed_s=elapsed_s)[0]


def test_a_gpu_at_rest_draws_its_idle_power_with_the_engines_memory_taken() -> None:
    assert first(BatchState()) == GpuReading(
        index=0,
        uuid="simulated-0",
        product="A GPU",
        memory_used_bytes=72_000_000_000,
        memory_total_bytes=80_000_000_000,
        utilization_percent=0.0,
        power_w=100.0,
        sm_clock_mhz=2000,
        temperature_c=30.0,
        throttle_reasons="idle",
    )


def test_a_full_batch_draws_all_power() -> None:
    reading = first(FULL)
    assert (reading.power_w, reading.utilization_percent, reading.temperature_c) == (700.0, 100.0, 75.0)
    assert reading.throttle_reasons == ""


def test_a_batch_of_one_draws_about_half() -> None:
    assert first(BatchState(running=1, busy_share=1.0)).power_w == pytest.approx(100 + 600 * 0.505)
    assert first(BatchState(running=1, kv_usage=1.0, busy_share=1.0)).power_w == 700.0


def test_throttling_shows_in_clock_power_and_reason() -> None:
    reading = first(FULL, "throttle=0.5:from=10s", elapsed_s=10.0)
    assert (reading.sm_clock_mhz, reading.power_w, reading.throttle_reasons) == (1000, 400.0, "power_cap")
    assert first(FULL, "throttle=0.5:from=10s", elapsed_s=9.0).throttle_reasons == ""


def test_a_leak_fills_the_memory_and_then_ends_the_server() -> None:
    leaking = FaultPlan.parse(["memory-leak=1GB/s"])
    used = [used_bytes(DEPLOYMENT, faults=leaking, elapsed_s=elapsed_s) for elapsed_s in (0, 4, 8, 100)]
    assert used == [72_000_000_000, 76_000_000_000, 80_000_000_000, 80_000_000_000]
    assert out_of_memory(DEPLOYMENT, faults=leaking, elapsed_s=8.0) is None
    assert out_of_memory(DEPLOYMENT, faults=leaking, elapsed_s=8.1) == (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 74.51 GiB "
        "of which 0 bytes is free. (simulated: memory-leak)"
    )


def test_a_server_without_a_leak_is_never_out_of_memory() -> None:
    assert out_of_memory(DEPLOYMENT, faults=FaultPlan(), elapsed_s=1e9) is None


def test_every_rank_has_a_gpu_and_a_cpu_has_none() -> None:
    ranks = gpu_readings(DEPLOYMENT, FULL, faults=FaultPlan(), elapsed_s=0.0)
    assert [(rank.index, rank.uuid) for rank in ranks] == [(0, "simulated-0"), (1, "simulated-1")]
    on_cpu = replace(DEPLOYMENT, accelerator=replace(GPU, name="cpu"))
    assert gpu_readings(on_cpu, FULL, faults=FaultPlan(), elapsed_s=0.0) == ()


def test_the_answer_is_json_that_says_that_it_is_simulated() -> None:
    said = json.loads(json.dumps(gpus_json(gpu_readings(DEPLOYMENT, FULL, faults=FaultPlan(), elapsed_s=0.0))))
    assert said["simulated"] is True
    assert [gpu["uuid"] for gpu in said["gpus"]] == ["simulated-0", "simulated-1"]


@given(running=st.integers(0, 1000), kv_usage=shares, busy_share=shares, clock=st.floats(min_value=0.01, max_value=1))
def test_no_reading_is_beyond_what_the_gpu_can(running: int, kv_usage: float, busy_share: float, clock: float) -> None:
    state = BatchState(running=running, kv_usage=kv_usage, busy_share=busy_share)
    reading = first(state, f"throttle={clock:.6f}", "memory-leak=3GB/s", elapsed_s=100.0)
    assert 100 <= reading.power_w <= 700
    assert 30 <= reading.temperature_c <= 75
    assert 0 <= reading.sm_clock_mhz <= 2000
    assert 0 <= reading.memory_used_bytes <= reading.memory_total_bytes


@given(shares, shares, shares)
def test_more_work_never_draws_less(kv_usage: float, less: float, more: float) -> None:
    low, high = sorted((less, more))
    draws = [first(BatchState(running=10, kv_usage=kv_usage, busy_share=busy)).power_w for busy in (low, high)]
    assert draws[0] <= draws[1]

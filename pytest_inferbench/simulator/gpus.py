"""
What the GPUs of a simulated server would say of themselves: memory, use, power, clocks, temperature.

Rule: pure and deterministic; simple formulas, so that whoever reads such a figure can say where it is from. With

    activity = busy_share * (0.5 + 0.5 * max(running / max_running, kv_usage))    (0 to 1)
    clock    = share of full speed that throttling leaves                          (0 to 1)

a GPU reads

    memory_used      = memory * memory_share + leaked, at most its memory: engines take weights and the whole cache at start
    utilization      = 100 * busy_share
    power            = idle + (max - idle) * activity * clock
    sm_clock         = full clock * clock
    temperature      = 30 + 45 * (power - idle) / (max - idle)
    throttle_reasons = power_cap where clock < 1, else idle where busy_share is 0

A batch of one draws half of the dynamic power and a full one all of it: a round figure of ours, after the finding that reading
prompts takes GPUs to their limit and decoding for few keeps them well below it (Patel et al., "Characterizing Power Management
Opportunities for LLMs in the Cloud", ASPLOS 2024). 30 and 75 degrees are of ours too: a cooled GPU at rest and under load,
without inertia.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pytest_inferbench.simulator.deployment import Deployment
from pytest_inferbench.simulator.faults import FaultPlan

PATH = "/simulator/gpus"
"""Where a simulated server tells of its GPUs."""
UUID = "simulated-{index}"
_ACTIVITY_MIN = 0.5
_REST_C, _RISE_C = 30.0, 45.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchState:
    """
    What the GPUs are doing.

    Attributes:
        running: sequences in the batch.
        kv_usage: share of the cache in use, 0 to 1.
        busy_share: share of the last interval in which a step ran, 0 to 1.
    """

    running: int = 0
    kv_usage: float = 0.0
    busy_share: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuReading:
    """One GPU at one time; ``throttle_reasons`` are words joined with ``+``, empty where there is none."""

    index: int
    uuid: str
    product: str
    memory_used_bytes: int
    memory_total_bytes: int
    utilization_percent: float
    power_w: float
    sm_clock_mhz: int
    temperature_c: float
    throttle_reasons: str


def gpu_readings(deployment: Deployment, state: BatchState, *, faults: FaultPlan, elapsed_s: float) -> tuple[GpuReading, ...]:
    """
    Every GPU of the deployment, so long after the server became ready; none of one on a CPU.

    Tensor-parallel ranks do the same work, so they read the same.
    """
    at = deployment.accelerator
    if at.name == "cpu":
        return ()
    clock = faults.clock_share(elapsed_s)
    dynamic = activity(deployment, state) * clock
    power_w = at.power_idle_w + (at.power_max_w - at.power_idle_w) * dynamic
    return tuple(
        GpuReading(
            index=index,
            uuid=UUID.format(index=index),
            product=at.product,
            memory_used_bytes=used_bytes(deployment, faults=faults, elapsed_s=elapsed_s),
            memory_total_bytes=at.memory_bytes,
            utilization_percent=round(100 * _share(state.busy_share), 1),
            power_w=round(power_w, 1),
            sm_clock_mhz=round(at.clock_mhz * clock),
            temperature_c=round(_REST_C + _RISE_C * dynamic, 1),
            throttle_reasons="power_cap" if clock < 1 else "idle" if state.busy_share <= 0 else "",
        )
        for index in range(deployment.tensor_parallel)
    )


def activity(deployment: Deployment, state: BatchState) -> float:
    """How hard the GPUs work, 0 to 1; see the formula above."""
    fullness = max(_share(state.running / deployment.engine.max_running), _share(state.kv_usage))
    return _share(state.busy_share) * (_ACTIVITY_MIN + (1 - _ACTIVITY_MIN) * fullness)


def used_bytes(deployment: Deployment, *, faults: FaultPlan, elapsed_s: float) -> int:
    """Memory in use on each GPU: what the engine took at start, and what it has lost since, up to all there is."""
    return min(_wanted_bytes(deployment, faults, elapsed_s), deployment.accelerator.memory_bytes)


def out_of_memory(deployment: Deployment, *, faults: FaultPlan, elapsed_s: float) -> str | None:
    """The last words of a server whose leak has filled its GPU, as PyTorch says it; None while there is room."""
    total = deployment.accelerator.memory_bytes
    if _wanted_bytes(deployment, faults, elapsed_s) <= total or not faults.leaked_bytes(elapsed_s):
        return None
    return (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of "
        f"{total / 2**30:.2f} GiB of which 0 bytes is free. (simulated: memory-leak)"
    )


def gpus_json(readings: Sequence[GpuReading]) -> dict[str, Any]:
    """The answer to `PATH`; it says in itself that it is simulated."""
    return {"simulated": True, "gpus": [asdict(reading) for reading in readings]}


def _wanted_bytes(deployment: Deployment, faults: FaultPlan, elapsed_s: float) -> int:
    return int(deployment.accelerator.memory_bytes * deployment.engine.memory_share) + faults.leaked_bytes(elapsed_s)


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))

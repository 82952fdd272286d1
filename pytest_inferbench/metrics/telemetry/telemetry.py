"""What is kept of GPUs and server in a case's record."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuUse:
    """
    One GPU over the measured window; None where it was not measured.

    Attributes:
        gpu: its index.
        samples: readings within the window.
        utilization_percent_mean, utilization_percent_max: of readings within the window; the driver's figure: the share of time
            in which any kernel ran at all.
        memory_used_bytes_max: of readings within the window.
        memory_total_bytes: that it has.
        power_w_mean: energy_j / length of the window.
        energy_j: see `energy.energy_j`.
        temperature_c_max, sm_clock_mhz_mean: of readings within the window.
        throttled_share: readings with a reason of `THROTTLING` / readings that say anything of reasons.
        throttle_reasons: of these, the ones that were seen, sorted.
    """

    gpu: int
    samples: int
    utilization_percent_mean: float | None = None
    utilization_percent_max: float | None = None
    memory_used_bytes_max: int | None = None
    memory_total_bytes: int | None = None
    power_w_mean: float | None = None
    energy_j: float | None = None
    temperature_c_max: float | None = None
    sm_clock_mhz_mean: float | None = None
    throttled_share: float | None = None
    throttle_reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerUse:
    """
    What the server said of itself; None where it says no such thing.

    The largest values are those of answers within the measured window: with one answer a second, what lasts shorter may be
    missed. Counts are differences between the last answer before the window and the first one after it, so they hold up to a
    second on either side; None where one of these answers is missing, or a count went down, as in a server that started anew.

    Attributes:
        scrapes: answers within the window.
        running_max, waiting_max: requests.
        kv_cache_usage_max: share of the KV cache in use, 0 to 1.
        preemptions: requests that were put back for want of KV cache.
        prefix_cache_hit_rate: hits / queries, in the server's own unit (tokens; blocks in vLLM before 0.9).
        first_token_s_mean: sum / count of the server's own histogram of the time to the first token.
        output_token_s_mean: likewise of its time per output token (of a request's mean, or of each token: whichever it has).
    """

    scrapes: int
    running_max: float | None = None
    waiting_max: float | None = None
    kv_cache_usage_max: float | None = None
    preemptions: float | None = None
    prefix_cache_hit_rate: float | None = None
    first_token_s_mean: float | None = None
    output_token_s_mean: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """
    GPUs and server beside one load.

    Attributes:
        window_s: length of the measured window.
        gpus: each GPU of the server; empty where there is none.
        server: None where the server's metrics were not asked for, or never came.
        energy_j: sum of the GPUs'; None where one of them is not known.
        joules_per_output_token: energy_j / output tokens of the window.
        troubles: what could not be seen, in sentences.
        simulated: none of it was measured on hardware; a simulated server said it.
    """

    window_s: float
    gpus: tuple[GpuUse, ...] = ()
    server: ServerUse | None = None
    energy_j: float | None = None
    joules_per_output_token: float | None = None
    troubles: tuple[str, ...] = ()
    simulated: bool = False

"""What GPUs and server did beside a load, as facts of the report; what was not measured is left out."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from pytest_inferbench.metrics.telemetry.telemetry import GpuUse, ServerUse, Telemetry
from pytest_inferbench.reporting.figures import NOTHING, number, printable, quantity

_GIB = 1024**3


def telemetry_html(telemetry: Telemetry | None) -> str:
    """The section of a case; empty where nothing was seen."""
    if telemetry is None:
        return ""
    facts = [*_energy(telemetry), *(fact for gpu in telemetry.gpus for fact in _gpu(gpu))]
    facts += _server(telemetry.server) if telemetry.server is not None else []
    listed = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts if value != NOTHING)
    troubles = "".join(f"<li>{escape(printable(trouble))}</li>" for trouble in telemetry.troubles)
    if not listed and not troubles:
        return ""
    whose = "Simulated GPUs and simulated server" if telemetry.simulated else "GPUs and server"
    return f'<h4>{whose} meanwhile</h4><dl class="ib-facts">{listed}</dl>' + (f"<ul>{troubles}</ul>" if troubles else "")


def _energy(telemetry: Telemetry) -> Iterator[tuple[str, str]]:
    yield "energy of the GPUs", quantity(telemetry.energy_j, "J")
    yield "energy a token", quantity(telemetry.joules_per_output_token, "J")


def _gpu(use: GpuUse) -> Iterator[tuple[str, str]]:
    name = f"GPU {use.gpu}"
    used = None if use.memory_used_bytes_max is None else use.memory_used_bytes_max / _GIB
    busy = None if use.utilization_percent_mean is None else use.utilization_percent_mean / 100
    yield f"{name}: memory, most", quantity(used, "GiB")
    yield f"{name}: in use, mean", quantity(busy, "1")
    yield f"{name}: power, mean", quantity(use.power_w_mean, "W")
    yield f"{name}: SM clock, mean", quantity(use.sm_clock_mhz_mean, "MHz")
    yield f"{name}: hottest", quantity(use.temperature_c_max, "°C")
    yield f"{name}: throttled", quantity(use.throttled_share, "1")


def _server(use: ServerUse) -> Iterator[tuple[str, str]]:
    yield "running at once, most", number(use.running_max)
    yield "waiting, most", number(use.waiting_max)
    yield "KV cache in use, most", quantity(use.kv_cache_usage_max, "1")
    yield "preemptions", number(use.preemptions)
    yield "prefix cache hits", quantity(use.prefix_cache_hit_rate, "1")

from __future__ import annotations

from pytest_inferbench.metrics.telemetry.telemetry import GpuUse, ServerUse, Telemetry
from pytest_inferbench.reporting.telemetry_facts import telemetry_html


def test_what_was_measured_is_shown_and_what_was_not_is_left_out() -> None:
    gpu = GpuUse(gpu=3, samples=9, utilization_percent_mean=87.5, memory_used_bytes_max=3 * 1024**3, power_w_mean=612.0)
    server = ServerUse(scrapes=4, running_max=16, waiting_max=0, kv_cache_usage_max=0.25)
    page = telemetry_html(Telemetry(window_s=10, gpus=(gpu,), server=server, energy_j=6120, joules_per_output_token=0.5))
    for name, value in (
        ("energy a token", "0.500 J"),
        ("GPU 3: memory, most", "3.00 GiB"),
        ("GPU 3: in use, mean", "87.5 %"),
        ("GPU 3: power, mean", "612 W"),
        ("running at once, most", "16.0"),
        ("KV cache in use, most", "25.0 %"),
    ):
        assert f"<dt>{name}</dt><dd>{value}</dd>" in page
    assert "throttled" not in page
    assert "preemptions" not in page


def test_what_was_simulated_is_called_so() -> None:
    gpu = GpuUse(gpu=0, samples=9, power_w_mean=612.0)
    assert "<h4>Simulated GPUs and simulated server meanwhile</h4>" in telemetry_html(
        Telemetry(window_s=10, gpus=(gpu,), simulated=True)
    )
    assert "imulated" not in telemetry_html(Telemetry(window_s=10, gpus=(gpu,)))


def test_words_of_a_server_stay_words() -> None:
    page = telemetry_html(Telemetry(window_s=1, troubles=("it answered <script>alert(1)</script>",)))
    assert "<li>it answered &lt;script&gt;" in page


def test_where_nobody_looked_there_is_nothing_to_show() -> None:
    assert telemetry_html(None) == ""
    assert telemetry_html(Telemetry(window_s=1)) == ""

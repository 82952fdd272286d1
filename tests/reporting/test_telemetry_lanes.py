from __future__ import annotations

from pathlib import Path

import pytest

from pytest_inferbench.metrics.telemetry.gpu_source import GpuSample
from pytest_inferbench.metrics.telemetry.journal import Readings
from pytest_inferbench.metrics.telemetry.scrape import Scrape
from pytest_inferbench.records.telemetry import GPU_FILE, SERVER_FILE, write_telemetry
from pytest_inferbench.reporting.telemetry_lanes import gpu_points, server_points, telemetry_lanes
from tests.reporting.examples import record, steady_traces
from tests.traces import MS

TRACES = steady_traces()


def sample(at_ns: int, gpu: int = 0, **values: object) -> GpuSample:
    return GpuSample(timestamp_ns=at_ns, gpu=gpu, **values)  # type: ignore[arg-type]  # fields by name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    gpus = [
        sample(at * 100 * MS, gpu, utilization_percent=50.0 + gpu, memory_used_bytes=2**31) for at in range(20) for gpu in (0, 1)
    ]
    gauges = {"vllm:num_requests_running": 3, "vllm:num_requests_waiting": 1}
    text = "".join(f"# TYPE {name} gauge\n{name} {value}\n" for name, value in gauges.items())
    scrapes = [Scrape(at * 500 * MS, text) for at in range(4)]
    write_telemetry(tmp_path, Readings(gpus=tuple(gpus), scrapes=tuple(scrapes), metric_names="vllm"))
    return tmp_path


def test_what_was_seen_has_a_lane_each_with_a_line_a_gpu(folder: Path) -> None:
    lanes = {chart.title: chart for chart in telemetry_lanes(record(TRACES), TRACES, folder)}
    assert list(lanes) == ["Requests, as the server counts them", "GPU in use", "GPU memory"]
    assert [series.name for series in lanes["GPU in use"].series] == ["GPU 0", "GPU 1"]
    assert set(lanes["GPU in use"].series[1].y) == {51.0}
    assert set(lanes["GPU memory"].series[0].y) == {2.0}
    assert [(series.name, set(series.y)) for series in lanes["Requests, as the server counts them"].series] == [
        ("running", {3.0}),
        ("waiting", {1.0}),
    ]
    assert lanes["GPU in use"].series[0].x[:3] == (0.0, 0.1, 0.2)


def test_readings_far_from_the_load_are_left_out(tmp_path: Path) -> None:
    write_telemetry(tmp_path, Readings(gpus=tuple(sample(at * 1000 * MS, power_w=300.0) for at in range(60)), scrapes=()))
    (power,) = telemetry_lanes(record(TRACES), TRACES, tmp_path)
    assert max(power.series[0].x) == 13.0


def test_many_readings_are_thinned_to_their_peaks_and_the_lane_says_so(tmp_path: Path) -> None:
    some = [sample(at * 10 * MS, power_w=900.0 if at == 555 else 300.0) for at in range(1000)]
    write_telemetry(tmp_path, Readings(gpus=tuple(some), scrapes=()))
    (power,) = telemetry_lanes(record(TRACES), TRACES, tmp_path)
    assert len(power.series[0].x) <= 160
    assert max(power.series[0].y) == 900
    assert power.note == "The largest reading of each of 160 lengths of time."


def test_more_gpus_than_can_be_told_apart_are_counted(tmp_path: Path) -> None:
    write_telemetry(tmp_path, Readings(gpus=tuple(sample(0, gpu, power_w=300.0) for gpu in range(10)), scrapes=()))
    (power,) = telemetry_lanes(record(TRACES), TRACES, tmp_path)
    assert len(power.series) == 8
    assert power.note == "2 more GPUs are not drawn."


def test_files_that_are_missing_or_broken_are_no_lanes(tmp_path: Path) -> None:
    assert telemetry_lanes(record(TRACES), TRACES, tmp_path) == ()
    (tmp_path / GPU_FILE).write_text("timestamp_ns,gpu,power_w\nsoon,0,3\n", encoding="utf-8")
    (tmp_path / SERVER_FILE).write_bytes(b"not parquet")
    assert gpu_points(tmp_path / GPU_FILE) == {}
    assert server_points(tmp_path / SERVER_FILE) == {}

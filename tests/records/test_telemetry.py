import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pytest_inferbench.errors import RecordError
from pytest_inferbench.metrics.telemetry.gpu_source import GpuSample
from pytest_inferbench.metrics.telemetry.journal import Readings
from pytest_inferbench.metrics.telemetry.scrape import Scrape
from pytest_inferbench.records import telemetry
from pytest_inferbench.records.telemetry import GPU_FILE, SERVER_FILE, write_telemetry

GPUS = (
    GpuSample(
        timestamp_ns=1_000,
        gpu=0,
        memory_used_bytes=7,
        memory_total_bytes=80,
        utilization_percent=93.0,
        power_w=350.5,
        sm_clock_mhz=1980,
        memory_clock_mhz=2619,
        temperature_c=64.0,
        throttle_reasons="power_cap+thermal",
    ),
    GpuSample(timestamp_ns=1_001, gpu=1, throttle_reasons=""),
    GpuSample(timestamp_ns=1_002, gpu=2, simulated=True),
)
TEXT = (
    'vllm:num_requests_waiting{engine="0"} 2\nvllm:num_requests_waiting{engine="1"} 3\nother{key="sk-abcdefghijklmnopqrst"} NaN\n'
)


def rows(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(folder / SERVER_FILE).to_pylist()
    return found


def test_readings_of_gpus_are_rows_with_units_in_the_names_of_columns(tmp_path: Path) -> None:
    write_telemetry(tmp_path, Readings(gpus=GPUS))
    lines = (tmp_path / GPU_FILE).read_text().splitlines()
    names = "timestamp_ns gpu memory_used_bytes memory_total_bytes utilization_percent power_w sm_clock_mhz memory_clock_mhz"
    assert lines == [
        ",".join([*names.split(), "temperature_c", "throttle_reasons", "simulated"]),
        "1000,0,7,80,93.0,350.5,1980,2619,64.0,power_cap+thermal,False",
        "1001,1,,,,,,,,none,False",
        "1002,2,,,,,,,,,True",
    ]
    assert [row["gpu"] for row in csv.DictReader(lines)] == ["0", "1", "2"]


def test_a_servers_samples_are_rows_and_ours_come_after_them(tmp_path: Path) -> None:
    write_telemetry(tmp_path, Readings(scrapes=(Scrape(5, TEXT), Scrape(9, "vllm:num_requests_waiting 1\n"))))
    found = rows(tmp_path)
    assert [(row["timestamp_ns"], row["name"], row["value"]) for row in found if row["name"] != "other"] == [
        (5, "vllm:num_requests_waiting", 2.0),
        (5, "vllm:num_requests_waiting", 3.0),
        (5, "inferbench:waiting", 5.0),
        (9, "vllm:num_requests_waiting", 1.0),
        (9, "inferbench:waiting", 1.0),
    ]
    assert [json.loads(row["labels"]) for row in found][:2] == [{"engine": "0"}, {"engine": "1"}]


def test_labels_hold_no_secrets(tmp_path: Path) -> None:
    write_telemetry(tmp_path, Readings(scrapes=(Scrape(5, TEXT),)))
    (labels,) = [row["labels"] for row in rows(tmp_path) if row["name"] == "other"]
    assert "abcdefghijklmnop" not in labels
    assert "REDACTED" in labels


def test_an_answer_that_is_no_metrics_is_left_out(tmp_path: Path) -> None:
    write_telemetry(tmp_path, Readings(scrapes=(Scrape(1, "hello"), Scrape(5, "a 1\n"))))
    assert [(row["timestamp_ns"], row["name"]) for row in rows(tmp_path)] == [(5, "a")]


def test_answers_that_are_all_no_metrics_are_an_empty_table(tmp_path: Path) -> None:
    write_telemetry(tmp_path, Readings(scrapes=(Scrape(1, "hello"),)))
    assert rows(tmp_path) == []


def test_blocks_lose_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "_BLOCK_ROWS", 4)
    scrapes = tuple(Scrape(at, "".join(f'a{{b="{each}"}} {at + each}\n' for each in range(7))) for at in range(5))
    write_telemetry(tmp_path, Readings(scrapes=scrapes))
    assert [row["value"] for row in rows(tmp_path)] == [at + each for at in range(5) for each in range(7)]


def test_columns_say_what_they_are(tmp_path: Path) -> None:
    write_telemetry(tmp_path, Readings(scrapes=(Scrape(5, TEXT),)))
    schema = pq.read_schema(tmp_path / SERVER_FILE)
    assert schema.names == ["timestamp_ns", "name", "labels", "value"]
    assert b"CLOCK_MONOTONIC" in schema.field("timestamp_ns").metadata[b"meaning"]
    assert json.loads(schema.metadata[b"inferbench"])["clock"] == "monotonic"


def test_nothing_seen_writes_nothing(tmp_path: Path) -> None:
    write_telemetry(tmp_path, Readings())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("readings", [Readings(gpus=GPUS), Readings(scrapes=(Scrape(5, TEXT),))])
def test_a_folder_that_is_not_there_is_named(tmp_path: Path, readings: Readings) -> None:
    with pytest.raises(RecordError, match=r"none/(gpu_memory\.csv|server_metrics\.parquet) could not be written"):
        write_telemetry(tmp_path / "none", readings)

"""
What was seen beside a load, as tables: ``gpu_memory.csv`` and ``server_metrics.parquet``.

Rule: times are nanoseconds of the requests' own clock (``*_ns`` in ``requests.parquet``). What was not seen is an empty cell, and
a table of nothing is not written.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pytest_inferbench.metrics.telemetry.exposition import Decoder, NoMetrics
from pytest_inferbench.metrics.telemetry.gpu_source import GpuSample
from pytest_inferbench.metrics.telemetry.journal import Readings
from pytest_inferbench.metrics.telemetry.names import PREFIX, Sample, normalised
from pytest_inferbench.records.cells import cell
from pytest_inferbench.records.files import replacing
from pytest_inferbench.records.record import SCHEMA_VERSION
from pytest_inferbench.redaction import redact_text

GPU_FILE = "gpu_memory.csv"
SERVER_FILE = "server_metrics.parquet"
GPU_COLUMNS = GpuSample._fields
_BLOCK_ROWS = 65_536
_TEXT = pa.dictionary(pa.int32(), pa.string())
_MEANINGS = {
    "timestamp_ns": "CLOCK_MONOTONIC in nanoseconds, half-way between the request for metrics and its answer",
    "name": f"as the server calls it; {PREFIX}* are the same for every engine",
    "labels": "JSON object",
    "value": "as the server says; its unit is a part of the name",
}
_TYPES = {"timestamp_ns": pa.int64(), "name": _TEXT, "labels": _TEXT, "value": pa.float64()}


def write_telemetry(folder: Path, readings: Readings) -> None:
    """
    Write what was seen of GPUs and server into the folder of a case.

    Raises:
        RecordError: the disk is full, the folder cannot be written, or the like; names the path and what to do.
    """
    if readings.gpus:
        with replacing(folder / GPU_FILE) as path:
            write_gpu_csv(path, readings.gpus)
    if readings.scrapes:
        with replacing(folder / SERVER_FILE) as path:
            write_server_parquet(path, readings)


def write_gpu_csv(path: Path, samples: Sequence[GpuSample]) -> None:
    """Write a row a reading, in order of time; the unit is the last part of each column's name."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(GPU_COLUMNS)
        writer.writerows([_csv_cell(value) for value in sample] for sample in samples)


def write_server_parquet(path: Path, readings: Readings) -> None:
    """
    Write a row for each sample of each answer, the server's own first and then ours.

    An answer that cannot be read is left out; the telemetry's troubles say how many.
    """
    fields = [pa.field(name, kind, metadata={"meaning": _MEANINGS[name]}) for name, kind in _TYPES.items()]
    facts = json.dumps({"schema_version": SCHEMA_VERSION, "clock": "monotonic"}).encode()
    schema = pa.schema(fields, metadata={b"inferbench": facts})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for rows in _blocks(_rows(readings)):
            columns = [pa.array(values, pa.string()) for values in rows[1:3]]
            texts = [column.dictionary_encode() for column in columns]
            arrays = [pa.array(rows[0], pa.int64()), *texts, pa.array(rows[3], pa.float64())]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _rows(readings: Readings) -> Iterator[tuple[int, str, str, float]]:
    decoder, shown = Decoder(), _Labels()
    for at_ns, text in readings.scrapes:
        try:
            samples = decoder.samples(text)
        except NoMetrics:
            continue
        for sample in samples:
            yield at_ns, sample.name, shown.of(sample), sample.value
        for name, value in normalised(samples, dialect=readings.metric_names).items():
            yield at_ns, f"{PREFIX}{name}", "{}", value


class _Labels:
    """Labels as JSON, secrets taken out; each once."""

    def __init__(self) -> None:
        self._texts: dict[tuple[tuple[str, str], ...], str] = {}

    def of(self, sample: Sample) -> str:
        text = self._texts.get(sample.labels)
        if text is None:
            labels = {name: redact_text(value) for name, value in sample.labels}
            text = self._texts[sample.labels] = json.dumps(labels, ensure_ascii=False)
        return text


def _blocks(rows: Iterator[tuple[int, str, str, float]]) -> Iterator[tuple[list[Any], ...]]:
    block: list[tuple[int, str, str, float]] = []
    for row in rows:
        block.append(row)
        if len(block) == _BLOCK_ROWS:
            yield _columns(block)
            block = []
    yield _columns(block)


def _columns(block: list[tuple[int, str, str, float]]) -> tuple[list[Any], ...]:
    return tuple([row[place] for row in block] for place in range(len(_TYPES)))


def _csv_cell(value: float | str | None) -> float | str:
    if value is None:
        return ""
    return cell(value) or "none" if isinstance(value, str) else value

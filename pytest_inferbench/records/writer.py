"""
The files of one case.

Rule: ``summary.json`` is written last, so that a folder that has one is whole.
"""

from __future__ import annotations

from pathlib import Path

from pytest_inferbench.load.trace import Traces
from pytest_inferbench.records import tables
from pytest_inferbench.records.codec import to_json
from pytest_inferbench.records.files import replacing, write_json
from pytest_inferbench.records.record import Record

SUMMARY_FILE = "summary.json"
REQUESTS_FILE = "requests.parquet"
CSV_FILE = "metrics.csv"


def write_case(folder: Path, *, record: Record, traces: Traces | None) -> None:
    """
    Write ``requests.parquet``, ``metrics.csv`` and ``summary.json`` into the folder of a case.

    ``traces`` is None where the case broke before its load; then there is only ``summary.json``, which says how.

    Raises:
        RecordError: the disk is full, the folder cannot be written, or the like; names the path and what to do.
    """
    if traces is not None:
        with replacing(folder / REQUESTS_FILE) as path:
            tables.write_parquet(path, traces)
        with replacing(folder / CSV_FILE) as path:
            tables.write_csv(path, traces)
    write_json(folder / SUMMARY_FILE, to_json(record))

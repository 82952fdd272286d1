"""Runs and cases, read back from their folders."""

from __future__ import annotations

from pathlib import Path

from pytest_inferbench.errors import RecordError
from pytest_inferbench.load.trace import Traces
from pytest_inferbench.records.codec import from_json
from pytest_inferbench.records.files import read_json
from pytest_inferbench.records.record import Record
from pytest_inferbench.records.results import RESULTS_JSON
from pytest_inferbench.records.tables import read_parquet
from pytest_inferbench.records.writer import REQUESTS_FILE, SUMMARY_FILE


def read_record(folder: Path) -> Record:
    """
    The record of a case, from its folder.

    Raises:
        RecordError: there is none, or it cannot be read; names the file.
    """
    path = folder / SUMMARY_FILE
    value = read_json(path)
    try:
        return from_json(value)
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from error


def read_traces(folder: Path) -> Traces:
    """
    The measured requests of a case, from its folder.

    Raises:
        RecordError: there are none, or they cannot be read; names the file.
    """
    return read_parquet(folder / REQUESTS_FILE)


def read_run(run_dir: Path) -> tuple[Record, ...]:
    """
    The records of a run: from ``results.json``, or from its cases' folders where the run was killed before it had one.

    Raises:
        RecordError: there is no case in it, or one cannot be read; names the file.
    """
    path = run_dir / RESULTS_JSON
    if path.exists():
        value = read_json(path)
        found = value.get("records") if isinstance(value, dict) else None
        if not isinstance(found, list):
            raise RecordError(f"{path} has no records; was it written by pytest-inferbench?")
        return tuple(from_json(each) for each in found)
    folders = sorted(summary.parent for summary in run_dir.glob(f"*/{SUMMARY_FILE}"))
    if not folders:
        raise RecordError(f"{run_dir} holds no results: neither {RESULTS_JSON} nor a case with a {SUMMARY_FILE}")
    return tuple(read_record(folder) for folder in folders)

"""The files of a case."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from pytest_inferbench.errors import RecordError
from pytest_inferbench.records.writer import write_case
from tests.records.example import SECRET, broken_record, example_record, example_traces, secretive_record


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_case_has_its_requests_twice_and_its_summary(tmp_path: Path) -> None:
    write_case(tmp_path, record=example_record(), traces=example_traces())
    assert names(tmp_path) == {"requests.parquet", "metrics.csv", "summary.json"}
    assert json.loads((tmp_path / "summary.json").read_text())["summary"]["counts"]["attempted"] == 3


def test_a_case_that_broke_before_its_load_has_a_summary_that_says_how(tmp_path: Path) -> None:
    write_case(tmp_path, record=broken_record(), traces=None)
    assert names(tmp_path) == {"summary.json"}
    assert json.loads((tmp_path / "summary.json").read_text())["error"] == "engine died: no memory"


def test_no_secret_is_in_any_file(tmp_path: Path) -> None:
    write_case(tmp_path, record=secretive_record(), traces=example_traces())
    assert not [path for path in tmp_path.iterdir() if SECRET.encode() in path.read_bytes()]


def test_a_full_disk_is_an_error_that_names_the_file_and_leaves_no_half_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(RecordError, match=r"requests\.parquet could not be written: the disk is full: free some space"):
        write_case(tmp_path, record=example_record(), traces=example_traces())
    assert names(tmp_path) == set()

"""What was written is read back."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from pytest_inferbench.errors import RecordError
from pytest_inferbench.metrics.summarise import summarise
from pytest_inferbench.records.reader import read_record, read_run, read_traces
from pytest_inferbench.records.results import write_results
from pytest_inferbench.records.writer import write_case
from tests.records.example import broken_record, example_record, example_traces


def test_a_case_comes_back_from_its_folder_with_the_same_figures(tmp_path: Path) -> None:
    write_case(tmp_path, record=example_record(), traces=example_traces())
    record = read_record(tmp_path)
    assert repr(record) == repr(example_record())
    traces = read_traces(tmp_path)
    assert np.array_equal(traces.event_ns, example_traces().event_ns)
    assert repr(summarise(traces)) == repr(record.summary)


def test_a_run_comes_back_from_its_results(tmp_path: Path) -> None:
    write_results(tmp_path, [example_record(), broken_record()])
    assert repr(read_run(tmp_path)) == repr((example_record(), broken_record()))


def test_a_run_that_was_killed_comes_back_from_the_cases_that_were_whole(tmp_path: Path) -> None:
    for name in ("a", "b", "half"):
        (tmp_path / name).mkdir()
    write_case(tmp_path / "a", record=example_record(), traces=example_traces())
    write_case(tmp_path / "b", record=broken_record(), traces=None)
    (tmp_path / "half" / ".summary.json.17.part").write_text("{")
    assert repr(read_run(tmp_path)) == repr((example_record(), broken_record()))


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=re.escape(f"{tmp_path} holds no results: neither results.json nor a case")):
        read_run(tmp_path)
    with pytest.raises(RecordError, match=r"requests\.parquet is not there"):
        read_traces(tmp_path)


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(json.dumps({"schema_version": 1}))
    with pytest.raises(RecordError, match=r"summary\.json: record\.run_id is missing; the record is not whole"):
        read_record(tmp_path)
    (tmp_path / "results.json").write_text("[]")
    with pytest.raises(RecordError, match=r"results\.json has no records; was it written by pytest-inferbench\?"):
        read_run(tmp_path)

"""Requests as tables, and back."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_inferbench.errors import RecordError
from pytest_inferbench.load.trace import MISSING, Outcome, Traces
from pytest_inferbench.records import tables
from pytest_inferbench.records.columns import EVENT_COLUMNS, REQUEST_COLUMNS
from tests.traces import MS, WALL_OFFSET_NS, Row, lost, rows, streamed, traces_of

_shared_folder = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def same(there: Traces, here: Traces) -> bool:
    for field in fields(Traces):
        one, other = getattr(there, field.name), getattr(here, field.name)
        equal = np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other
        if not equal:
            return False
    return True


def csv_rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))


@_shared_folder
@given(st.lists(rows(), max_size=8), st.booleans(), st.integers(1, 5))
def test_traces_come_back_as_they_were_whatever_the_size_of_a_block(
    tmp_path: Path, some: list[Row], open_loop: bool, block: int
) -> None:
    traces = traces_of(some, open_loop=open_loop)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "BLOCK_ROWS", block)
        tables.write_parquet(tmp_path / "a.parquet", traces)
    back = tables.read_parquet(tmp_path / "a.parquet")
    assert same(traces, back)
    assert {getattr(back, name).dtype for name in ("send_ns", "outcome", "event_ns", "event_tokens", "event_offset")} == {
        np.dtype(np.int64)
    }


@_shared_folder
@given(st.lists(rows(), max_size=8), st.integers(1, 5))
def test_the_csv_has_a_row_a_request_with_its_numbers(tmp_path: Path, some: list[Row], block: int) -> None:
    traces = traces_of(some)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "BLOCK_ROWS", block)
        tables.write_csv(tmp_path / "a.csv", traces)
    found = csv_rows(tmp_path / "a.csv")
    assert [row["request_id"] for row in found] == list(traces.request_id)
    assert [int(row["send_ns"]) for row in found] == traces.send_ns.tolist()
    assert [int(row["resp_tokens"] or MISSING) for row in found] == traces.output_tokens.tolist()
    assert [row["outcome"].upper() for row in found] == [Outcome(code).name for code in traces.outcome.tolist()]
    for row, send_ns in zip(found, traces.send_ns.tolist(), strict=True):
        assert float(row["send_time"]) == pytest.approx((send_ns + WALL_OFFSET_NS) / 1e9, abs=1e-6)


def test_a_row_of_the_csv_is_what_was_measured(tmp_path: Path) -> None:
    row = Row(sent_ns=2 * MS, intended_ns=MS, events=((102 * MS, 1), (122 * MS, 1)), end_ns=123_456_789)
    tables.write_csv(tmp_path / "a.csv", traces_of([row]))
    header, line = (tmp_path / "a.csv").read_text().splitlines()
    assert header.split(",") == [column.name for column in REQUEST_COLUMNS]
    assert line == (
        "r0,1700000000.001,1700000000.002,1700000000.102,1700000000.123457,16,2,200,200,,"
        "1000000,2000000,102000000,102000000,122000000,123456789,kernel,completed,16,8,,0,102000000,,,0"
    )


def test_what_never_happened_is_empty_and_not_minus_one(tmp_path: Path) -> None:
    never_sent = replace(
        traces_of([lost(Outcome.CANCELLED, "stopped")]),
        send_ns=np.array([MISSING]),
        end_ns=np.array([MISSING]),
        output_tokens=np.array([MISSING]),
        status=np.array([0]),
    )
    tables.write_csv(tmp_path / "a.csv", never_sent)
    tables.write_parquet(tmp_path / "a.parquet", never_sent)
    (row,) = csv_rows(tmp_path / "a.csv")
    empty = {"send_time", "first_byte_time", "end_time", "resp_tokens", "send_ns", "first_token_ns", "end_ns", "cached_tokens"}
    assert {row[name] for name in empty} == {""}
    assert (row["status"], row["bytes_received"], row["error"]) == ("0", "0", "stopped")
    assert same(tables.read_parquet(tmp_path / "a.parquet"), never_sent)


@pytest.mark.parametrize(
    ("error", "written"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("@SUM(1)", "'@SUM(1)"),
        ("two\nlines, and a comma", r"two\nlines, and a comma"),
        ('he said "no"', 'he said "no"'),
        ("HTTP 401: Bearer abcdef1234567890", "HTTP 401: Bearer REDACTED"),
        ("next\u2028line", r"next\u2028line"),
        ("plain", "plain"),
    ],
)
def test_an_error_is_one_cell_of_one_row_and_no_formula(tmp_path: Path, error: str, written: str) -> None:
    tables.write_csv(tmp_path / "a.csv", traces_of([streamed(), lost(error=error)]))
    assert [row["error"] for row in csv_rows(tmp_path / "a.csv")] == ["", written]
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 3


def test_no_secret_is_in_the_parquet_file(tmp_path: Path) -> None:
    tables.write_parquet(tmp_path / "a.parquet", traces_of([lost(error="HTTP 401: Bearer abcdef1234567890")]))
    assert tables.read_parquet(tmp_path / "a.parquet").errors == {0: "HTTP 401: Bearer REDACTED"}


def test_the_parquet_file_says_the_unit_of_each_column(tmp_path: Path) -> None:
    tables.write_parquet(tmp_path / "a.parquet", traces_of([streamed()]))
    schema = pq.read_schema(tmp_path / "a.parquet")
    units = {field.name: field.metadata[b"unit"].decode() for field in schema}
    assert units == {column.name: column.unit for column in (*REQUEST_COLUMNS, *EVENT_COLUMNS)}
    assert str(schema.field("event_ns").type).startswith("list<")
    assert [str(schema.field(name).type.value_type) for name in ("event_ns", "event_tokens")] == ["int64", "int32"]


def test_an_outcome_that_is_none_is_refused(tmp_path: Path) -> None:
    traces = replace(traces_of([streamed()]), outcome=np.array([7]))
    with pytest.raises(RecordError, match="a request has outcome 7, which is none; this is a fault of the harness"):
        tables.write_parquet(tmp_path / "a.parquet", traces)


def test_a_file_that_is_missing_broken_or_foreign_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=re.escape(f"{tmp_path / 'no.parquet'} is not there; the case broke before")):
        tables.read_parquet(tmp_path / "no.parquet")
    (tmp_path / "half.parquet").write_bytes(b"PAR1 half")
    with pytest.raises(RecordError, match=re.escape(f"{tmp_path / 'half.parquet'} could not be read")):
        tables.read_parquet(tmp_path / "half.parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "foreign.parquet")
    with pytest.raises(RecordError, match=r"foreign\.parquet has schema version None, and 1 can be read"):
        tables.read_parquet(tmp_path / "foreign.parquet")

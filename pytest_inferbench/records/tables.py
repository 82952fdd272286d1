"""
Requests as tables: ``requests.parquet`` and ``metrics.csv``, and back.

Rule: the only module that knows pyarrow. Everything is done a block of rows at a time and by column, so that a million requests
take seconds and no more memory than a block. A time that is `MISSING` is null in Parquet and empty in CSV.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pytest_inferbench.errors import RecordError
from pytest_inferbench.load.trace import MISSING, Ints, Outcome, Traces
from pytest_inferbench.records.cells import cell
from pytest_inferbench.records.columns import EVENT_COLUMNS, REQUEST_COLUMNS, Column
from pytest_inferbench.records.record import SCHEMA_VERSION
from pytest_inferbench.redaction import redact_text

BLOCK_ROWS = 65_536

_OUTCOMES = [outcome.name.lower() for outcome in Outcome]
_TEXTS = {"request_id", "error", "clock", "outcome"}
# 0 is an answer's absence in "status" and nothing is missing in these.
_NEVER_MISSING = {"status", "bytes_received", "resends", "prompt_tokens_asked", "output_tokens_asked"}
_FACTS = b"inferbench"


def write_parquet(path: Path, traces: Traces) -> None:
    """Write every request with the times and tokens of its content events; units and facts stand in the schema."""
    schema = _schema(traces)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for rows in _blocks(len(traces)):
            columns = [*_request_columns(traces, rows), *_event_columns(traces, rows)]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def write_csv(path: Path, traces: Traces) -> None:
    """Write a row a request, without the events: plain numbers, and texts that no spreadsheet takes for a formula."""
    with path.open("wb") as file:
        file.write((",".join(column.name for column in REQUEST_COLUMNS) + "\n").encode())
        for rows in _blocks(len(traces)):
            cells = [_csv_cells(column) for column in _request_columns(traces, rows)]
            joined = pc.binary_join_element_wise(*cells, ",", null_handling="replace", null_replacement="")
            for line in _runs_of_text(pc.binary_join_element_wise(joined, "", "\n")):
                file.write(line)


def read_parquet(path: Path) -> Traces:
    """
    The traces that `write_parquet` wrote.

    Raises:
        RecordError: it is not there, not whole, or not such a file.
    """
    try:
        table = pq.read_table(path)
    except FileNotFoundError as error:
        raise RecordError(f"{path} is not there; the case broke before its requests were written") from error
    except (OSError, pa.ArrowException) as error:
        raise RecordError(f"{path} could not be read: {error}") from error
    facts = json.loads((table.schema.metadata or {}).get(_FACTS, b"{}"))
    if facts.get("schema_version") != SCHEMA_VERSION:
        raise RecordError(f"{path} has schema version {facts.get('schema_version')}, and {SCHEMA_VERSION} can be read")
    return _traces(table, facts)


def _blocks(count: int) -> Iterator[slice]:
    yield from (slice(start, min(start + BLOCK_ROWS, count)) for start in range(0, count, BLOCK_ROWS))


def _schema(traces: Traces) -> Any:
    facts = {
        "schema_version": SCHEMA_VERSION,
        "open_loop": traces.open_loop,
        "clock": traces.clock,
        "wall_offset_ns": traces.wall_offset_ns,
    }
    fields = [pa.field(column.name, _type(column), metadata=_described(column)) for column in REQUEST_COLUMNS]
    types = {"event_ns": pa.list_(pa.int64()), "event_tokens": pa.list_(pa.int32())}
    fields += [pa.field(column.name, types[column.name], metadata=_described(column)) for column in EVENT_COLUMNS]
    return pa.schema(fields, metadata={_FACTS: json.dumps(facts).encode()})


def _described(column: Column) -> dict[str, str]:
    return {"unit": column.unit, "meaning": column.meaning}


def _type(column: Column) -> Any:
    if column.name in _TEXTS:
        return pa.string()
    return pa.float64() if column.name.endswith("_time") else pa.int64()


def _request_columns(traces: Traces, rows: slice) -> list[Any]:
    return [_request_column(traces, column, rows) for column in REQUEST_COLUMNS]


def _request_column(traces: Traces, column: Column, rows: slice) -> Any:
    texts: dict[str, Callable[[Traces, slice], Any]] = {
        "request_id": lambda traces, rows: pa.array(traces.request_id[rows], pa.string()),
        "error": _errors,
        "clock": lambda traces, rows: pa.repeat(traces.clock, rows.stop - rows.start),
        "outcome": _outcomes,
    }
    if column.name in texts:
        return texts[column.name](traces, rows)
    values: Ints = getattr(traces, column.source)[rows]
    missing = None if column.name in _NEVER_MISSING else np.equal(values, MISSING)
    if column.name.endswith("_time"):
        # Whole microseconds: as many as a float of seconds since the epoch holds.
        microseconds = (values + traces.wall_offset_ns + 500) // 1000
        return pa.array(microseconds / 1e6, pa.float64(), mask=missing)
    return pa.array(values, pa.int64(), mask=missing)


def _errors(traces: Traces, rows: slice) -> Any:
    texts: list[str | None] = [None] * (rows.stop - rows.start)
    if len(traces.errors) < len(texts):
        found = ((row, text) for row, text in traces.errors.items() if rows.start <= row < rows.stop)
    else:
        found = ((row, traces.errors[row]) for row in range(rows.start, rows.stop) if row in traces.errors)
    for row, text in found:
        texts[row - rows.start] = redact_text(text)
    return pa.array(texts, pa.string())


def _outcomes(traces: Traces, rows: slice) -> Any:
    codes = traces.outcome[rows]
    unknown = codes[~np.isin(codes, [int(outcome) for outcome in Outcome])]
    if unknown.size:
        raise RecordError(f"a request has outcome {unknown[0]}, which is none; this is a fault of the harness, please report it")
    return pa.array(_OUTCOMES, pa.string()).take(pa.array(codes))


def _event_columns(traces: Traces, rows: slice) -> list[Any]:
    offset = traces.event_offset[rows.start : rows.stop + 1]
    inner = slice(int(offset[0]), int(offset[-1]))
    starts = pa.array(offset - offset[0], pa.int32())
    times = pa.array(traces.event_ns[inner], pa.int64())
    tokens = pa.array(traces.event_tokens[inner].astype(np.int32), pa.int32())
    return [pa.ListArray.from_arrays(starts, times), pa.ListArray.from_arrays(starts, tokens)]


def _csv_cells(values: Any) -> Any:
    if not pa.types.is_string(values.type):
        return pc.cast(values, pa.string())
    # Rows with nothing to hide are the rule; they never pass through Python.
    suspect = pc.match_substring_regex(values, r'^ *[=+\-@|%]|[\x00-\x1f\x7f",]|\x{85}|\x{2028}|\x{2029}')
    if not pc.any(suspect).as_py():
        return values
    return pa.array([None if text is None else _quoted(cell(text)) for text in values.to_pylist()], pa.string())


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if re.search(r'[",\n\r]', text) else text


def _runs_of_text(lines: Any) -> Iterator[memoryview]:
    """All the text of a string array at once: its lines lie one after the other in memory."""
    for chunk in lines.chunks if isinstance(lines, pa.ChunkedArray) else [lines]:
        _, offsets, text = chunk.buffers()
        ends = np.frombuffer(offsets, dtype=np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
        yield memoryview(text)[int(ends[0]) : int(ends[-1])]


def _traces(table: Any, facts: dict[str, Any]) -> Traces:
    def column(name: str) -> Ints:
        return cast("Ints", table[name].fill_null(MISSING).to_numpy().astype(np.int64, copy=False))

    events = table["event_ns"].combine_chunks()
    codes = pc.index_in(table["outcome"], pa.array(_OUTCOMES)).to_numpy()
    errors = table["error"].to_pylist()
    numbers = {each.source: column(each.name) for each in REQUEST_COLUMNS if _is_number(each)}
    return Traces(
        request_id=tuple(table["request_id"].to_pylist()),
        outcome=codes.astype(np.int64),
        errors={row: text for row, text in enumerate(errors) if text is not None},
        event_offset=np.concatenate(([0], np.cumsum(_lengths(events)))).astype(np.int64),
        event_ns=_flat(events),
        event_tokens=_flat(table["event_tokens"].combine_chunks()),
        open_loop=facts["open_loop"],
        clock=facts["clock"],
        wall_offset_ns=facts["wall_offset_ns"],
        **numbers,
    )


def _is_number(column: Column) -> bool:
    return column.name not in _TEXTS and not column.name.endswith("_time")


def _lengths(lists: Any) -> Any:
    return pc.list_value_length(lists).to_numpy(zero_copy_only=False)


def _flat(lists: Any) -> Ints:
    return cast("Ints", lists.flatten().to_numpy(zero_copy_only=False).astype(np.int64))

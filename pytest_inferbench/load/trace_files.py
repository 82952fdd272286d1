"""
Traces of real traffic, as they are published: when requests came, and how many tokens each had.

    Mooncake   a line of JSON each      timestamp (ms), input_length, output_length; hash_ids, where a line has them
    Azure      CSV                      TIMESTAMP (date and time), ContextTokens, GeneratedTokens
    BurstGPT   CSV                      Timestamp (s), Request tokens, Response tokens, beside others that are not looked at
    plain      CSV                      timestamp (s), input_tokens, output_tokens

Rule: a file is read one row at a time, so that a million of them cost no memory. Whatever is wrong with it is a `ConfigError`
with file and line; no row is ever left out in silence, except those of BurstGPT with 0 response tokens, which by that trace's
own words are requests that failed.

Sources: github.com/kvcache-ai/Mooncake (FAST25-release/traces), github.com/Azure/AzurePublicDataset (the data sets of LLM
inference of 2023 and 2024), github.com/HPMLL/BurstGPT.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import orjson

from pytest_inferbench.cases.traffic import TOKENS_MAX
from pytest_inferbench.errors import ConfigError

_SECONDS_MAX = 10**12
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)?")


class TraceRow(NamedTuple):
    """One request of a trace; ``at_ns`` counts from the first one's time, ``hash_ids`` are those of its prompt's blocks."""

    at_ns: int
    input_tokens: int
    output_tokens: int
    hash_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Format:
    """A published form of traces: the columns it is known by, and how its times are written."""

    time: str
    tokens_in: str
    tokens_out: str
    ns_of: Callable[[Any], int]
    others: bool = False
    failures: bool = False

    @property
    def columns(self) -> tuple[str, str, str]:
        return self.time, self.tokens_in, self.tokens_out

    def is_told_by(self, header: list[str]) -> bool:
        """Whether a file with this header is of this form; only some have columns that are not looked at."""
        named = set(header)
        return set(self.columns) <= named if self.others else set(self.columns) == named


def _ns_of_seconds(value: str) -> int:
    try:
        seconds = Decimal(value)
    except InvalidOperation:
        seconds = Decimal("NaN")
    # Compared before it is converted: 1e999999999 has a billion digits.
    if not seconds.is_finite() or not 0 <= seconds <= _SECONDS_MAX:
        raise ValueError(f"must be a time in seconds, not {value[:60]!r}")
    return round(seconds * 10**9)


def _ns_of_instant(value: str) -> int:
    match = _INSTANT.fullmatch(value)
    if match is None:
        raise ValueError(f"must be a time such as 2023-11-16 18:15:46.6805900, not {value[:60]!r}")
    whole, fraction, zone = match.groups()
    return _epoch_s(whole, zone or "Z") * 10**9 + int((fraction or "0").ljust(9, "0"))


@lru_cache(maxsize=16)
def _epoch_s(whole: str, zone: str) -> int:
    """Seconds since 1970; a time without a zone is read as UTC, since only distances count."""
    return int(datetime.fromisoformat(whole + zone).timestamp())


def _ns_of_milliseconds(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _SECONDS_MAX * 1000:
        raise ValueError(f"must be a time in milliseconds, not {str(value)[:60]!r}")
    return round(value * 10**6)


_MOONCAKE = _Format(time="timestamp", tokens_in="input_length", tokens_out="output_length", ns_of=_ns_of_milliseconds)
_CSV = (
    _Format(time="TIMESTAMP", tokens_in="ContextTokens", tokens_out="GeneratedTokens", ns_of=_ns_of_instant),
    _Format(
        time="Timestamp",
        tokens_in="Request tokens",
        tokens_out="Response tokens",
        ns_of=_ns_of_seconds,
        others=True,
        failures=True,
    ),
    _Format(time="timestamp", tokens_in="input_tokens", tokens_out="output_tokens", ns_of=_ns_of_seconds),
)


def read_trace(path: str | Path) -> Iterator[TraceRow]:
    """
    The requests of a trace, in the order of their times; the first is at 0.

    Raises:
        ConfigError: the file cannot be read, is of no known form, has no row, or a row that makes no sense; names file and line.
    """
    file = str(path)
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as lines:
            yield from _in_order(_rows(lines, file), file)
    except OSError as error:
        raise ConfigError(f"the trace cannot be read: {error.strerror}", file=file) from error
    except UnicodeDecodeError as error:
        raise ConfigError("the trace is not text in UTF-8; if it is compressed, unpack it first", file=file) from error


def _in_order(rows: Iterator[tuple[int, TraceRow]], file: str) -> Iterator[TraceRow]:
    """The rows with times from the first one's on, which must not go back."""
    first_ns = last_ns = None
    for line, row in rows:
        if first_ns is None:
            first_ns = last_ns = row.at_ns
        if last_ns is not None and row.at_ns < last_ns:
            raise ConfigError("comes before the row above it; sort the trace by its times", file=file, line=line)
        last_ns = row.at_ns
        yield row._replace(at_ns=row.at_ns - first_ns)
    if first_ns is None:
        raise ConfigError("the trace has no requests", file=file)


def _rows(lines: TextIO, file: str) -> Iterator[tuple[int, TraceRow]]:
    """Line numbers and rows, times as they are written."""
    start = lines.read(1)
    lines.seek(0)
    if start == "{":
        for line, text in enumerate(lines, start=1):
            if text.strip():
                fields = _object(text, file, line)
                yield line, _row(_MOONCAKE, fields, file, line=line)._replace(hash_ids=_hash_ids(fields, file, line))
        return
    table = csv.reader(lines, strict=True)
    try:
        header = [name.strip() for name in next(table, [])]
        form = _form(header, file)
        for cells in table:
            # Left out: a blank line, and a request that failed.
            if cells and not (form.failures and _failed(form, header, cells)):
                yield table.line_num, _row(form, _named(header, cells, file, table.line_num), file, line=table.line_num)
    except csv.Error as error:
        raise ConfigError(f"is not CSV: {error}", file=file, line=table.line_num) from error


def _form(header: list[str], file: str) -> _Format:
    form = next((form for form in _CSV if form.is_told_by(header)), None)
    if form is None:
        known = "; ".join(",".join(form.columns) for form in _CSV)
        raise ConfigError(
            f"is not the header of a trace; known are {known}, and lines of JSON with {', '.join(_MOONCAKE.columns)}",
            file=file,
            line=1,
        )
    return form


def _failed(form: _Format, header: list[str], cells: list[str]) -> bool:
    place = header.index(form.tokens_out)
    return place < len(cells) and cells[place].strip() == "0"


def _named(header: list[str], cells: list[str], file: str, line: int) -> dict[str, str]:
    if len(cells) != len(header):
        raise ConfigError(f"has {len(cells)} values where the header has {len(header)}", file=file, line=line)
    return dict(zip(header, map(str.strip, cells), strict=True))


def _object(text: str, file: str, line: int) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"is not JSON: {error}", file=file, line=line) from error
    if not isinstance(value, dict):
        raise ConfigError("is not a JSON object", file=file, line=line)
    return value


def _row(form: _Format, cells: Mapping[str, Any], file: str, *, line: int) -> TraceRow:
    values: list[int] = []
    for column, read in zip(form.columns, (form.ns_of, _tokens, _tokens), strict=True):
        if column not in cells:
            raise ConfigError("is missing", file=file, line=line, field=column)
        try:
            values.append(read(cells[column]))
        except ValueError as error:
            raise ConfigError(str(error), file=file, line=line, field=column) from error
    at_ns, input_tokens, output_tokens = values
    return TraceRow(at_ns, input_tokens, output_tokens)


def _hash_ids(cells: Mapping[str, Any], file: str, line: int) -> tuple[int, ...]:
    ids = cells.get("hash_ids") or []
    if not isinstance(ids, list) or not all(type(each) is int for each in ids):
        raise ConfigError(
            "must be a list of whole numbers, one for each block of the prompt", file=file, line=line, field="hash_ids"
        )
    return tuple(ids)


def _tokens(value: object) -> int:
    # Length before value: Python refuses to convert thousands of digits, with a message that is not for people.
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= TOKENS_MAX:
        raise ValueError(f"must be a whole number of tokens from 1 to {TOKENS_MAX}, not {str(value)[:60]!r}")
    return value

"""
Recordings become traces, after the load is over.

Rule: one pass over the file of recordings, a few arrays of numbers per request; memory grows with neither bytes nor text, and a
column is let go as soon as there is the one that takes its place.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.load.api import Api
from pytest_inferbench.load.exchange import Exchange, read_exchange
from pytest_inferbench.load.recording import Recording
from pytest_inferbench.load.row import ROW, ROW_FIELDS
from pytest_inferbench.load.trace import MISSING, Ints, Traces

_NUMBERS = (
    "intended_send_ns",
    "send_ns",
    "first_byte_ns",
    "first_token_ns",
    "last_token_ns",
    "first_content_ns",
    "first_reasoning_ns",
    "first_tool_ns",
    "end_ns",
    "prompt_tokens",
    "output_tokens",
    "cached_tokens",
    "bytes_received",
    "status",
    "outcome",
    "resends",
    "cap_wait_ns",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """
    Traces of the measured requests and of the warm-up, and what only the recordings know.

    ``counted_by_server`` is the number of completed measured requests whose answer had a usage; ``prompt_counted`` says of each
    measured request whether the server counted its prompt, ``cached_expected`` how many of its tokens were sent before, and
    ``connect_wait_ns`` how long it waited for a connection of its own, 0 where it opened none.
    """

    measured: Traces
    warmup: Traces
    counted_by_server: int
    prompt_counted: NDArray[np.bool_]
    cached_expected: Ints
    connect_wait_ns: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What holds for all requests of a load: see the attributes of `trace.Traces` of the same names."""

    id_prefix: str
    open_loop: bool
    clock: str
    wall_offset_ns: int


class _Columns:
    """Columns that grow by one request at a time."""

    def __init__(self) -> None:
        self.rows = array("q")
        self.numbers = {name: array("q") for name in _NUMBERS}
        self.connect_wait_ns = array("q")
        self.event_count = array("q")
        self.event_ns = array("q")
        self.event_tokens = array("q")
        self.errors: dict[int, str] = {}

    def add(self, recording: Recording, exchange: Exchange) -> None:
        events = exchange.event_ns
        values = (
            recording.intended_send_ns,
            recording.send_ns,
            exchange.first_byte_ns,
            events[0] if events else MISSING,
            events[-1] if events else MISSING,
            exchange.first_content_ns,
            exchange.first_reasoning_ns,
            exchange.first_tool_ns,
            recording.end_ns,
            exchange.prompt_tokens,
            exchange.output_tokens,
            exchange.cached_tokens,
            sum(recording.sizes),
            exchange.status,
            int(exchange.outcome),
            recording.resends,
            recording.cap_wait_ns,
        )
        for column, value in zip(self.numbers.values(), values, strict=True):
            column.append(value)
        if exchange.error:
            self.errors[recording.row] = exchange.error
        self.rows.append(recording.row)
        self.connect_wait_ns.append(recording.connect_wait_ns)
        self.event_count.append(len(events))
        self.event_ns.extend(events)
        self.event_tokens.extend(exchange.event_tokens)


def decode(recordings: Iterable[Recording], *, api: Api, plan_rows: bytes, warmup: int, facts: Facts) -> Decoded:
    """
    Understand every recording; ``plan_rows`` are the plan's rows as bytes, of which the first ``warmup`` are warm-up.

    A request that the server did not count the prompt of gets the plan's count.
    """
    measured, warm = _Columns(), _Columns()
    counted = 0
    for recording in recordings:
        exchange = read_exchange(recording, api)
        is_warmup = recording.row < warmup
        (warm if is_warmup else measured).add(recording, exchange)
        counted += exchange.counted_by_server and not is_warmup and not exchange.error
    asked = np.frombuffer(plan_rows, dtype=np.dtype(list(ROW_FIELDS)), count=len(plan_rows) // ROW.size)
    order = np.argsort(_ints(measured.rows), kind="stable")
    prompt_counted = np.not_equal(_ints(measured.numbers["prompt_tokens"])[order], MISSING)
    return Decoded(
        measured=_traces(measured, asked, facts, f"{facts.id_prefix}-", warmup),
        warmup=_traces(warm, asked, facts, f"{facts.id_prefix}-w", 0),
        counted_by_server=counted,
        prompt_counted=prompt_counted,
        cached_expected=asked["cached_tokens"][_ints(measured.rows)[order]].astype(np.int64),
        connect_wait_ns=_ints(measured.connect_wait_ns)[order],
    )


def request_id(id_prefix: str, row: int, warmup: int) -> str:
    """What goes out as X-Request-Id: warm-up ``…-w0``, measured ``…-0`` onwards."""
    return f"{id_prefix}-w{row}" if row < warmup else f"{id_prefix}-{row - warmup}"


def _traces(columns: _Columns, asked: np.ndarray, facts: Facts, prefix: str, first_row: int) -> Traces:
    """The columns in the order of the plan; of a million requests they are too large to be there twice."""
    rows = _ints(columns.rows)
    order = np.argsort(rows, kind="stable")
    rows = rows[order]
    numbers = {name: _ints(columns.numbers.pop(name))[order] for name in _NUMBERS}
    prompt_asked = asked["prompt_tokens"][rows].astype(np.int64)
    numbers["prompt_tokens"] = np.where(numbers["prompt_tokens"] == MISSING, prompt_asked, numbers["prompt_tokens"])
    offset, taken = _events_in_order(_ints(columns.event_count), order)
    event_ns, columns.event_ns = _ints(columns.event_ns)[taken], array("q")
    event_tokens, columns.event_tokens = _ints(columns.event_tokens)[taken], array("q")
    place = {int(row): index for index, row in enumerate(rows) if int(row) in columns.errors}
    return Traces(
        request_id=tuple(f"{prefix}{row}" for row in (rows - first_row).tolist()),
        prompt_tokens_asked=prompt_asked,
        output_tokens_asked=asked["output_tokens"][rows].astype(np.int64),
        errors={place[row]: error for row, error in sorted(columns.errors.items())},
        event_offset=offset,
        event_ns=event_ns,
        event_tokens=event_tokens,
        open_loop=facts.open_loop,
        clock=facts.clock,
        wall_offset_ns=facts.wall_offset_ns,
        **numbers,
    )


def _events_in_order(counts: Ints, order: Ints) -> tuple[Ints, Ints]:
    """Offsets of the requests' events after reordering, and the index of each event before it."""
    starts = np.concatenate(([0], np.cumsum(counts)))[:-1]
    counts = counts[order]
    offset = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    taken = np.repeat(starts[order] - offset[:-1], counts)
    taken += np.arange(offset[-1])
    return offset, taken


def _ints(column: array[int]) -> Ints:
    """The same numbers for numpy; nothing is copied."""
    return np.frombuffer(column, dtype=np.int64) if column else np.zeros(0, np.int64)

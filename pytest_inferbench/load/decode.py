"""
Recordings become traces: after the load is over, or bit by bit while it runs.

Rule: each recording is understood once, and becomes a few numbers; memory grows with neither bytes nor text, and at the end a
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """
    Measured requests that ended, in the order in which they were understood.

    ``requests`` are their numbers in the plan, from 0.
    """

    requests: Ints
    intended_send_ns: Ints
    end_ns: Ints


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


class Decoder:
    """
    Recordings that come one after the other, understood as they come.

    Args:
        api: whose answers they are.
        warmup: how many rows of the plan, its first ones, are warm-up.
    """

    def __init__(self, *, api: Api, warmup: int) -> None:
        self._api = api
        self._warmup = warmup
        self._measured, self._warm = _Columns(), _Columns()
        self._counted_by_server = 0

    def __len__(self) -> int:
        """How many measured requests have been understood."""
        return len(self._measured.rows)

    def add(self, recording: Recording) -> None:
        """Understand one more."""
        exchange = read_exchange(recording, self._api)
        is_warmup = recording.row < self._warmup
        (self._warm if is_warmup else self._measured).add(recording, exchange)
        self._counted_by_server += exchange.counted_by_server and not is_warmup and not exchange.error

    def known(self) -> Known:
        """What the measured requests are, and when each was to be sent and ended, as they came."""
        columns = self._measured
        begin_ns, end_ns = (_ints(columns.numbers[name]).copy() for name in ("intended_send_ns", "end_ns"))
        return Known(requests=_ints(columns.rows) - self._warmup, intended_send_ns=begin_ns, end_ns=end_ns)

    def some(self, chosen: NDArray[np.intp], *, plan_rows: bytes, facts: Facts) -> Traces:
        """Traces of some measured requests, by their places in `known`; the others, and these, are still there afterwards."""
        order = chosen[np.argsort(_ints(self._measured.rows)[chosen], kind="stable")]
        prefix = f"{facts.id_prefix}-"
        return _traces(self._measured, _Asked(plan_rows, facts, prefix, self._warmup), order=order, last=False)

    def decoded(self, *, plan_rows: bytes, facts: Facts) -> Decoded:
        """All of them, in the order of the plan; to be called once, as the last of all calls."""
        measured = self._measured
        asked = _Asked(plan_rows, facts, f"{facts.id_prefix}-", self._warmup)
        order = np.argsort(_ints(measured.rows), kind="stable")
        warm_order = np.argsort(_ints(self._warm.rows), kind="stable")
        return Decoded(
            prompt_counted=np.not_equal(_ints(measured.numbers["prompt_tokens"])[order], MISSING),
            cached_expected=asked.column("cached_tokens", _ints(measured.rows)[order]),
            connect_wait_ns=_ints(measured.connect_wait_ns)[order],
            counted_by_server=self._counted_by_server,
            measured=_traces(measured, asked, order=order, last=True),
            warmup=_traces(self._warm, _Asked(plan_rows, facts, f"{facts.id_prefix}-w", 0), order=warm_order, last=True),
        )


def decode(recordings: Iterable[Recording], *, api: Api, plan_rows: bytes, warmup: int, facts: Facts) -> Decoded:
    """
    Understand every recording; ``plan_rows`` are the plan's rows as bytes, of which the first ``warmup`` are warm-up.

    A request that the server did not count the prompt of gets the plan's count.
    """
    decoder = Decoder(api=api, warmup=warmup)
    for recording in recordings:
        decoder.add(recording)
    return decoder.decoded(plan_rows=plan_rows, facts=facts)


def request_id(id_prefix: str, row: int, warmup: int) -> str:
    """What goes out as X-Request-Id: warm-up ``…-w0``, measured ``…-0`` onwards."""
    return f"{id_prefix}-w{row}" if row < warmup else f"{id_prefix}-{row - warmup}"


class _Asked:
    """What the plan says of requests, and what holds for all of them; ids count from row ``first``."""

    def __init__(self, plan_rows: bytes, facts: Facts, prefix: str, first: int) -> None:
        self._rows = np.frombuffer(plan_rows, dtype=np.dtype(list(ROW_FIELDS)), count=len(plan_rows) // ROW.size)
        self.facts = facts
        self._prefix, self._first = prefix, first

    def column(self, name: str, rows: Ints) -> Ints:
        """What was asked for in these rows."""
        return self._rows[name][rows].astype(np.int64)

    def ids(self, rows: Ints) -> tuple[str, ...]:
        """The names under which these rows went out."""
        return tuple(f"{self._prefix}{row}" for row in (rows - self._first).tolist())


def _traces(columns: _Columns, asked: _Asked, *, order: NDArray[np.intp], last: bool) -> Traces:
    """
    The requests at the places ``order`` of the columns.

    ``last``: the columns are used up, since those of a million requests are too large to be there twice.
    """
    rows = _ints(columns.rows)[order]
    numbers = {name: _ints(columns.numbers[name] if not last else columns.numbers.pop(name))[order] for name in _NUMBERS}
    prompt_asked = asked.column("prompt_tokens", rows)
    numbers["prompt_tokens"] = np.where(numbers["prompt_tokens"] == MISSING, prompt_asked, numbers["prompt_tokens"])
    offset, taken = _events_in_order(_ints(columns.event_count), order)
    event_ns = _ints(columns.event_ns)[taken]
    if last:
        columns.event_ns = array("q")
    event_tokens = _ints(columns.event_tokens)[taken]
    if last:
        columns.event_tokens = array("q")
    place = {int(row): index for index, row in enumerate(rows) if int(row) in columns.errors}
    return Traces(
        request_id=asked.ids(rows),
        prompt_tokens_asked=prompt_asked,
        output_tokens_asked=asked.column("output_tokens", rows),
        errors={place[row]: error for row, error in sorted(columns.errors.items()) if row in place},
        event_offset=offset,
        event_ns=event_ns,
        event_tokens=event_tokens,
        open_loop=asked.facts.open_loop,
        clock=asked.facts.clock,
        wall_offset_ns=asked.facts.wall_offset_ns,
        **numbers,
    )


def _events_in_order(counts: Ints, order: NDArray[np.intp]) -> tuple[Ints, Ints]:
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

"""
The columns of a case's tables: name, unit and meaning.

Rule: names and order of the first columns of ``metrics.csv`` are a promise to everybody's scripts; new columns come after them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """
    A column of ``metrics.csv`` and ``requests.parquet``.

    ``source`` is the attribute of `Traces` it comes from, ``unit`` a unit or the kind of text in it.
    """

    name: str
    unit: str
    meaning: str
    source: str


def _time(name: str, source: str, meaning: str) -> Column:
    return Column(name=name, unit="s since the epoch", meaning=meaning, source=source)


def _ns(name: str, meaning: str) -> Column:
    return Column(name=name, unit="ns", meaning=meaning, source=name)


def _number(name: str, unit: str, meaning: str, *, source: str | None = None) -> Column:
    return Column(name=name, unit=unit, meaning=meaning, source=source or name)


REQUEST_COLUMNS: tuple[Column, ...] = (
    Column(name="request_id", unit="text", meaning="what went out as X-Request-Id", source="request_id"),
    _time("enqueue_time", "intended_send_ns", "when the plan said to send, or its user became free; wall clock"),
    _time("send_time", "send_ns", "just before the first byte was sent; wall clock"),
    _time("first_byte_time", "first_byte_ns", "the first byte of the answer; wall clock"),
    _time("end_time", "end_ns", "the end of the answer, or when the request failed or was given up; wall clock"),
    _number("prompt_tokens", "tokens", "by the server's usage, else by the tokenizer's count"),
    _number("resp_tokens", "tokens", "output tokens by the server's usage, else the content events", source="output_tokens"),
    _number("bytes_received", "bytes", "bytes of the answer on the wire"),
    _number("status", "HTTP status", "0 where no answer came"),
    Column(name="error", unit="text", meaning="why the request did not complete", source="errors"),
    _ns("intended_send_ns", "when the plan said to send (open loop), or its user became free (closed loop)"),
    _ns("send_ns", "just before the first byte was handed to the kernel"),
    _ns("first_byte_ns", "the first byte of the answer"),
    _ns("first_token_ns", "the first event with content, reasoning or a tool call"),
    _ns("last_token_ns", "the last such event"),
    _ns("end_ns", "the end of the answer, or when the request failed or was given up"),
    Column(name="clock", unit="text", meaning="who stamped what came in: kernel or userspace", source="clock"),
    Column(name="outcome", unit="text", meaning="completed, failed, timed_out or cancelled", source="outcome"),
    _number("prompt_tokens_asked", "tokens", "tokens of the prompt by the plan, without the chat template"),
    _number("output_tokens_asked", "tokens", "the limit sent with the request"),
    _number("cached_tokens", "tokens", "prompt tokens the server says it took from a cache"),
    _number("resends", "count", "times sent again because a pooled connection was closed before any byte came"),
    _ns("first_content_ns", "the first event with content"),
    _ns("first_reasoning_ns", "the first event with reasoning text"),
    _ns("first_tool_ns", "the first event with the text of a tool call"),
    _ns("cap_wait_ns", "how long it waited, after the intended send, for its turn under the cap on requests in flight"),
)

EVENT_COLUMNS: tuple[Column, ...] = (
    _ns("event_ns", "a list: the time of each content event"),
    _number("event_tokens", "tokens", "a list: the tokens of each content event"),
)

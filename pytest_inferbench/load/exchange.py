"""
One recorded request, understood: what the server said, when, and how it ended.

Rule: no I/O and no clock. An answer that is not what was asked for is a failed request with the server's own words; nothing
is ever dropped.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson

from pytest_inferbench.load.api import Api, Usage
from pytest_inferbench.load.api.api import CONTENT, REASONING, TOOL
from pytest_inferbench.load.http1 import Answer, read_answer
from pytest_inferbench.load.lines import LineReader
from pytest_inferbench.load.recording import Ending, Recording
from pytest_inferbench.load.sse import EventReader
from pytest_inferbench.load.trace import MISSING, Outcome

_WORDS_MAX = 300

# The recording's note says how long the limit was.
_TIMED_OUT = {
    Ending.CONNECT_TIMEOUT: "no connection within {note} (connect limit)",
    Ending.FIRST_TOKEN_TIMEOUT: "no token within {note} (first-token limit)",
    Ending.STALL_TIMEOUT: "no byte for {note} (stall limit)",
    Ending.TOTAL_TIMEOUT: "not finished within {note} (total limit)",
}
_BROKEN_OFF = ("abort", "error")
"""Finish reasons by which a server says that it gave the request up."""
_LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines")
"""Media types of streams that have one JSON document a line."""
_NOTHING_SAID = Usage(None, None, None)


@dataclass(slots=True)
class Said:
    """What an answer says: what its events add up to, or the whole of it; filled while it is read."""

    event_ns: array[int]
    event_tokens: array[int]
    """Tokens of each content event as the server states them, -1 where it states none."""
    event_size: array[int]
    """Characters of each content event."""
    usage: Usage | None = None
    finish: str | None = None
    error: str | None = None
    done: bool = False
    """The stream said that it is whole."""
    events: int = 0
    kinds: int = 0
    """All kinds of text so far."""
    first_ns: dict[int, int] = field(default_factory=dict)
    """When the first text of each kind came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """
    One request and its answer.

    Times as in `trace.Traces`; ``event_tokens`` sums to ``output_tokens`` where there are events. ``prompt_tokens`` and
    ``cached_tokens`` are `MISSING` where the server says nothing, ``output_tokens`` where nobody knows how many there are.
    ``counted_by_server`` is True where the server said how many tokens came, or where no API of the kind makes any.
    """

    outcome: Outcome
    error: str
    status: int
    first_byte_ns: int
    event_ns: array[int]
    event_tokens: array[int]
    first_content_ns: int
    first_reasoning_ns: int
    first_tool_ns: int
    prompt_tokens: int
    output_tokens: int
    cached_tokens: int
    counted_by_server: bool


def read_exchange(recording: Recording, api: Api) -> Exchange:
    """Understand one recording."""
    answer = read_answer(recording.times_ns, recording.sizes, recording.data)
    said = _read(answer, api)
    outcome, error = _judge(recording, answer, said, api)
    tokens = _tokens(said)
    usage = said.usage or _NOTHING_SAID
    return Exchange(
        outcome=outcome,
        error=error,
        status=answer.status,
        first_byte_ns=recording.times_ns[0] if recording.times_ns else MISSING,
        event_ns=said.event_ns,
        event_tokens=tokens,
        first_content_ns=said.first_ns.get(CONTENT, MISSING),
        first_reasoning_ns=said.first_ns.get(REASONING, MISSING),
        first_tool_ns=said.first_ns.get(TOOL, MISSING),
        prompt_tokens=_or_missing(usage.prompt_tokens),
        output_tokens=_output_tokens(said, tokens, api),
        cached_tokens=_or_missing(usage.cached_tokens),
        counted_by_server=_total(said) is not None or not api.makes_tokens,
    )


def has_token(recording: Recording, api: Api) -> bool:
    """Whether a token has come in an answer that is still being received; always, where none can come before its end."""
    if not api.stream:
        return True
    answer = read_answer(recording.times_ns, recording.sizes, recording.data)
    return bool(_read(answer, api).event_ns)


def _read(answer: Answer, api: Api) -> Said:
    said = Said(array("q"), array("q"), array("q"))
    if answer.status != HTTPStatus.OK:
        return said
    if api.answers_bytes:
        _read_bytes(said, answer, api)
        return said
    if not api.stream:
        _read_whole(said, answer, api)
        return said
    reader = LineReader() if _media_type(answer) in _LINES else EventReader()
    for piece, time_ns in answer.pieces:
        for data, at_ns, kind in reader.feed(piece, time_ns):
            _hear(said, api, data, at_ns, kind)
    for data, at_ns, kind in reader.close():
        _hear(said, api, data, at_ns, kind)
    return said


def _read_whole(said: Said, answer: Answer, api: Api) -> None:
    """Take in an answer that is one JSON document: its text has an end, and no time of a first token."""
    try:
        document = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return
    whole = api.whole(document)
    said.events = 1
    said.kinds = whole.kinds if whole.text else 0
    _note(said, whole.finish, whole.usage)
    if whole.error is not None:
        said.error = words(whole.error.encode())


def _read_bytes(said: Said, answer: Answer, api: Api) -> None:
    """Take in an answer that is neither events nor JSON: what each read brought is an event; JSON in its place is an error."""
    if "json" in _media_type(answer):
        _read_whole(said, answer, api)
        return
    came_ns = sorted({time_ns for piece, time_ns in answer.pieces if piece})
    said.events = len(came_ns)
    if api.stream and came_ns:
        said.event_ns.extend(came_ns)
        said.event_tokens.extend([0] * len(came_ns))
        said.event_size.extend([1] * len(came_ns))
        _first_of_kinds(said, CONTENT, came_ns[0])


def _hear(said: Said, api: Api, data: bytes, at_ns: int, kind: bytes) -> None:
    """Take in one event."""
    try:
        event = orjson.loads(data)
    except orjson.JSONDecodeError:
        _hear_no_json(said, data)
        return
    said.events += 1
    text, tokens, finish, usage, error, kinds = api.delta(event)
    if text:
        said.event_ns.append(at_ns)
        said.event_tokens.append(-1 if tokens is None else tokens)
        said.event_size.append(len(text))
        if kinds & ~said.kinds:
            _first_of_kinds(said, kinds, at_ns)
    if finish is not None or usage is not None:
        _note(said, finish, usage)
        # A count of the answer beside no text is one of the whole answer; one of the prompt, or beside each text, is none.
        said.done |= finish is not None or (not text and usage is not None and usage.output_tokens is not None)
    if error is not None or kind == b"error":
        said.error = said.error or words((error or str(event)).encode())


def _first_of_kinds(said: Said, kinds: int, at_ns: int) -> None:
    for kind in (CONTENT, REASONING, TOOL):
        if kinds & kind & ~said.kinds:
            said.first_ns[kind] = at_ns
    said.kinds |= kinds


def _note(said: Said, finish: str | None, usage: Usage | None) -> None:
    """Keep what stands beside the text: how the answer finished, and its usage."""
    if finish is not None:
        said.finish = str(finish)
    if usage is not None:
        # Some servers tell it in parts: the prompt at the beginning, the output at the end.
        said.usage = usage if said.usage is None else Usage(*map(_newer, usage, said.usage))


def _newer(new: int | None, old: int | None) -> int | None:
    return old if new is None else new


def _hear_no_json(said: Said, data: bytes) -> None:
    """The end, or a sign of life, or a fault."""
    text = data.strip()
    if text == b"[DONE]":
        said.done = True
    elif text:
        said.error = said.error or f"an event is not JSON: {words(text)}"
    said.events += bool(text)


def _total(said: Said) -> int | None:
    """Output tokens by the server's usage; None where it says nothing, or that text came without a token."""
    return (said.usage.output_tokens or None) if said.usage is not None else None


def _output_tokens(said: Said, tokens: array[int], api: Api) -> int:
    """Output tokens of an answer: as its events sum up; of a whole one by its usage alone; none where an API makes none."""
    if api.stream and api.makes_tokens:
        return sum(tokens) if tokens else MISSING
    return _or_missing(_total(said)) if api.makes_tokens else 0


def _tokens(said: Said) -> array[int]:
    """
    Tokens of each content event, adding up to the server's usage where it gave one.

    As the server states them per event, where that adds up; else one each, and what the server counted beyond that is shared
    out by the length of their texts; where it counted fewer tokens than there are events, all of it is.
    """
    count = len(said.event_ns)
    stated = said.event_tokens
    total = _total(said)
    if count and min(stated) >= 0 and (total is None or sum(stated) == total):
        return stated
    if total is None or total == count:
        return array("q", [1]) * count
    if total < count:
        return apportion(total, said.event_size)
    return array("q", [1 + more for more in apportion(total - count, said.event_size)])


def apportion(total: int, weights: array[int]) -> array[int]:
    """
    ``total`` shared out by weight, in whole numbers that add up to it exactly.

    Each gets what the rounded running share grows by.
    """
    whole = sum(weights)
    shares = array("q")
    given = running = 0
    for weight in weights:
        running += weight
        upto = (2 * total * running + whole) // (2 * whole)
        shares.append(upto - given)
        given = upto
    return shares


def _judge(recording: Recording, answer: Answer, said: Said, api: Api) -> tuple[Outcome, str]:
    """How the request ended, and why it did not complete."""
    after = f" after {len(said.event_ns)} content events" if said.event_ns else ""
    if recording.ending in _TIMED_OUT:
        return Outcome.TIMED_OUT, _TIMED_OUT[recording.ending].format(note=recording.note or "its limit") + after
    if recording.ending is Ending.CANCELLED:
        return Outcome.CANCELLED, "stopped before its answer had ended"
    problem = _wire_problem(recording, answer, after) or _answer_problem(answer, said, api, after=after)
    return (Outcome.FAILED, problem) if problem else (Outcome.COMPLETED, "")


def _wire_problem(recording: Recording, answer: Answer, after: str) -> str:
    """What kept the answer from arriving whole; empty where nothing did."""
    ending = recording.ending
    if ending is Ending.CONNECT_FAILED:
        return f"could not connect: {recording.note}"
    if ending is Ending.TLS_FAILED:
        return f"TLS failed: {recording.note}"
    if ending is Ending.NOT_HTTP or answer.problem is not None:
        return f"the answer is not readable HTTP ({answer.problem or 'unknown'}): {words(recording.data)}"
    if ending is not Ending.COMPLETE and not (ending is Ending.CLOSED and answer.until_close):
        return f"{recording.note or 'connection closed'}{after or ' before any answer'}"
    return ""


def _answer_problem(answer: Answer, said: Said, api: Api, *, after: str) -> str:
    """What is wrong with an answer that arrived whole; empty where nothing is."""
    if answer.status != HTTPStatus.OK:
        return _status_words(answer)
    if not said.events:
        wanted = "bytes" if api.answers_bytes else "an event stream" if api.stream else "JSON"
        return f"answered {_media_type(answer) or 'no content type'} where {wanted} was asked for: {words(answer.body)}"
    return _stream_problem(said, api, after) if api.stream else _whole_problem(said, api)


def _stream_problem(said: Said, api: Api, after: str) -> str:
    """What is wrong with a stream of events that arrived whole; empty where nothing is."""
    if said.error:
        return f"error in the stream{after}: {said.error}"
    if said.finish in _BROKEN_OFF:
        return f"the server gave up{after} (finish_reason {said.finish})"
    if not said.event_ns:
        return f"finished without a token (finish_reason {said.finish})"
    if api.marks_end and not said.done:
        return f"the stream ended{after} without finish_reason, usage or [DONE]"
    return ""


def _whole_problem(said: Said, api: Api) -> str:
    """What is wrong with a JSON answer that arrived whole; empty where nothing is."""
    if said.error:
        return f"error in the answer: {said.error}"
    if said.finish in _BROKEN_OFF:
        return f"the server gave up (finish_reason {said.finish})"
    if api.makes_tokens and not said.kinds:
        return f"finished without a token (finish_reason {said.finish})"
    return ""


def _status_words(answer: Answer) -> str:
    try:
        phrase = " " + HTTPStatus(answer.status).phrase
    except ValueError:
        phrase = ""
    retry = answer.headers.get("retry-after")
    wait = f" (Retry-After {words(retry.encode())})" if retry else ""
    return f"HTTP {answer.status}{phrase}{wait}: {words(_message(answer.body))}"


def _message(body: bytes) -> bytes:
    """The message inside an error's JSON, or the body as it is."""
    try:
        parsed: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    for name in ("error", "message", "detail"):
        while isinstance(parsed, dict) and parsed.get(name):
            parsed = parsed[name]
    return parsed.encode() if isinstance(parsed, str) else body


def words(data: bytes) -> str:
    """The first words of something a server said, fit for a line of text: control characters gone, white space folded."""
    text = " ".join(data[: 4 * _WORDS_MAX].decode(errors="replace").split())
    text = "".join(character for character in text if character.isprintable())
    return text[: _WORDS_MAX - 1] + "…" if len(text) > _WORDS_MAX else text


def _media_type(answer: Answer) -> str:
    return answer.headers.get("content-type", "").partition(";")[0].strip().lower()


def _or_missing(count: int | None) -> int:
    return MISSING if count is None else count

"""
What the loopback server reads and answers, as bytes.

Rule: nothing here does I/O or reads a clock. Events that many requests share are built once and kept, framed as HTTP chunks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson

MODEL = "loopback"
WORD = " word"
TOKENS_MAX = 1_000_000
REQUEST_BYTES_MAX = 64 * 1024 * 1024
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"

_HEAD_BYTES_MAX = 64 * 1024
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 411: "Length Required", 413: "Content Too Large"}
_CHAT_PATH = b"/v1/chat/completions"
_COMPLETIONS_PATH = b"/v1/completions"


class Unreadable(Exception):
    """A request that cannot be answered as asked; carries the HTTP status."""

    def __init__(self, status: int, why: str) -> None:
        self.status = status
        super().__init__(why)


@dataclass(slots=True, kw_only=True)
class Request:
    """One request as it was read: only what the server looks at. Not frozen, because that costs a microsecond a request."""

    method: bytes
    path: bytes
    request_id: str
    body: bytes
    close: bool


@dataclass(slots=True, kw_only=True)
class Order:
    """What a request asks for. ``tokens`` is None where it does not say."""

    chat: bool
    stream: bool
    usage: bool
    tokens: int | None
    prompt_tokens: int


def take_request(buffer: bytes) -> tuple[Request, bytes] | None:
    """
    Take the first request off what was read so far, and return it with the rest; None while it is not complete.

    Raises:
        Unreadable: it is not HTTP, has no content-length, or is too large; the connection cannot be used any more.
    """
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        if len(buffer) > _HEAD_BYTES_MAX:
            raise Unreadable(413, f"the head of a request is longer than {_HEAD_BYTES_MAX} bytes")
        return None
    head = buffer[: end + 2]
    lines = head.lower()
    words = head[: head.find(b"\r\n")].split(b" ")
    if len(words) != 3:
        raise Unreadable(400, "the first line is not a request line")
    if b"\r\ntransfer-encoding:" in lines:
        raise Unreadable(411, "send content-length: chunked requests are not read here")
    size = _content_length(_field(head, lines, b"content-length"))
    start = end + 4
    if len(buffer) < start + size:
        return None
    request = Request(
        method=words[0],
        path=words[1],
        request_id=_field(head, lines, b"x-request-id").decode("latin-1"),
        body=buffer[start : start + size],
        close=_field(head, lines, b"connection").lower() == b"close",
    )
    return request, buffer[start + size :]


def _field(head: bytes, lines: bytes, name: bytes) -> bytes:
    """The value of a header field, its case kept; empty where it is not there. ``lines`` is the head in lower case."""
    at = lines.find(b"\r\n" + name + b":")
    if at < 0:
        return b""
    at += len(name) + 3
    return head[at : head.find(b"\r\n", at)].strip()


def _content_length(value: bytes) -> int:
    if not value:
        return 0
    if not value.isdigit():
        raise Unreadable(400, f"content-length is not a number: {value.decode('latin-1')}")
    size = int(value)
    if size > REQUEST_BYTES_MAX:
        raise Unreadable(413, f"a body of {size} bytes is more than {REQUEST_BYTES_MAX}")
    return size


def read_order(request: Request) -> Order:
    """
    What a POST to one of the two APIs asks for.

    Raises:
        Unreadable: the path is unknown (404), or the body is not JSON or asks for no tokens (400).
    """
    if request.method != b"POST" or request.path not in (_CHAT_PATH, _COMPLETIONS_PATH):
        raise Unreadable(404, "there is nothing here")
    try:
        asked = orjson.loads(request.body)
    except orjson.JSONDecodeError as exc:
        raise Unreadable(400, f"the body is not JSON: {exc}") from exc
    if not isinstance(asked, dict):
        raise Unreadable(400, "the body is not a JSON object")
    options = asked.get("stream_options") or {}
    return Order(
        chat=request.path == _CHAT_PATH,
        stream=asked.get("stream") is True,
        usage=isinstance(options, dict) and options.get("include_usage") is True,
        tokens=_tokens(asked),
        prompt_tokens=_prompt_tokens(asked),
    )


def _tokens(asked: Mapping[str, Any]) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        value = asked.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or not 1 <= value <= TOKENS_MAX:
            raise Unreadable(400, f"{name} must be a whole number from 1 to {TOKENS_MAX}, not {value!r}")
        return value
    return None


def _prompt_tokens(asked: Mapping[str, Any]) -> int:
    """Count the ids of a prompt given as token ids, else its words: there is no tokenizer here."""
    prompt = asked.get("prompt", asked.get("messages", ""))
    if isinstance(prompt, str):
        return prompt.count(" ") + 1
    if not isinstance(prompt, list):
        return 0
    if prompt and isinstance(prompt[0], int):
        return len(prompt)
    texts = (part.get("content") if isinstance(part, dict) else part for part in prompt)
    return sum(text.count(" ") + 1 for text in texts if isinstance(text, str))


@cache
def content_chunk(*, chat: bool, words: int, last: bool) -> bytes:
    """Build the event with so many words, framed as an HTTP chunk; the last one carries the finish reason."""
    text = WORD * words
    choice: dict[str, Any] = {"index": 0, "delta": {"content": text}} if chat else {"index": 0, "text": text}
    return _framed(_event(chat, [{**choice, "logprobs": None, "finish_reason": "length" if last else None}]))


@cache
def role_chunk(*, chat: bool) -> bytes:
    """Build the event that opens a chat answer, with a role and no text; the completions API has none."""
    if not chat:
        return b""
    delta = {"role": "assistant", "content": ""}
    return _framed(_event(chat, [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]))


def closing_chunks(order: Order, tokens: int) -> bytes:
    """Build what follows the last token: the usage event where it was asked for, ``[DONE]``, and the end of the body."""
    usage = _framed(_event(order.chat, [], usage=_usage(order, tokens))) if order.usage else b""
    return usage + _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"


def whole_answer(order: Order, tokens: int) -> bytes:
    """Build the complete response to a request that does not stream."""
    text = WORD * tokens
    choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": "length"}
    choice |= {"message": {"role": "assistant", "content": text}} if order.chat else {"text": text}
    kind = "chat.completion" if order.chat else "text_completion"
    return plain_answer(200, _envelope(kind, [choice], usage=_usage(order, tokens)))


def plain_answer(status: int, value: Mapping[str, Any]) -> bytes:
    """Build a complete JSON response."""
    body = orjson.dumps(value)
    head = f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def error_answer(error: Unreadable) -> bytes:
    """Build the response to a request that cannot be answered as asked."""
    return plain_answer(error.status, {"error": {"message": str(error), "type": "invalid_request_error", "code": error.status}})


def get_answer(path: bytes) -> bytes:
    """Build the response to a GET: the list of models, the health, or 404."""
    if path == b"/health":
        return plain_answer(200, {"status": "ok"})
    if path == b"/v1/models":
        return plain_answer(200, {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "inferbench"}]})
    return error_answer(Unreadable(404, "there is nothing here"))


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _event(chat: bool, choices: list[dict[str, Any]], **more: Any) -> bytes:
    kind = "chat.completion.chunk" if chat else "text_completion"
    return b"data: " + orjson.dumps(_envelope(kind, choices, **more)) + b"\n\n"


def _envelope(kind: str, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"id": "loopback-1", "object": kind, "created": 1_700_000_000, "model": MODEL, "choices": choices, **more}


def _usage(order: Order, tokens: int) -> dict[str, int]:
    total = order.prompt_tokens + tokens
    return {"prompt_tokens": order.prompt_tokens, "completion_tokens": tokens, "total_tokens": total}

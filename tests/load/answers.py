"""What servers answer, as bytes, and recordings of it: what the tests of the load stage are made of."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

from pytest_inferbench.load.recording import Ending, Recording

MS = 1_000_000
STREAM = (("Content-Type", "text/event-stream"),)

_CHAT = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1795326194, "model": "tiny"}


def chat(text: str | None = None, *, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """One event of a chat answer; further names go into its delta."""
    said = delta if text is None else {"content": text, **delta}
    return {**_CHAT, "choices": [{"index": 0, "delta": said, "finish_reason": finish}]}


def usage(prompt: int, output: int, **more: Any) -> dict[str, Any]:
    """An event with the usage and no choices."""
    counts = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
    return {**_CHAT, "choices": [], "usage": {**counts, **more}}


def sse(event: Any) -> bytes:
    """An event as a server writes it; bytes and text stand for themselves."""
    if isinstance(event, bytes):
        return event
    return b"data: " + (event if isinstance(event, str) else json.dumps(event)).encode() + b"\n\n"


def events(texts: Sequence[str], *, done: bool = True) -> list[Any]:
    """A whole chat answer: a role, these texts, a finish reason, the usage and ``[DONE]``."""
    said = [chat("", role="assistant"), *(chat(text) for text in texts)]
    return [*said, chat(finish="length"), usage(12, len(texts)), *(["[DONE]"] if done else [])]


def head(status: int = 200, reason: str = "OK", headers: Iterable[tuple[str, str]] = (), *, version: str = "1.1") -> bytes:
    """The head of an answer."""
    lines = [f"HTTP/{version} {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; an empty one ends it."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def streamed(said: Iterable[Any], *, headers: Sequence[tuple[str, str]] = STREAM) -> list[bytes]:
    """The pieces of a chunked answer: its head, a chunk an event, and the end."""
    start = head(headers=[*headers, ("Transfer-Encoding", "chunked")])
    return [start, *(chunk(sse(event)) for event in said), chunk(b"")]


def plain(body: bytes, status: int = 200, reason: str = "OK", headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """An answer with a length."""
    return head(status, reason, [*headers, ("Content-Length", str(len(body)))]) + body


def recording(
    pieces: Sequence[bytes], *, ending: Ending = Ending.COMPLETE, row: int = 0, note: str = "", sent_ns: int = 0
) -> Recording:
    """A recording in which each piece was a read of its own, the k-th (from 1) k ms after the send."""
    count = len(pieces)
    return Recording(
        row=row,
        intended_send_ns=sent_ns,
        send_ns=sent_ns,
        end_ns=sent_ns + (count + 1) * MS,
        ending=ending,
        resends=0,
        times_ns=array("q", [sent_ns + (i + 1) * MS for i in range(count)]),
        sizes=array("i", map(len, pieces)),
        data=b"".join(pieces),
        note=note,
    )


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """``data`` in pieces, cut at these places."""
    ends = sorted({place for place in places if 0 < place < len(data)})
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]

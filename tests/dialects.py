"""
Right answers and error answers in the manner of real servers, to be played by `tests.scripted`.

Each dialect is a list of server-sent events, written after what the server of that name really sends; `streamed` puts a list of
events into an HTTP answer. The events are separate pieces so that a test can drop, split or spoil one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tests.scripted import Answer, Step, Then

DONE = b"data: [DONE]\n\n"
CREATED = 1_795_325_563
PROMPT_TOKENS = 7

Framing = Literal["chunked", "length", "close"]


def event(value: object, *, blanks: bool = False) -> bytes:
    """One server-sent event with this JSON; ``blanks`` writes it as Python's ``json`` does by default."""
    separators = (", ", ": ") if blanks else (",", ":")
    return f"data: {json.dumps(value, ensure_ascii=False, separators=separators)}\n\n".encode()


def chunked(*parts: bytes, end: bool = True) -> list[bytes]:
    """Each part framed as one HTTP chunk, and the chunk that ends the body."""
    return [b"%x\r\n%b\r\n" % (len(part), part) for part in parts] + ([b"0\r\n\r\n"] if end else [])


def head(status: int = 200, *lines: str, content_type: str = "text/event-stream") -> bytes:
    """The head of an answer."""
    return "\r\n".join([f"HTTP/1.1 {status} Words", f"Content-Type: {content_type}", *lines, "", ""]).encode()


def streamed(events: Sequence[bytes], *, framing: Framing = "chunked", pause_s: float = 0.0, then: Then | None = None) -> Answer:
    """
    Put events into an answer, a piece each.

    Args:
        events: what the body is made of.
        framing: how the body's end is told: ``chunked``, by its ``length``, or by the ``close`` of the connection.
        pause_s: pause before each piece.
        then: as in `Answer`; by default ``close`` where the close is what ends the body, else ``keep``.
    """
    lines = {
        "chunked": ["Transfer-Encoding: chunked"],
        "length": [f"Content-Length: {sum(map(len, events))}"],
        "close": ["Connection: close"],
    }
    chunks: list[Step] = [*(chunked(*events) if framing == "chunked" else events)]
    ends: Then = "close" if framing == "close" else "keep"
    return Answer(head=head(200, *lines[framing]), chunks=chunks, pause_s=pause_s, then=then or ends)


def usage(output_tokens: int, **more: Any) -> dict[str, Any]:
    """The usage object for so many output tokens."""
    counts = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": output_tokens}
    return counts | {"total_tokens": PROMPT_TOKENS + output_tokens} | more


def llamacpp_chat(words: Sequence[str], *, with_usage: bool = True) -> list[bytes]:
    """
    llama.cpp, chat: a role event whose content is null; the finish reason in an event with an empty delta; usage and llama.cpp's
    own timings in an event without choices. Without usage, the timings are in the finish event.
    """
    rest = {"created": CREATED, "id": "chatcmpl-1", "model": "m", "system_fingerprint": "b0", "object": "chat.completion.chunk"}

    def choice(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        return event({"choices": [{"finish_reason": finish, "index": 0, "delta": delta}], **rest, **more})

    timings = _llamacpp_timings(len(words))
    events = [choice({"role": "assistant", "content": None}), *(choice({"content": word}) for word in words)]
    if not with_usage:
        return [*events, choice({}, "length", timings=timings), DONE]
    counts = usage(len(words), prompt_tokens_details={"cached_tokens": 0})
    return [*events, choice({}, "length"), event({"choices": [], **rest, "usage": counts, "timings": timings}), DONE]


def llamacpp_completions(words: Sequence[str]) -> list[bytes]:
    """llama.cpp, completions: usage and timings sit in the finish event, whose choices are not empty and whose text is."""
    rest = {"created": CREATED, "model": "m", "system_fingerprint": "b0", "object": "text_completion"}

    def choice(text: str, finish: str | None = None, **more: Any) -> bytes:
        choices = [{"text": text, "index": 0, "logprobs": None, "finish_reason": finish}]
        return event({"choices": choices, **rest, **more, "id": "chatcmpl-1"})

    counts = usage(len(words), prompt_tokens_details={"cached_tokens": 0})
    last = choice("", "length", usage=counts, timings=_llamacpp_timings(len(words)))
    return [*map(choice, words), last, DONE]


def _llamacpp_timings(tokens: int) -> dict[str, float]:
    return {"cache_n": 0, "prompt_n": PROMPT_TOKENS, "prompt_ms": 33.6, "predicted_n": tokens, "predicted_ms": 10.5 * tokens}


def vllm_chat(words: Sequence[str], *, with_usage: bool = True) -> list[bytes]:
    """vLLM, chat: a role event whose content is empty; the finish reason on the last event with content; usage in its own."""
    rest = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": CREATED, "model": "m"}

    def choice(delta: dict[str, str], finish: str | None = None) -> bytes:
        return event({**rest, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]})

    events = [choice({"role": "assistant", "content": ""}), *(choice({"content": word}) for word in words[:-1])]
    events.append(choice({"content": words[-1]}, "length"))
    return [*events, *_vllm_end(rest, len(words), with_usage)]


def vllm_completions(words: Sequence[str], *, with_usage: bool = True) -> list[bytes]:
    """vLLM, completions: as in chat, without the role event."""
    rest = {"id": "cmpl-1", "object": "text_completion", "created": CREATED, "model": "m"}

    def choice(text: str, finish: str | None = None) -> bytes:
        return event({**rest, "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": finish}]})

    return [*map(choice, words[:-1]), choice(words[-1], "length"), *_vllm_end(rest, len(words), with_usage)]


def _vllm_end(rest: Mapping[str, Any], tokens: int, with_usage: bool) -> list[bytes]:
    return [event({**rest, "choices": [], "usage": usage(tokens)}), DONE] if with_usage else [DONE]


def transformers_chat(words: Sequence[str], *, tokens: int | None = None) -> list[bytes]:
    """
    Serve as transformers does: no ``finish_reason`` key until the end, usage always and in the finish event, and no ``[DONE]``.

    ``tokens`` may exceed the words: it puts several tokens into an event.
    """
    rest = {"created": CREATED, "model": "m@main", "object": "chat.completion.chunk", "system_fingerprint": ""}

    def choice(delta: dict[str, str], **more: Any) -> bytes:
        return event({"id": "1", "choices": [{"delta": delta, "index": 0}], **rest, **more})

    count = len(words) if tokens is None else tokens
    counts = {"completion_tokens": count, "prompt_tokens": PROMPT_TOKENS, "total_tokens": PROMPT_TOKENS + count}
    finish = event({"id": "1", "choices": [{"delta": {}, "index": 0, "finish_reason": "length"}], **rest, "usage": counts})
    return [choice({"role": "assistant"}), *(choice({"content": word}) for word in words), finish]


def transformers_completions(words: Sequence[str]) -> list[bytes]:
    """Serve as transformers does: usage in the finish event, whose text is empty; no ``[DONE]``."""
    rest = {"created": CREATED, "model": "m@main", "object": "text_completion"}
    events = [event({"id": "1", "choices": [{"index": 0, "text": word}], **rest}) for word in words]
    choice = {"finish_reason": "length", "index": 0, "text": ""}
    return [*events, event({"id": "1", "choices": [choice], **rest, "usage": usage(len(words))})]


def guidellm_chat(words: Sequence[str]) -> list[bytes]:
    """The mock server of guidellm, chat: no role event, blanks in the JSON."""
    rest = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": CREATED, "model": "mock"}

    def choice(delta: dict[str, str], finish: str | None = None) -> bytes:
        return event({**rest, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}, blanks=True)

    last = event({**rest, "choices": [], "usage": usage(len(words))}, blanks=True)
    return [*(choice({"content": word}) for word in words), choice({}, "stop"), last, DONE]


def guidellm_completions(words: Sequence[str]) -> list[bytes]:
    """The mock server of guidellm, completions: the index of the choice counts the events."""
    rest = {"id": "cmpl-1", "object": "text_completion", "created": CREATED, "model": "mock"}

    def choice(index: int, text: str, finish: str | None = None) -> bytes:
        return event({**rest, "choices": [{"text": text, "index": index, "finish_reason": finish}]}, blanks=True)

    last = event({**rest, "choices": [], "usage": usage(len(words))}, blanks=True)
    return [*(choice(*pair) for pair in enumerate(words)), choice(len(words) - 1, "", "stop"), last, DONE]


def aimock_chat(words: Sequence[str]) -> list[bytes]:
    """The mock server aimock, chat: a role event, then text cut by characters, then the finish reason with an empty delta."""
    rest = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": CREATED, "model": "mock"}

    def choice(delta: dict[str, str], finish: str | None = None) -> bytes:
        return event({**rest, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]})

    role, last = choice({"role": "assistant", "content": ""}), event({**rest, "choices": [], "usage": usage(len(words))})
    return [role, *(choice({"content": word}) for word in words), choice({}, "stop"), last, DONE]


def error(status: int, body: object, *lines: str, content_type: str = "application/json", then: Then = "keep") -> Answer:
    """Build an error answer: JSON, or the text itself where ``body`` is a string."""
    data = (body if isinstance(body, str) else json.dumps(body, separators=(",", ":"))).encode()
    return Answer(head=head(status, f"Content-Length: {len(data)}", *lines, content_type=content_type) + data, then=then)


def llamacpp_error(code: int, message: str, kind: str, **more: int) -> Answer:
    """An error in llama.cpp's words; it closes the connection after each."""
    body = {"error": {"code": code, "message": message, "type": kind, **more}}
    return error(code, body, "Connection: close", content_type="application/json; charset=utf-8", then="close")


def llamacpp_too_long() -> Answer:
    """llama.cpp: the prompt does not fit."""
    message = "request (631 tokens) exceeds the available context size (256 tokens), try increasing it"
    return llamacpp_error(400, message, "exceed_context_size_error", n_prompt_tokens=631, n_ctx=256)


def llamacpp_wrong_key() -> Answer:
    """llama.cpp: a wrong or missing key."""
    return llamacpp_error(401, "Invalid API Key", "authentication_error")


def llamacpp_loading() -> Answer:
    """llama.cpp: the model is not loaded yet."""
    return llamacpp_error(503, "Loading model", "unavailable_error")


def vllm_too_long() -> Answer:
    """vLLM: more tokens asked for than the model has room for."""
    message = "max_tokens=99999 cannot be greater than max_model_len=2048. Please request fewer output tokens."
    return error(400, {"error": {"message": message, "type": "BadRequestError", "param": "max_tokens", "code": 400}})


def vllm_unknown_model() -> Answer:
    """vLLM: a model it does not serve."""
    message = "The model `nope` does not exist. Valid aliases: tiny-llama."
    return error(404, {"error": {"message": message, "type": "NotFoundError", "param": "model", "code": 404}})


def vllm_wrong_key() -> Answer:
    """vLLM: a wrong or missing key; the error is a string, not an object."""
    return error(401, {"error": "Unauthorized"})


def unknown_path() -> Answer:
    """FastAPI's answer to a path that is not there (vLLM, transformers)."""
    return error(404, {"detail": "Not Found"})


def html_not_found() -> Answer:
    """A web server's page, where somebody gave the address of one."""
    page = "<html><head><title>404 Not Found</title></head><body><h1>404 Not Found</h1><hr>nginx</body></html>"
    return error(404, page, content_type="text/html")


def html_welcome() -> Answer:
    """A web server's page with status 200: not an error by its status."""
    return error(200, "<!doctype html><html><body>Welcome</body></html>", content_type="text/html; charset=utf-8")


def rate_limited(retry_after_s: int = 2) -> Answer:
    """Too many requests."""
    body = {"error": {"message": "Rate limit reached", "type": "rate_limit_error", "code": "rate_limit_exceeded"}}
    return error(429, body, f"Retry-After: {retry_after_s}")


def overloaded(retry_after_s: int | None = None) -> Answer:
    """A proxy without a server behind it."""
    lines = [] if retry_after_s is None else [f"Retry-After: {retry_after_s}"]
    return error(503, "upstream connect error or disconnect/reset before headers", *lines, content_type="text/plain")


def stream_error(message: str = "the engine died") -> bytes:
    """An error inside a stream whose status was 200, as vLLM sends it."""
    return event({"error": {"message": message, "type": "InternalServerError", "param": None, "code": 500}})

"""
Right answers in the manner of APIs other than chat and completions, streamed and whole; to be played by `tests.scripted`.

Streamed answers are lists of server-sent events, a piece each, written after what servers of that API document or really send;
whole ones are the JSON document. All count `PROMPT_TOKENS` and a token for each word, where the API counts at all.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.dialects import CREATED, DONE, PROMPT_TOKENS, event, head, usage
from tests.scripted import Answer


def whole(document: object, *, content_type: str = "application/json") -> Answer:
    """An answer that is one JSON document."""
    data = json.dumps(document, ensure_ascii=False).encode()
    return Answer(head=head(200, f"Content-Length: {len(data)}", content_type=content_type), chunks=[data])


def named(kind: str, **fields: Any) -> bytes:
    """One event that says its type twice, as OpenAI's Responses and Anthropic do."""
    return f"event: {kind}\n".encode() + event({"type": kind, **fields})


def chat_whole(words: Sequence[str], **message: Any) -> dict[str, Any]:
    """A chat answer that was not streamed; further names go into its message."""
    said = {"role": "assistant", "content": "".join(words), **message}
    choices = [{"index": 0, "message": said, "logprobs": None, "finish_reason": "length"}]
    rest = {"id": "chatcmpl-1", "object": "chat.completion", "created": CREATED, "model": "m"}
    return {**rest, "choices": choices, "usage": usage(len(words), prompt_tokens_details={"cached_tokens": 0})}


def completion_whole(words: Sequence[str]) -> dict[str, Any]:
    """A completion that was not streamed."""
    choices = [{"index": 0, "text": "".join(words), "logprobs": None, "finish_reason": "length"}]
    return {"id": "cmpl-1", "object": "text_completion", "model": "m", "choices": choices, "usage": usage(len(words))}


def responses_usage(tokens: int, *, cached: int = 0) -> dict[str, Any]:
    """The usage of OpenAI's Responses."""
    return {
        "input_tokens": PROMPT_TOKENS,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": PROMPT_TOKENS + tokens,
    }


def responses_whole(words: Sequence[str], *, status: str = "completed", **fields: Any) -> dict[str, Any]:
    """A response that was not streamed; further names replace its fields."""
    text = {"type": "output_text", "annotations": [], "text": "".join(words)}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": [text]}
    rest = {"id": "resp_1", "object": "response", "created_at": CREATED, "model": "m", "error": None, "incomplete_details": None}
    return {**rest, "status": status, "output": [message], "usage": responses_usage(len(words)), **fields}


def responses(words: Sequence[str]) -> list[bytes]:
    """OpenAI's Responses: announcements, a text delta a token, the same text again, and the whole response with its usage."""
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    started = {**responses_whole([], status="in_progress"), "output": [], "usage": None}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    return [
        named("response.created", response=started),
        named("response.in_progress", response=started),
        named("response.output_item.added", output_index=0, item=item),
        named("response.content_part.added", **at, part={"type": "output_text", "text": ""}),
        *(named("response.output_text.delta", **at, delta=word) for word in words),
        named("response.output_text.done", **at, text="".join(words)),
        named("response.content_part.done", **at, part={"type": "output_text", "text": "".join(words)}),
        named("response.output_item.done", output_index=0, item={**item, "content": [{"text": "".join(words)}]}),
        named("response.completed", response=responses_whole(words)),
    ]


def anthropic_usage(tokens: int, *, read: int = 0, written: int = 0) -> dict[str, Any]:
    """Anthropic's usage: what came from a cache, or went into one, is not in ``input_tokens``."""
    fresh = PROMPT_TOKENS - read - written
    caches = {"cache_read_input_tokens": read, "cache_creation_input_tokens": written}
    return {"input_tokens": fresh, **caches, "output_tokens": tokens}


def anthropic_whole(words: Sequence[str]) -> dict[str, Any]:
    """A message that was not streamed."""
    blocks = [{"type": "text", "text": "".join(words)}]
    rest = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}
    return {**rest, "content": blocks, "stop_reason": "max_tokens", "stop_sequence": None, "usage": anthropic_usage(len(words))}


def anthropic(words: Sequence[str]) -> list[bytes]:
    """Anthropic's messages: usage in two parts, pings between, and no ``[DONE]``."""
    started = {**anthropic_whole([]), "content": [], "stop_reason": None, "usage": anthropic_usage(1)}
    return [
        named("message_start", message=started),
        named("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        named("ping"),
        *(named("content_block_delta", index=0, delta={"type": "text_delta", "text": word}) for word in words),
        named("content_block_stop", index=0),
        named("message_delta", delta={"stop_reason": "max_tokens"}, usage={"output_tokens": len(words)}),
        named("message_stop"),
    ]


def tgi_details(tokens: int) -> dict[str, Any]:
    """What Text Generation Inference says of a finished answer."""
    return {"finish_reason": "length", "generated_tokens": tokens, "seed": None, "input_length": PROMPT_TOKENS}


def tgi_whole(words: Sequence[str]) -> dict[str, Any]:
    """TGI's ``/generate``."""
    return {"generated_text": "".join(words), "details": tgi_details(len(words))}


def tgi(words: Sequence[str]) -> list[bytes]:
    """TGI's ``/generate_stream``: no blank after ``data:``, the whole text and its details on the last token, no ``[DONE]``."""

    def token(index: int, text: str) -> bytes:
        last = index == len(words)
        said = {"index": index, "token": {"id": 7, "text": text, "logprob": -0.5, "special": False}}
        end = {"generated_text": "".join(words), "details": tgi_details(len(words))} if last else {}
        return event({**said, "generated_text": None, "details": None, **end}).replace(b"data: ", b"data:", 1)

    return [token(index, word) for index, word in enumerate(words, start=1)]


def triton_whole(words: Sequence[str]) -> dict[str, Any]:
    """Triton's ``/generate``."""
    return {"model_name": "m", "model_version": "1", "sequence_end": False, "text_output": "".join(words)}


def triton(words: Sequence[str]) -> list[bytes]:
    """Triton's ``/generate_stream``: an event a token, and no word about the end."""
    return [event(triton_whole([word])) for word in words]


def embeddings_whole() -> dict[str, Any]:
    """One vector."""
    vectors = [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}]
    counts = {"prompt_tokens": PROMPT_TOKENS, "total_tokens": PROMPT_TOKENS}
    return {"object": "list", "data": vectors, "model": "m", "usage": counts}


def rerank_whole() -> dict[str, Any]:
    """Scores as vLLM and Jina give them."""
    results = [{"index": 0, "document": {"text": "a"}, "relevance_score": 0.9}]
    return {"id": "rerank-1", "model": "m", "usage": {"total_tokens": PROMPT_TOKENS}, "results": results}


def rerank_tei_whole() -> list[dict[str, Any]]:
    """Scores as Text Embeddings Inference gives them."""
    return [{"index": 0, "score": 0.9}]


def json_lines(words: Sequence[str]) -> list[bytes]:
    """A stream of one JSON document a line, as Ollama sends it."""
    lines = [{"model": "m", "response": word, "done": False} for word in words]
    return [json.dumps(line).encode() + b"\n" for line in [*lines, {"model": "m", "response": "", "done": True}]]


def own_events(words: Sequence[str]) -> list[bytes]:
    """An API of somebody's own: its text lies deep, and ``[DONE]`` ends it."""
    return [*(event({"result": {"outputs": [{"piece": word}]}}) for word in words), DONE]

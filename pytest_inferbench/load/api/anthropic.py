"""Anthropic messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_inferbench.load.api.api import (
    CONTENT,
    REASONING,
    TOOL,
    Api,
    Delta,
    Usage,
    count,
    mapping,
    merged,
    read_error,
    text_of,
)
from pytest_inferbench.load.content import Content

VERSION = "2023-06-01"
"""The API's only published version; a header of that name in a case's ``headers`` replaces it."""

_DELTA_TEXTS = {
    "text_delta": ("text", CONTENT),
    "thinking_delta": ("thinking", REASONING),
    "input_json_delta": ("partial_json", TOOL),
}


class Anthropic(Api):
    """``POST /v1/messages``; the key goes into ``x-api-key``."""

    name = "anthropic"

    def usual_path(self, *, stream: bool) -> str:
        """The same, streamed or not."""
        del stream
        return "/v1/messages"

    def headers(self, key: str | None) -> tuple[tuple[str, str], ...]:
        """The version, and the key under the name that this API has for it."""
        version = ("anthropic-version", VERSION)
        return (version,) if key is None else (version, ("x-api-key", key))

    def body(self, content: Content, *, model: str, output_tokens: int, extra: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of a request; what the system says stands apart from the conversation."""
        system = " ".join(message.text for message in content.messages if message.role == "system")
        body = {
            "model": model,
            "system": system or None,
            "messages": _messages(content),
            "max_tokens": output_tokens,
            "temperature": 0,
            "stream": self.stream,
        }
        return merged(body, extra)

    def delta(self, event: Any) -> Delta:
        """What an event says, by its type."""
        if not isinstance(event, dict):
            return Delta()
        kind = event.get("type")
        if kind == "content_block_delta":
            said = mapping(event.get("delta"))
            name, kinds = _DELTA_TEXTS.get(text_of(said.get("type")), ("", CONTENT))
            return Delta(text_of(said.get(name)), kinds=kinds)
        if kind == "content_block_start":
            text, kinds = _block_text(mapping(event.get("content_block")))
            return Delta(text, kinds=kinds)
        if kind == "message_start":
            # Its count of output tokens is one of the moment, and no count of the answer.
            return Delta(usage=_usage(mapping(event.get("message")), final=False))
        if kind == "message_delta":
            return Delta(finish=mapping(event.get("delta")).get("stop_reason"), usage=_usage(event, final=True))
        return Delta(error=read_error(event))

    def whole(self, answer: Any) -> Delta:
        """What an answer says: the texts of its blocks, its usage, or its error."""
        if not isinstance(answer, dict):
            return Delta()
        blocks = answer.get("content")
        said = [_block_text(mapping(block)) for block in blocks] if isinstance(blocks, list) else []
        return Delta(
            text="".join(text for text, _ in said),
            finish=answer.get("stop_reason"),
            usage=_usage(answer, final=True),
            error=read_error(answer),
            kinds=sum({kind for text, kind in said if text}),
        )


def _messages(content: Content) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [
        {"role": message.role, "content": message.text} for message in content.messages if message.role != "system"
    ]
    if content.images and messages:
        parts = [{"type": "image", "source": _source(url)} for url in content.images]
        messages[-1]["content"] = [*parts, {"type": "text", "text": messages[-1]["content"]}]
    return messages


def _source(url: str) -> dict[str, str]:
    """Where an image comes from: a data URL is taken apart, as this API wants it."""
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:"):
        return {"type": "url", "url": url}
    return {"type": "base64", "media_type": head.removeprefix("data:").removesuffix(";base64"), "data": data}


def _block_text(block: Mapping[str, Any]) -> tuple[str, int]:
    """The text of a content block and its kind; of a tool call its name, and its input where that is there already."""
    kind = text_of(block.get("type"))
    if kind.endswith("tool_use"):
        return f"{text_of(block.get('name'))}{block.get('input') or ''}", TOOL
    if kind == "thinking":
        return text_of(block.get("thinking")), REASONING
    return text_of(block.get("text")), CONTENT


def _usage(event: Mapping[str, Any], *, final: bool) -> Usage | None:
    """
    The usage of an event or an answer, or None.

    ``input_tokens`` counts only what came from no cache: prompt = input + read from a cache + written to one. A prompt of 0
    tokens is one that was not counted yet.
    """
    usage = event.get("usage")
    if not isinstance(usage, dict):
        return None
    read = count(usage.get("cache_read_input_tokens"))
    fresh = count(usage.get("input_tokens"))
    prompt = None if fresh is None else fresh + (read or 0) + (count(usage.get("cache_creation_input_tokens")) or 0)
    return Usage(prompt or None, count(usage.get("output_tokens")) if final else None, read)

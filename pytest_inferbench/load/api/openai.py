"""What OpenAI's APIs, and the many that are spelled after them, have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_inferbench.load.api.api import CONTENT, Delta, Usage, count, read_error
from pytest_inferbench.load.content import Content


def first_choice(event: Mapping[str, Any]) -> dict[str, Any]:
    """The first choice of an event or an answer; empty where there is none."""
    choices = event.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        choice: dict[str, Any] = choices[0]
        return choice
    return {}


def read_rest(event: Mapping[str, Any], choice: Mapping[str, Any], text: str, kinds: int = CONTENT) -> Delta:
    """The text of an event or an answer together with all that is spelled alike in these APIs."""
    token_ids = choice.get("token_ids")
    return Delta(
        text,
        len(token_ids) if isinstance(token_ids, list) else None,
        choice.get("finish_reason"),
        read_usage(event) if "usage" in event else None,
        read_error(event) if "error" in event or not choice else None,
        kinds,
    )


def read_usage(event: Mapping[str, Any]) -> Usage | None:
    """The ``usage`` of an event or an answer, or None."""
    usage = event.get("usage")
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return Usage(count(usage.get("prompt_tokens")), count(usage.get("completion_tokens")), count(cached))


def chat_messages(content: Content) -> list[dict[str, Any]]:
    """The conversation as chat completions take it; images stand before the text of the last message."""
    messages: list[dict[str, Any]] = [{"role": message.role, "content": message.text} for message in content.messages]
    if content.images and messages:
        parts = [{"type": "image_url", "image_url": {"url": url}} for url in content.images]
        messages[-1]["content"] = [*parts, {"type": "text", "text": messages[-1]["content"]}]
    return messages

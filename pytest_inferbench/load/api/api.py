"""What an API is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol


class Usage(NamedTuple):
    """Token counts as the server states them; None where it states none."""

    prompt_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None


class Delta(NamedTuple):
    """
    What one event adds.

    ``text`` is content, reasoning or tool-call text: a first token is the first event whose text is not empty. ``tokens`` is
    how many tokens it holds where the server says so. ``error`` is the server's own message.
    """

    text: str = ""
    tokens: int | None = None
    finish: str | None = None
    usage: Usage | None = None
    error: str | None = None


class Api(Protocol):
    """One API of model servers."""

    name: str
    path: str

    def body(self, *, model: str, prompt: str, output_tokens: int, extra: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of a streaming request; ``extra`` overrides, and a None in it takes a field away."""
        ...

    def delta(self, event: Any) -> Delta:
        """What a decoded event of the answer says; anything odd in it counts as nothing said."""
        ...


def merged(body: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """``body`` with ``extra`` laid over it; None takes a field away."""
    return {name: value for name, value in {**body, **extra}.items() if value is not None}


def first_choice(event: Mapping[str, Any]) -> dict[str, Any]:
    """The first choice of an OpenAI-shaped event; empty where there is none."""
    choices = event.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        choice: dict[str, Any] = choices[0]
        return choice
    return {}


def read_rest(event: Mapping[str, Any], choice: Mapping[str, Any], text: str) -> Delta:
    """The text of an OpenAI-shaped event together with all that is spelled alike in its APIs."""
    token_ids = choice.get("token_ids")
    return Delta(
        text,
        len(token_ids) if isinstance(token_ids, list) else None,
        choice.get("finish_reason"),
        read_usage(event) if "usage" in event else None,
        read_error(event) if "error" in event or not choice else None,
    )


def read_usage(event: Mapping[str, Any]) -> Usage | None:
    """The ``usage`` of an OpenAI-shaped event, or None."""
    usage = event.get("usage")
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")), _count(cached))


def read_error(event: Mapping[str, Any]) -> str | None:
    """The server's message where the event is an error: OpenAI's ``{"error": {"message": ...}}`` and its many dialects."""
    error = event.get("error")
    if not error:
        if event.get("object") != "error":
            return None
        error = event
    if isinstance(error, dict):
        return str(error.get("message") or error)
    return str(error)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None

"""
What a server answered, and what is wrong with it, in sentences that hold the server's own words.

Rule: no I/O here; `probe` asks, this judges.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pytest_inferbench.errors import EngineError
from pytest_inferbench.redaction import redact_text

_WORDS_MAX = 200


class NoAnswer(EngineError):
    """A server gave no whole HTTP answer; says what it did instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One whole HTTP answer; ``retry_after`` is the header as sent."""

    url: str
    status: int
    content_type: str = ""
    body: bytes = b""
    retry_after: str | None = None

    @property
    def is_html(self) -> bool:
        """Whether it is a web page, whatever its header says."""
        start = self.body.lstrip()[:15].lower()
        return "html" in self.content_type or start.startswith((b"<!doctype html", b"<html"))

    def json(self) -> Any:
        """The body as JSON, or None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def words(self) -> str:
        """What the server itself says, printable and without secrets: its error's message, else the start of the body."""
        return printable(_message(self.json()) or self.body.decode(errors="replace"))


def printable(text: str, *, characters_max: int = _WORDS_MAX) -> str:
    """Text from outside as it may stand in a message: one line, no control characters, no secrets, not too long."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    line = redact_text(line)
    return line if len(line) <= characters_max else f"{line[:characters_max]}..."


def trouble(answer: Answer, *, api_key_env: str | None = None) -> str | None:
    """None for a good answer with JSON in it, else a sentence; ``api_key_env`` is the variable that should hold the key."""
    said = f"{answer.url} answered {_status(answer.status)}"
    quoted = f': "{answer.words()}"' if answer.words() else " and nothing more"
    advice = _advice(answer, api_key_env)
    if advice is not None:
        return f"{said}{quoted}; {advice}"
    if answer.is_html:
        return f"{said} with a web page (HTML) rather than JSON{quoted}; is this the address of an OpenAI-compatible API?"
    if answer.status != 200:
        return f"{said}{quoted}"
    return None if answer.json() is not None else f"{said} with something that is not JSON{quoted}"


def _advice(answer: Answer, api_key_env: str | None) -> str | None:
    if answer.status in {401, 403}:
        return "it wants a key" + (f": set the environment variable {api_key_env} to one that it accepts" if api_key_env else "")
    if answer.status == 429:
        when = f" (it says to try again after {printable(answer.retry_after)} s)" if answer.retry_after else ""
        return f"its limit of requests is reached{when}"
    if 300 <= answer.status < 400:
        return "it is a redirection: give the address that it leads to"
    return None


def completion_trouble(answer: Answer, *, api_key_env: str | None = None) -> str | None:
    """As `trouble`, for an answer that must be a completion: JSON with at least one choice."""
    reason = trouble(answer, api_key_env=api_key_env)
    if reason is not None:
        return reason
    data = answer.json()
    if not isinstance(data, dict) or not isinstance(data.get("choices"), list) or not data["choices"]:
        return f'{answer.url} answered JSON that is no completion (it has no choices): "{answer.words()}"'
    return None


def list_trouble(answer: Answer, *, name: str) -> str | None:
    """As `trouble`, for an answer that must be a JSON object with a list of that name which is not empty."""
    reason = trouble(answer)
    if reason is not None:
        return reason
    data = answer.json()
    if not isinstance(data, dict) or not isinstance(data.get(name), list) or not data[name]:
        return f'{answer.url} answered JSON without {name}: "{answer.words()}"'
    return None


def model_names(answer: Answer) -> tuple[str, ...] | None:
    """The models that ``/v1/models`` lists; None where the answer is no such list."""
    data = answer.json() if answer.status == 200 else None
    entries = data.get("data") if isinstance(data, dict) else None
    if not isinstance(entries, list):
        return None
    return tuple(entry["id"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str))


def owner(answer: Answer) -> str | None:
    """Which engine ``/v1/models`` says it is, by who owns its first model: vLLM and llama.cpp write their own name there."""
    data = answer.json() if answer.status == 200 else None
    entries = data.get("data") if isinstance(data, dict) else None
    first = entries[0] if isinstance(entries, list) and entries else None
    value = first.get("owned_by") if isinstance(first, dict) else None
    return value if isinstance(value, str) else None


def _message(data: Any) -> str | None:
    # OpenAI has an object "error" with a "message", TGI a text "error", older servers a "message", FastAPI a "detail".
    if not isinstance(data, dict):
        return None
    error = data.get("error")
    candidates = (error.get("message") if isinstance(error, dict) else error, data.get("message"), data.get("detail"))
    return next((text for text in candidates if isinstance(text, str) and text.strip()), None)


def _status(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)

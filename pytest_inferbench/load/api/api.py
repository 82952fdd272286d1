"""What an API is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from pytest_inferbench.cases.case import ApiOptions
from pytest_inferbench.load.content import Content

USUAL = ApiOptions()
CONTENT, REASONING, TOOL = 1, 2, 4
"""Kinds of text that an event may add; they add up where it adds several."""


class Usage(NamedTuple):
    """Token counts as the server states them; None where it states none."""

    prompt_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None


class Delta(NamedTuple):
    """
    What one event adds, or what a whole answer says.

    ``text`` is content, reasoning or tool-call text: a first token is the first event whose text is not empty. ``tokens`` is
    how many tokens it holds where the server says so. ``error`` is the server's own message. ``kinds`` says what the text is.
    """

    text: str = ""
    tokens: int | None = None
    finish: str | None = None
    usage: Usage | None = None
    error: str | None = None
    kinds: int = CONTENT


class Api(ABC):
    """
    One API of model servers, spelled as the options want it.

    Attributes:
        name: what suites call it.
        makes_tokens: its answers are text; False for embeddings and the like, which have an end and nothing before it.
        marks_end: a streamed answer says that it is whole, beyond the framing of HTTP.
        answers_bytes: an answer is neither events nor JSON; its first and last bytes are what tokens are elsewhere.
        wants_token_ids: its prompts are numbers of tokens rather than text.
        stream: answers come event by event; else each is one JSON document.
        path: below the endpoint's URL; may hold ``{model}``.
    """

    name: ClassVar[str]
    makes_tokens: ClassVar[bool] = True
    marks_end: ClassVar[bool] = True
    answers_bytes: ClassVar[bool] = False
    wants_token_ids: bool = False

    def __init__(self, options: ApiOptions = USUAL) -> None:
        self.stream = options.stream and self.makes_tokens
        self.path = options.path or self.usual_path(stream=self.stream)

    @property
    def accept(self) -> str:
        """The media type asked for."""
        return "text/event-stream" if self.stream else "application/json"

    @abstractmethod
    def usual_path(self, *, stream: bool) -> str:
        """Where the API is, unless the options say something else."""

    def headers(self, key: str | None) -> tuple[tuple[str, str], ...]:
        """Headers of the API's own: how it takes a key, and whatever else it wants."""
        return () if key is None else (("Authorization", f"Bearer {key}"),)

    @abstractmethod
    def body(self, content: Content, *, model: str, output_tokens: int, extra: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of a request; ``extra`` is laid over it, and a None in it takes a field away."""

    def delta(self, event: Any) -> Delta:
        """What a decoded event of a streamed answer says; anything odd in it counts as nothing said."""
        del event
        return Delta()

    @abstractmethod
    def whole(self, answer: Any) -> Delta:
        """What a whole, decoded JSON answer says."""


def merged(body: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """``body`` with ``extra`` laid over it, objects field by field; None takes a field away."""
    laid = dict(body)
    for name, value in extra.items():
        below = laid.get(name)
        laid[name] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return {name: value for name, value in laid.items() if value is not None}


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


def count(value: Any) -> int | None:
    """A number of tokens; None for anything that is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def mapping(value: Any) -> Mapping[str, Any]:
    """A JSON object; empty for anything that is none."""
    return value if isinstance(value, dict) else {}


def text_of(value: Any) -> str:
    """A text; empty for anything that is none."""
    return value if isinstance(value, str) else ""

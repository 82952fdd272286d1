"""OpenAI speech: a text is spoken, and the answer is the sound itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_inferbench.cases.case import ApiOptions
from pytest_inferbench.load.api.api import USUAL, Api, Delta, mapping, merged, read_error
from pytest_inferbench.load.content import Content

_VOICE = "alloy"
_FORMAT = "wav"


class Speech(Api):
    """
    ``POST /v1/audio/speech``: sound, as it is made.

    There are no tokens; the first byte of sound stands for the first one, and the last byte for the last one. Another voice or
    format is asked for in the extra body.
    """

    name = "speech"
    makes_tokens = False
    marks_end = False
    answers_bytes = True

    def __init__(self, options: ApiOptions = USUAL) -> None:
        super().__init__(options)
        # The sound comes piece by piece though there are no tokens.
        self.stream = options.stream

    @property
    def accept(self) -> str:
        """Any format of sound."""
        return "*/*"

    def usual_path(self, *, stream: bool) -> str:
        """The same, however the sound comes."""
        del stream
        return "/v1/audio/speech"

    def body(self, content: Content, *, model: str, output_tokens: int, extra: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of a request."""
        del output_tokens
        return merged({"model": model, "input": content.text, "voice": _VOICE, "response_format": _FORMAT}, extra)

    def whole(self, answer: Any) -> Delta:
        """What a JSON document says in place of sound: an error, whatever it is."""
        return Delta(error=read_error(mapping(answer)) or f"JSON where sound was asked for: {answer}")

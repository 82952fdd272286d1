"""Triton's generate extension, as its TensorRT-LLM backend takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_inferbench.load.api.api import Api, Delta, merged, read_error, text_of
from pytest_inferbench.load.content import Content


class Triton(Api):
    """
    ``POST /v2/models/{model}/generate_stream``, or ``/generate`` for a whole answer.

    No usage, and no end but that of the stream: tokens are counted by events.
    """

    name = "triton"
    marks_end = False

    def usual_path(self, *, stream: bool) -> str:
        """A path for each of both."""
        return "/v2/models/{model}/generate_stream" if stream else "/v2/models/{model}/generate"

    def body(self, content: Content, *, model: str, output_tokens: int, extra: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of a request; ``accumulate_tokens`` stays away, because events must hold new text only."""
        del model
        body = {"text_input": content.text, "max_tokens": output_tokens, "temperature": 0.0, "stream": self.stream}
        return merged(body, extra)

    def delta(self, event: Any) -> Delta:
        """What an event says: its text, or its error."""
        if not isinstance(event, dict):
            return Delta()
        return Delta(text_of(event.get("text_output")), error=read_error(event))

    def whole(self, answer: Any) -> Delta:
        """What an answer says; it is spelled as an event is."""
        return self.delta(answer)

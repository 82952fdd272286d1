"""OpenAI completions, streamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_inferbench.load.api.api import Delta, first_choice, merged, read_rest


class Completions:
    """``POST /v1/completions`` with a text prompt."""

    name = "completions"
    path = "/v1/completions"

    def body(self, *, model: str, prompt: str, output_tokens: int, extra: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of a streaming request."""
        body = {
            "model": model,
            "prompt": prompt,
            "max_tokens": output_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return merged(body, extra)

    def delta(self, event: Any) -> Delta:
        """What an event says: the text of its first choice, its usage, or its error."""
        if not isinstance(event, dict):
            return Delta()
        choice = first_choice(event)
        text = choice.get("text")
        return read_rest(event, choice, text if isinstance(text, str) else "")

"""OpenAI completions, streamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_inferbench.load.api.api import Delta, merged, read_error, read_usage


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
        choices = event.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        text = choice.get("text")
        token_ids = choice.get("token_ids")
        return Delta(
            text=text if isinstance(text, str) else "",
            tokens=len(token_ids) if isinstance(token_ids, list) else None,
            finish=choice.get("finish_reason"),
            usage=read_usage(event),
            error=None if choices else read_error(event),
        )

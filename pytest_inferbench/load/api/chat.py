"""OpenAI chat completions, streamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_inferbench.load.api.api import Delta, merged, read_error, read_usage


class Chat:
    """``POST /v1/chat/completions`` with one user message."""

    name = "chat"
    path = "/v1/chat/completions"

    def body(self, *, model: str, prompt: str, output_tokens: int, extra: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of a streaming request."""
        body = {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": output_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return merged(body, extra)

    def delta(self, event: Any) -> Delta:
        """What an event says: the delta of its first choice, its usage, or its error."""
        if not isinstance(event, dict):
            return Delta()
        choices = event.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        said = choice.get("delta")
        token_ids = choice.get("token_ids")
        return Delta(
            text=_text(said) if isinstance(said, dict) else "",
            tokens=len(token_ids) if isinstance(token_ids, list) else None,
            finish=choice.get("finish_reason"),
            usage=read_usage(event),
            error=None if choices else read_error(event),
        )


def _text(said: Mapping[str, Any]) -> str:
    """Content, reasoning (by either of its names) and tool-call text of a delta."""
    text = said.get("content") or said.get("reasoning_content") or said.get("reasoning") or ""
    if not text and said.get("tool_calls"):
        functions = (call.get("function") for call in said["tool_calls"] if isinstance(call, dict))
        text = "".join(f"{f.get('name') or ''}{f.get('arguments') or ''}" for f in functions if isinstance(f, dict))
    return text if isinstance(text, str) else ""

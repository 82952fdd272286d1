"""OpenAI chat completions, streamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_inferbench.load.api.api import Delta, first_choice, merged, read_rest


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
        choice = first_choice(event)
        said = choice.get("delta")
        return read_rest(event, choice, _text(said) if isinstance(said, dict) else "")


def _text(said: Mapping[str, Any]) -> str:
    """Content, reasoning (by either of its names) and tool-call text of a delta."""
    text = said.get("content") or said.get("reasoning_content") or said.get("reasoning") or ""
    if text:
        return text if isinstance(text, str) else ""
    calls = said.get("tool_calls")
    if not isinstance(calls, list):
        return ""
    functions = (call.get("function") for call in calls if isinstance(call, dict))
    return "".join(f"{f.get('name') or ''}{f.get('arguments') or ''}" for f in functions if isinstance(f, dict))

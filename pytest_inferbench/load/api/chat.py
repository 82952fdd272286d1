"""OpenAI chat completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_inferbench.load.api.api import CONTENT, REASONING, TOOL, Api, Delta, merged, text_of
from pytest_inferbench.load.api.openai import chat_messages, first_choice, read_rest
from pytest_inferbench.load.content import Content


class Chat(Api):
    """``POST /v1/chat/completions``."""

    name = "chat"

    def usual_path(self, *, stream: bool) -> str:
        """The same, streamed or not."""
        del stream
        return "/v1/chat/completions"

    def body(self, content: Content, *, model: str, output_tokens: int, extra: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of a request."""
        body = {
            "model": model,
            "messages": chat_messages(content),
            "max_tokens": output_tokens,
            "temperature": 0,
            "stream": self.stream,
            "stream_options": {"include_usage": True} if self.stream else None,
        }
        return merged(body, extra)

    def delta(self, event: Any) -> Delta:
        """What an event says: the delta of its first choice, its usage, or its error."""
        if not isinstance(event, dict):
            return Delta()
        choice = first_choice(event)
        said = choice.get("delta")
        return read_rest(event, choice, *_said(said)) if isinstance(said, dict) else read_rest(event, choice, "")

    def whole(self, answer: Any) -> Delta:
        """What an answer says: the message of its first choice, its usage, or its error."""
        if not isinstance(answer, dict):
            return Delta()
        choice = first_choice(answer)
        said = choice.get("message")
        return read_rest(answer, choice, *_said(said)) if isinstance(said, dict) else read_rest(answer, choice, "")


def _said(said: Mapping[str, Any]) -> tuple[str, int]:
    """Content, reasoning (by either of its names) and tool-call text of a delta or a message, and which of them there are."""
    content = said.get("content")
    thought = said.get("reasoning_content") or said.get("reasoning")
    calls = said.get("tool_calls")
    if not thought and not calls:
        return (content, CONTENT) if isinstance(content, str) else ("", CONTENT)
    texts = {CONTENT: text_of(content), REASONING: text_of(thought), TOOL: _called(calls)}
    return "".join(texts.values()), sum(kind for kind, text in texts.items() if text)


def _called(calls: Any) -> str:
    if not isinstance(calls, list):
        return ""
    functions = (call.get("function") for call in calls if isinstance(call, dict))
    return "".join(f"{f.get('name') or ''}{f.get('arguments') or ''}" for f in functions if isinstance(f, dict))

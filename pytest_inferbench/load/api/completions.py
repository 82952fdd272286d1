"""OpenAI completions, of a text or of token ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_inferbench.load.api.api import Api, Delta, merged, text_of
from pytest_inferbench.load.api.openai import first_choice, read_rest
from pytest_inferbench.load.content import Content


class Completions(Api):
    """``POST /v1/completions`` with a text prompt."""

    name = "completions"

    def usual_path(self, *, stream: bool) -> str:
        """The same, streamed or not."""
        del stream
        return "/v1/completions"

    def body(self, content: Content, *, model: str, output_tokens: int, extra: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of a request."""
        body = {
            "model": model,
            "prompt": self.prompt(content),
            "max_tokens": output_tokens,
            "temperature": 0,
            "stream": self.stream,
            "stream_options": {"include_usage": True} if self.stream else None,
        }
        return merged(body, extra)

    def prompt(self, content: Content) -> str | list[int]:
        """The prompt as the request carries it."""
        return content.text

    def delta(self, event: Any) -> Delta:
        """What an event says: the text of its first choice, its usage, or its error."""
        if not isinstance(event, dict):
            return Delta()
        choice = first_choice(event)
        return read_rest(event, choice, text_of(choice.get("text")))

    def whole(self, answer: Any) -> Delta:
        """What an answer says; it is spelled as an event is."""
        return self.delta(answer)


class CompletionsOfTokens(Completions):
    """``POST /v1/completions`` with a prompt of token ids: the server's tokenizer has no part in it."""

    name = "completions-tokens"
    wants_token_ids = True

    def prompt(self, content: Content) -> str | list[int]:
        """The numbers of the prompt's tokens."""
        return list(content.token_ids)

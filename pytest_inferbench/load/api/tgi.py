"""Text Generation Inference's own API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_inferbench.load.api.api import Api, Delta, Usage, count, mapping, merged, read_error, text_of
from pytest_inferbench.load.content import Content


class Tgi(Api):
    """``POST /generate_stream``, or ``/generate`` for a whole answer; the server has one model and is not told its name."""

    name = "tgi"

    def usual_path(self, *, stream: bool) -> str:
        """A path for each of both."""
        return "/generate_stream" if stream else "/generate"

    def body(self, content: Content, *, model: str, output_tokens: int, extra: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of a request; what ``extra`` has under ``parameters`` joins those that are there."""
        del model
        parameters = {"max_new_tokens": output_tokens, "do_sample": False, "details": True}
        return merged({"inputs": content.text, "parameters": parameters}, extra)

    def delta(self, event: Any) -> Delta:
        """What an event says: one token, and in the last one how many there were."""
        if not isinstance(event, dict):
            return Delta()
        token = event.get("token")
        if not isinstance(token, dict):
            return Delta(error=read_error(event))
        # The token that ends an answer is no text: nobody is shown it.
        text = "" if token.get("special") else text_of(token.get("text"))
        if event.get("generated_text") is None and not event.get("details"):
            return Delta(text, 1)
        details = mapping(event.get("details"))
        return Delta(text, 1, text_of(details.get("finish_reason")) or "stop", _usage(details))

    def whole(self, answer: Any) -> Delta:
        """What an answer says: its text, and how many tokens that is."""
        # An answer to a list of one prompt is a list of one answer.
        if isinstance(answer, list) and len(answer) == 1:
            answer = answer[0]
        if not isinstance(answer, dict):
            return Delta()
        details = mapping(answer.get("details"))
        finish = text_of(details.get("finish_reason")) or None
        return Delta(text_of(answer.get("generated_text")), finish=finish, usage=_usage(details), error=read_error(answer))


def _usage(details: Mapping[str, Any]) -> Usage | None:
    if not details:
        return None
    return Usage(count(details.get("input_length")), count(details.get("generated_tokens")), None)

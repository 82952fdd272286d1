"""Any JSON endpoint, by a template of its request and a path to the text of its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_inferbench.cases.case import ApiOptions
from pytest_inferbench.cases.template import BodyTemplate, TextPath
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.load.api.api import USUAL, Api, Delta, merged, read_error, text_of
from pytest_inferbench.load.api.openai import chat_messages, read_usage
from pytest_inferbench.load.content import Content


class Template(Api):
    """
    Wherever ``path`` says; ``body`` is the request with placeholders, ``text`` where an event or the answer has its text.

    Raises:
        ConfigError: one of the three is missing or cannot be read.
    """

    name = "template"
    marks_end = False

    def __init__(self, options: ApiOptions = USUAL) -> None:
        super().__init__(options)
        for name, given in (("path", options.path), ("body", options.body), ("text", options.text)):
            if not given:
                raise ConfigError("is missing; api 'template' needs path, body and text", field=name)
        self._body = BodyTemplate.parse(options.body)
        self._text = TextPath.parse(options.text)
        self.wants_token_ids = "token_ids" in self._body.placeholders

    @property
    def accept(self) -> str:
        """Anything: nobody knows what such an endpoint says of its streams."""
        return "*/*" if self.stream else "application/json"

    def usual_path(self, *, stream: bool) -> str:
        """None."""
        del stream
        return ""

    def body(self, content: Content, *, model: str, output_tokens: int, extra: Mapping[str, Any]) -> dict[str, Any]:
        """The template with its placeholders filled."""
        values = {
            "prompt": content.text,
            "messages": chat_messages(content),
            "documents": list(content.documents),
            "images": list(content.images),
            "token_ids": list(content.token_ids),
            "output_tokens": output_tokens,
            "model": model,
        }
        return merged(self._body.filled(values), extra)

    def delta(self, event: Any) -> Delta:
        """What an event says: the text at the path, a usage in OpenAI's manner, or an error."""
        text = text_of(self._text.pick(event))
        if not isinstance(event, dict):
            return Delta(text)
        return Delta(text, usage=read_usage(event), error=read_error(event))

    def whole(self, answer: Any) -> Delta:
        """What an answer says; it is read as an event is."""
        return self.delta(answer)

"""OpenAI embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_inferbench.load.api.api import Api, Delta, mapping, merged, read_error
from pytest_inferbench.load.api.openai import read_usage
from pytest_inferbench.load.content import Content


class Embeddings(Api):
    """``POST /v1/embeddings``: one vector for each text, all at once."""

    name = "embeddings"
    makes_tokens = False

    def usual_path(self, *, stream: bool) -> str:
        """Never streamed."""
        del stream
        return "/v1/embeddings"

    def body(self, content: Content, *, model: str, output_tokens: int, extra: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of a request: the documents, or the text where there are none."""
        del output_tokens
        return merged({"model": model, "input": list(content.documents) or content.text}, extra)

    def whole(self, answer: Any) -> Delta:
        """What an answer says: that it has vectors, and the usage."""
        answer = mapping(answer)
        error = read_error(answer)
        if error is None and not _has_vectors(answer.get("data")):
            error = "it has no embedding"
        return Delta(usage=read_usage(answer), error=error)


def _has_vectors(data: Any) -> bool:
    """Whether every entry has numbers, or the text that encodes them."""
    return isinstance(data, list) and bool(data) and all(mapping(entry).get("embedding") for entry in data)

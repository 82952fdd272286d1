"""Ranking documents against a query, in the two ways that servers spell it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_inferbench.load.api.api import Api, Delta, Usage, count, mapping, merged, read_error
from pytest_inferbench.load.content import Content

_QUERY_SHARE = 8


class Rerank(Api):
    """``POST /v1/rerank`` as Cohere and Jina spell it: documents in, ``results`` with a ``relevance_score`` each out."""

    name = "rerank"
    makes_tokens = False

    def usual_path(self, *, stream: bool) -> str:
        """Never streamed."""
        del stream
        return "/v1/rerank"

    def body(self, content: Content, *, model: str, output_tokens: int, extra: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of a request."""
        del output_tokens
        query, documents = query_and_documents(content)
        return merged({"model": model, "query": query, "documents": documents}, extra)

    def whole(self, answer: Any) -> Delta:
        """What an answer says: that it ranks something, and the usage."""
        answer = mapping(answer)
        error = read_error(answer)
        if error is None and not _all_scored(answer.get("results"), "relevance_score"):
            error = "it has no results with a relevance_score"
        return Delta(usage=_usage(answer), error=error)


class RerankTei(Api):
    """``POST /rerank`` as Text Embeddings Inference spells it: ``texts`` in, a list with a ``score`` each out."""

    name = "rerank-tei"
    makes_tokens = False

    def usual_path(self, *, stream: bool) -> str:
        """Never streamed."""
        del stream
        return "/rerank"

    def body(self, content: Content, *, model: str, output_tokens: int, extra: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of a request; the server has one model and is not told its name."""
        del model, output_tokens
        query, texts = query_and_documents(content)
        return merged({"query": query, "texts": texts}, extra)

    def whole(self, answer: Any) -> Delta:
        """What an answer says: that it ranks something; it has no usage."""
        error = read_error(mapping(answer))
        if error is None and not _all_scored(answer, "score"):
            error = "it is no list with a score for each text"
        return Delta(error=error)


def query_and_documents(content: Content) -> tuple[str, list[str]]:
    """
    The query and what is ranked against it.

    Content without documents is one text: the first eighth of its words, and one at least, are the query, the rest is the one
    document.
    """
    if content.documents:
        return content.text, list(content.documents)
    words = content.text.split(" ")
    at = max(1, len(words) // _QUERY_SHARE)
    return " ".join(words[:at]), [" ".join(words[at:]) or words[0]]


def _all_scored(results: Any, name: str) -> bool:
    scores = [mapping(each).get(name) for each in results] if isinstance(results, list) else []
    return bool(scores) and all(isinstance(score, int | float) and not isinstance(score, bool) for score in scores)


def _usage(answer: Mapping[str, Any]) -> Usage | None:
    """The tokens read: by ``usage`` (Jina, vLLM, llama.cpp) or ``meta`` (Cohere)."""
    usage = mapping(answer.get("usage"))
    tokens = count(usage.get("prompt_tokens"))
    if tokens is None:
        tokens = count(usage.get("total_tokens"))
    if tokens is None:
        tokens = count(mapping(mapping(answer.get("meta")).get("tokens")).get("input_tokens"))
    return None if tokens is None else Usage(tokens, None, None)

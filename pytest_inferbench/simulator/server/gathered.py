"""
Answers that are no text: vectors, ranks, tokens.

Rule: pure. Vectors and scores follow from the texts alone, and mean nothing.
"""

from __future__ import annotations

import base64
import random
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from zlib import crc32

from pytest_inferbench.simulator.server import asking
from pytest_inferbench.simulator.server.asking import Ask
from pytest_inferbench.simulator.server.pages import Facts
from pytest_inferbench.simulator.server.tokens import Piece, numbers, text_of

Body = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """
    A path that answers with something that is no text.

    Attributes:
        read: makes an ask of the JSON.
        body: makes the answer of the JSON, the ask, the model's name, and the size of its vectors.
    """

    read: Callable[[Mapping[str, Any]], Ask]
    body: Callable[[Mapping[str, Any], Ask, str, int], Any]


def _embeddings(asked: Mapping[str, Any], ask: Ask, model: str, hidden: int) -> Body:
    wanted = asked.get("dimensions")
    size = wanted if type(wanted) is int and 1 <= wanted <= hidden else hidden
    encoded = asked.get("encoding_format") == "base64"
    vectors = [_vector(prompt, size) for prompt in ask.prompts]
    data = [
        {"index": at, "object": "embedding", "embedding": _base64(vector) if encoded else vector}
        for at, vector in enumerate(vectors)
    ]
    return {"object": "list", "data": data, "model": model, "usage": {**_usage(ask), "completion_tokens": 0}}


def _vector(prompt: Sequence[Piece], size: int) -> list[float]:
    draw = random.Random(_digest(prompt))  # noqa: S311 - numbers that repeat, nothing secret
    return [round(draw.random() - 0.5, 6) for _ in range(size)]


def _base64(vector: list[float]) -> str:
    return base64.b64encode(array("f", vector).tobytes()).decode("ascii")


def _rerank(asked: Mapping[str, Any], ask: Ask, model: str, hidden: int) -> Body:
    del hidden
    documents = asked["documents"]
    texts = [document if isinstance(document, str) else str(document.get("text", "")) for document in documents]
    results = [{"index": at, "document": {"text": texts[at]}, "relevance_score": score} for at, score in _ranked(ask)]
    top = asked.get("top_n")
    results = results[:top] if type(top) is int and top > 0 else results
    return {"id": f"rerank-{_digest(ask.prompts[0]):08x}", "model": model, "usage": _usage(ask), "results": results}


def _rerank_texts(asked: Mapping[str, Any], ask: Ask, model: str, hidden: int) -> list[Body]:
    del asked, model, hidden
    return [{"index": at, "score": score} for at, score in _ranked(ask)]


def _rerank_either(asked: Mapping[str, Any], ask: Ask, model: str, hidden: int) -> Any:
    return (_rerank_texts if "texts" in asked else _rerank)(asked, ask, model, hidden)


def _read_either(asked: Mapping[str, Any]) -> Ask:
    return asking.rerank(asked, name="texts" if "texts" in asked else "documents")


def _ranked(ask: Ask) -> list[tuple[int, float]]:
    scores = [(at, _digest(prompt) / 2**32) for at, prompt in enumerate(ask.prompts)]
    return sorted(scores, key=lambda each: -each[1])


def _usage(ask: Ask) -> Body:
    tokens = sum(max(1, len(prompt)) for prompt in ask.prompts)
    return {"prompt_tokens": tokens, "total_tokens": tokens}


def _digest(prompt: Sequence[Piece]) -> int:
    return crc32(" ".join(map(str, prompt)).encode(errors="replace"))


KINDS: Mapping[str, Kind] = {
    "/v1/embeddings": Kind(read=asking.embeddings, body=_embeddings),
    "/v1/rerank": Kind(read=partial(asking.rerank, name="documents"), body=_rerank),
    "/rerank": Kind(read=_read_either, body=_rerank_either),
}


# --- tokens -----------------------------------------------------------------------------------------------------------------


def tokenized(facts: Facts, tokens: Sequence[Piece]) -> Any:
    """The answer of ``/tokenize``."""
    ids = numbers(tokens)
    match facts.engine:
        case "llamacpp":
            return {"tokens": ids}
        case "tgi":
            return [{"id": number, "text": str(token)} for number, token in zip(ids, tokens, strict=True)]
        case _:
            return {"count": len(ids), "max_model_len": facts.context_tokens, "tokens": ids, "token_strs": None}


def detokenized(facts: Facts, ids: Sequence[Piece]) -> Body:
    """The answer of ``/detokenize``."""
    text = text_of(each if isinstance(each, int) else 0 for each in ids)
    return {"content" if facts.engine == "llamacpp" else "prompt": text}

"""Embeddings: the request's spelling, and what an answer must have."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_inferbench.load.api.api import Delta, Usage
from pytest_inferbench.load.api.embeddings import Embeddings
from pytest_inferbench.load.content import Content, said
from tests.api_dialects import embeddings_whole
from tests.dialects import PROMPT_TOKENS


def test_a_request_has_the_documents_or_the_text() -> None:
    def body(content: Content) -> Any:
        return Embeddings().body(content, model="m", output_tokens=0, extra={"encoding_format": "base64"})

    assert body(said("hi")) == {"model": "m", "input": "hi", "encoding_format": "base64"}
    assert body(Content(documents=("a", "b")))["input"] == ["a", "b"]


def test_an_answer_has_vectors_and_counts_the_prompt() -> None:
    assert Embeddings().whole(embeddings_whole()) == Delta(usage=Usage(PROMPT_TOKENS, None, None))
    assert Embeddings().whole({"data": [{"embedding": "AAAA"}]}).error is None


@pytest.mark.parametrize("data", [None, [], {}, [None], [{"embedding": []}], [{"embedding": [1.0]}, {"embedding": None}]])
def test_an_answer_without_every_vector_is_none(data: Any) -> None:
    assert Embeddings().whole({"object": "list", "data": data}).error == "it has no embedding"


def test_an_error_is_in_its_own_words() -> None:
    assert Embeddings().whole({"error": {"message": "too long"}}).error == "too long"

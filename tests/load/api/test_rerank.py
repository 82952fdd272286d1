"""Rerank in both spellings: the request, and what an answer must have."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_inferbench.load.api.api import Usage
from pytest_inferbench.load.api.rerank import Rerank, RerankTei, query_and_documents
from pytest_inferbench.load.content import Content, Message, said
from tests.api_dialects import rerank_tei_whole, rerank_whole
from tests.dialects import PROMPT_TOKENS

CONTENT = Content(messages=(Message("user", "which?"),), documents=("a", "b"))


def test_the_same_request_has_two_spellings() -> None:
    cohere = Rerank().body(CONTENT, model="m", output_tokens=0, extra={"top_n": 1})
    assert cohere == {"model": "m", "query": "which?", "documents": ["a", "b"], "top_n": 1}
    assert RerankTei().body(CONTENT, model="m", output_tokens=0, extra={}) == {"query": "which?", "texts": ["a", "b"]}
    assert (Rerank().path, RerankTei().path) == ("/v1/rerank", "/rerank")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" ".join("abcdefghijklmnop"), ("a b", ["c d e f g h i j k l m n o p"])),
        ("a b", ("a", ["b"])),
        ("a", ("a", ["a"])),
    ],
)
def test_one_text_is_cut_into_a_query_and_a_document(text: str, expected: tuple[str, list[str]]) -> None:
    assert query_and_documents(said(text)) == expected


@pytest.mark.parametrize(
    ("more", "usage"),
    [
        ({}, Usage(PROMPT_TOKENS, None, None)),
        ({"usage": {"prompt_tokens": 3, "total_tokens": 9}}, Usage(3, None, None)),
        ({"usage": None, "meta": {"tokens": {"input_tokens": 5}}}, Usage(5, None, None)),
        ({"usage": None}, None),
    ],
)
def test_the_tokens_read_are_counted_in_one_of_three_places(more: dict[str, Any], usage: Usage | None) -> None:
    answer = Rerank().whole(rerank_whole() | more)
    assert (answer.usage, answer.error) == (usage, None)


@pytest.mark.parametrize("results", [None, [], [{}], [{"relevance_score": "high"}], [{"relevance_score": True}], {}])
def test_an_answer_without_a_score_for_each_is_none(results: Any) -> None:
    assert Rerank().whole({"results": results}).error == "it has no results with a relevance_score"
    assert RerankTei().whole(results).error == "it is no list with a score for each text"


def test_tei_answers_with_a_bare_list_and_errors_in_its_own_words() -> None:
    assert RerankTei().whole(rerank_tei_whole()).error is None
    assert RerankTei().whole({"error": "batch size 64 > maximum allowed batch size 32"}).error == (
        "batch size 64 > maximum allowed batch size 32"
    )

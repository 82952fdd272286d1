from __future__ import annotations

import base64
from array import array

import pytest

from pytest_inferbench.load.api import APIS
from pytest_inferbench.simulator.server.tokens import numbers
from tests.simulator.server.deployments import settings
from tests.simulator.server.serving import Served, ask_once, with_server

TEXTS = ["the house", "a"]


def test_an_embedding_has_the_size_of_the_models_states_and_follows_from_its_text() -> None:
    answer = ask_once(settings(), "/v1/embeddings", {"input": [*TEXTS, TEXTS[0]]}).json
    first, second, again = (entry["embedding"] for entry in answer["data"])
    assert len(first) == len(second) == 4096
    assert first == again != second
    assert answer["usage"]["prompt_tokens"] == 5
    assert APIS["embeddings"]().whole(answer).error is None


def test_an_embedding_may_be_smaller_and_encoded() -> None:
    body = {"input": "the house", "dimensions": 8}

    async def do(served: Served) -> None:
        plain = (await served.ask("/v1/embeddings", body)).json["data"][0]["embedding"]
        encoded = (await served.ask("/v1/embeddings", {**body, "encoding_format": "base64"})).json["data"][0]["embedding"]
        assert array("f", base64.b64decode(encoded)).tolist() == pytest.approx(plain)

    with_server(settings(), do)


def test_ranks_are_sorted_by_score_and_counted_with_the_query() -> None:
    answer = ask_once(settings(), "/v1/rerank", {"query": "big", "documents": TEXTS}).json
    scores = [result["relevance_score"] for result in answer["results"]]
    assert scores == sorted(scores, reverse=True)
    assert {result["index"]: result["document"]["text"] for result in answer["results"]} == dict(enumerate(TEXTS))
    assert answer["usage"]["prompt_tokens"] == (1 + 2) + (1 + 1)
    assert APIS["rerank"]().whole(answer).error is None


def test_only_the_best_are_told_where_that_is_asked_for() -> None:
    assert len(ask_once(settings(), "/v1/rerank", {"query": "big", "documents": TEXTS, "top_n": 1}).json["results"]) == 1


def test_teis_spelling_has_a_path_of_its_own() -> None:
    answer = ask_once(settings(), "/rerank", {"query": "big", "texts": TEXTS}).json
    assert {result["index"] for result in answer} == {0, 1}
    assert APIS["rerank-tei"]().whole(answer).error is None
    assert "results" in ask_once(settings(), "/rerank", {"query": "big", "documents": TEXTS}).json


@pytest.mark.parametrize(
    ("engine", "body"),
    [("vllm", {"prompt": "the house"}), ("llamacpp", {"content": "the house"}), ("tgi", {"inputs": "the house"})],
)
def test_tokens_are_those_of_the_tokenizer(engine: str, body: dict[str, str]) -> None:
    answer = ask_once(settings(engine), "/tokenize", body).json
    found = [each["id"] for each in answer] if engine == "tgi" else answer["tokens"]
    assert found == numbers(["the", "house"])


def test_tokens_of_a_chat_are_those_of_its_messages() -> None:
    messages = [{"role": "user", "content": "the big house"}]
    assert ask_once(settings(), "/tokenize", {"messages": messages}).json["count"] == 3
    assert ask_once(settings(), "/tokenize", {}).json["error"]["message"] == "prompt must be a text"


def test_numbers_become_text_again() -> None:
    ids = numbers(["the", "house"])
    assert ask_once(settings(), "/detokenize", {"tokens": ids}).json == {"prompt": "the house"}
    assert ask_once(settings("llamacpp"), "/detokenize", {"tokens": ids}).json == {"content": "the house"}

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from pytest_inferbench.simulator.server import asking
from pytest_inferbench.simulator.server.asking import Ask, Refused

MESSAGES = [{"role": "user", "content": "the big house"}]


def test_a_chat_is_the_tokens_of_all_messages_and_nothing_more() -> None:
    parts = [{"type": "text", "text": "two words"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    ask = asking.chat({"messages": [*MESSAGES, {"role": "user", "content": parts}, {"role": "assistant", "content": None}]})
    assert list(ask.prompts[0]) == ["the", "big", "house", "two", "words"]


def test_every_field_is_read() -> None:
    options = {
        "stream": True,
        "stream_options": {"include_usage": True},
        "min_tokens": 2,
        "ignore_eos": True,
        "stop": "x",
        "seed": 5,
    }
    ask = asking.chat({"messages": MESSAGES, "max_tokens": 9, **options})
    assert (ask.stream, ask.usage, ask.tokens_max, ask.tokens_min, ask.ignore_eos) == (True, True, 9, 2, True)
    assert (ask.stop, ask.seed) == (("x",), 5)
    assert asking.chat({"messages": MESSAGES, "max_tokens": 9, "max_completion_tokens": 4}).tokens_max == 4


def test_a_prompt_may_be_a_text_or_numbers() -> None:
    assert list(asking.completions({"prompt": "a b"}).prompts[0]) == ["a", "b"]
    assert list(asking.completions({"prompt": [3, 4]}).prompts[0]) == [3, 4]
    assert list(asking.completions({"prompt": [[3, 4]]}).prompts[0]) == [3, 4]


def test_each_document_is_read_with_the_query() -> None:
    ask = asking.rerank({"query": "a b", "documents": ["c", {"text": "d e"}]}, name="documents")
    assert [list(prompt) for prompt in ask.prompts] == [["a", "b", "c"], ["a", "b", "d", "e"]]


def test_a_response_has_instructions_and_input() -> None:
    ask = asking.responses({"instructions": "be kind", "input": [{"role": "user", "content": "hello"}], "max_output_tokens": 3})
    assert list(ask.prompts[0]) == ["be", "kind", "hello"]
    assert (ask.tokens_max, ask.usage) == (3, True)


RERANK = partial(asking.rerank, name="documents")
GENERATE = partial(asking.generate, stream=True)
WRONG: list[tuple[Callable[[dict[str, Any]], Ask], dict[str, Any], str]] = [
    (asking.chat, {}, "messages must be a list of at least one message"),
    (asking.chat, {"messages": [3]}, "each entry of messages must be an object or a text"),
    (asking.chat, {"messages": MESSAGES, "max_tokens": 0}, "max_tokens must be a whole number from 1 to 1000000, not 0"),
    (asking.chat, {"messages": MESSAGES, "max_tokens": "9"}, "max_tokens must be a whole number from 1 to 1000000, not '9'"),
    (asking.chat, {"messages": MESSAGES, "max_tokens": True}, "not True"),
    (asking.chat, {"messages": MESSAGES, "min_tokens": -1}, "min_tokens must be a whole number from 0"),
    (asking.chat, {"messages": MESSAGES, "n": 2}, "one answer a request is simulated: n must be 1"),
    (asking.chat, {"messages": MESSAGES, "stop": [""]}, "stop must be a text or a list of at most 16 texts"),
    (asking.chat, {"messages": MESSAGES, "seed": "x"}, "seed must be a whole number, not 'x'"),
    (asking.completions, {}, "prompt must be a text, a list of token ids, or a list of them"),
    (asking.completions, {"prompt": [1.5]}, "prompt must be a text, a list of token ids, or a list of them"),
    (asking.completions, {"prompt": ["a", "b"]}, "one prompt a request is simulated, not 2"),
    (asking.responses, {"input": []}, "input must be a text or a list of messages"),
    (asking.embeddings, {"input": ["a"] * 2049}, "input holds 2049 texts; at most 2048 are read"),
    (RERANK, {"query": "", "documents": ["a"]}, "query must be a text"),
    (RERANK, {"query": "a", "documents": []}, "documents must be a list of at least one text"),
    (GENERATE, {"inputs": ""}, "`inputs` cannot be empty"),
    (GENERATE, {"inputs": "a", "parameters": 3}, "`parameters` must be an object"),
]


@pytest.mark.parametrize(("read", "asked", "words"), WRONG)
def test_what_cannot_be_understood_is_refused_by_name(
    read: Callable[[dict[str, Any]], Ask], asked: dict[str, Any], words: str
) -> None:
    with pytest.raises(Refused) as refused:
        read(asked)
    assert words in str(refused.value)


@pytest.mark.parametrize(("body", "words"), [(b"{", "the body is not JSON"), (b"[]", "the body is not a JSON object")])
def test_a_body_must_be_a_json_object(body: bytes, words: str) -> None:
    with pytest.raises(Refused, match=words) as refused:
        asking.read_object(body)
    assert (refused.value.status, refused.value.kind) == (400, "json")

"""Completions: the request's spelling and what an event says."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_inferbench.load.api.api import Delta, Usage
from pytest_inferbench.load.api.completions import Completions, CompletionsOfTokens
from pytest_inferbench.load.content import Content, said
from tests.api_dialects import completion_whole
from tests.dialects import PROMPT_TOKENS


def test_a_request_streams_with_usage_and_its_extra_fields() -> None:
    assert Completions().body(said("hi"), model="m", output_tokens=5, extra={"min_tokens": 5}) == {
        "model": "m",
        "prompt": "hi",
        "max_tokens": 5,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        "min_tokens": 5,
    }


@pytest.mark.parametrize(("text", "expected"), [("a", "a"), ("", ""), (None, ""), (["a"], "")])
def test_text_is_that_of_the_first_choice(text: Any, expected: str) -> None:
    assert Completions().delta({"choices": [{"text": text}, {"text": "other"}]}).text == expected


def test_finish_and_usage_may_come_together() -> None:
    event = {"choices": [{"text": "", "finish_reason": "length"}], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
    assert Completions().delta(event) == Delta(finish="length", usage=Usage(1, 2, None))


@pytest.mark.parametrize("event", [None, 3, "x", [1]])
def test_what_is_no_event_says_nothing(event: Any) -> None:
    assert Completions().delta(event) == Delta()


def test_a_whole_answer_is_spelled_as_an_event() -> None:
    assert Completions().whole(completion_whole(["a", "b"])) == Delta("ab", None, "length", Usage(PROMPT_TOKENS, 2, None))


def test_token_ids_take_the_texts_place() -> None:
    body = CompletionsOfTokens().body(Content(token_ids=(5, 6)), model="m", output_tokens=5, extra={})
    assert body["prompt"] == [5, 6]
    assert CompletionsOfTokens().wants_token_ids
    assert not Completions().wants_token_ids

"""Chat completions: the request's spelling and what an event says."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_inferbench.load.api.api import CONTENT, REASONING, TOOL, Delta, Usage
from pytest_inferbench.load.api.chat import Chat
from pytest_inferbench.load.content import said
from tests.api_dialects import chat_whole
from tests.dialects import PROMPT_TOKENS


def test_a_request_streams_with_usage_and_its_extra_fields() -> None:
    assert Chat().body(said("hi"), model="m", output_tokens=5, extra={"ignore_eos": True, "temperature": None}) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 5,
        "stream": True,
        "stream_options": {"include_usage": True},
        "ignore_eos": True,
    }


@pytest.mark.parametrize(
    ("delta", "text"),
    [
        ({"content": "a"}, "a"),
        ({"content": "", "reasoning_content": "r"}, "r"),
        ({"content": None, "reasoning": "r"}, "r"),
        ({"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}, {"function": {"arguments": "x"}}]}, "f{}x"),
        ({"tool_calls": [None, {"function": None}, {}]}, ""),
        ({"tool_calls": 7}, ""),
        ({"content": ["part"]}, ""),
        ({"role": "assistant", "content": ""}, ""),
        ({}, ""),
        (None, ""),
    ],
)
def test_text_is_content_reasoning_or_tool_call(delta: Any, text: str) -> None:
    assert Chat().delta({"choices": [{"delta": delta}]}).text == text


def test_an_event_without_choices_has_the_usage() -> None:
    event = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
    assert Chat().delta(event) == Delta(usage=Usage(1, 2, None))


@pytest.mark.parametrize("event", [None, 3, "x", [1]])
def test_what_is_no_event_says_nothing(event: Any) -> None:
    assert Chat().delta(event) == Delta()


def test_one_event_may_hold_several_kinds_of_text() -> None:
    delta = Chat().delta({"choices": [{"delta": {"reasoning": "so", "content": "yes"}}]})
    assert (len(delta.text), delta.kinds) == (5, CONTENT | REASONING)
    call = {"tool_calls": [{"function": {"name": "f"}}], "content": None}
    assert Chat().delta({"choices": [{"delta": call}]}) == Delta("f", kinds=TOOL)
    assert Chat().delta({"choices": [{"delta": {"reasoning_content": "r"}}]}) == Delta("r", kinds=REASONING)


def test_a_whole_answer_is_the_message_of_its_first_choice() -> None:
    assert Chat().whole(chat_whole(["a", "b"], reasoning_content="r")) == Delta(
        "abr", None, "length", Usage(PROMPT_TOKENS, 2, 0), None, CONTENT | REASONING
    )
    assert Chat().whole({"error": {"message": "no"}}) == Delta(error="no")

"""What the OpenAI-shaped APIs have in common."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_inferbench.load.api.api import REASONING, Delta, Usage
from pytest_inferbench.load.api.openai import chat_messages, first_choice, read_rest, read_usage
from pytest_inferbench.load.content import Content, Message, said


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4}, Usage(3, 4, None)),
        ({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}}, Usage(3, None, 2)),
        ({"prompt_tokens": True, "completion_tokens": -1, "prompt_tokens_details": None}, Usage(None, None, None)),
        (None, None),
        ("many", None),
    ],
)
def test_usage_is_read_as_far_as_it_makes_sense(usage: Any, expected: Usage | None) -> None:
    assert read_usage({"usage": usage}) == expected


@pytest.mark.parametrize("choices", [None, [], {}, ["text"], 3])
def test_odd_choices_are_no_choice(choices: Any) -> None:
    assert first_choice({"choices": choices}) == {}


def test_the_rest_of_an_event_is_its_tokens_its_finish_its_usage_and_its_error() -> None:
    choice = {"token_ids": [1, 2], "finish_reason": "stop"}
    event = {"choices": [choice], "usage": {"completion_tokens": 2}, "error": {"message": "m"}}
    assert read_rest(event, choice, "x") == Delta("x", 2, "stop", Usage(None, 2, None), "m")
    assert read_rest({"choices": [{}]}, {}, "") == Delta()


def test_the_kinds_of_a_text_go_with_it() -> None:
    assert read_rest({}, {}, "hmm", REASONING).kinds == REASONING


def test_a_conversation_is_a_list_of_messages() -> None:
    turns = Content(messages=(Message("system", "be brief"), Message("user", "hi")))
    assert chat_messages(turns) == [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]


def test_images_stand_before_the_text_of_the_last_message() -> None:
    content = Content(messages=said("look").messages, images=("data:image/png;base64,AA==",))
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    assert chat_messages(content) == [{"role": "user", "content": [image, {"type": "text", "text": "look"}]}]

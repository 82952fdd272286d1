"""What the OpenAI-shaped APIs have in common."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_inferbench.load.api.api import Delta, Usage, first_choice, merged, read_error, read_rest, read_usage


def test_extra_fields_override_and_none_takes_a_field_away() -> None:
    assert merged({"a": 1, "b": 2, "c": 3}, {"b": 5, "c": None, "d": 0}) == {"a": 1, "b": 5, "d": 0}


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


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"error": {"message": "full"}}, "full"),
        ({"error": {"code": 5}}, "{'code': 5}"),
        ({"error": "full"}, "full"),
        ({"object": "error", "message": "full"}, "full"),
        ({"error": None}, None),
        ({"error": ""}, None),
        ({"object": "chat.completion.chunk"}, None),
    ],
)
def test_errors_of_many_dialects_are_read(event: dict[str, Any], expected: str | None) -> None:
    assert read_error(event) == expected


@pytest.mark.parametrize("choices", [None, [], {}, ["text"], 3])
def test_odd_choices_are_no_choice(choices: Any) -> None:
    assert first_choice({"choices": choices}) == {}


def test_the_rest_of_an_event_is_its_tokens_its_finish_its_usage_and_its_error() -> None:
    choice = {"token_ids": [1, 2], "finish_reason": "stop"}
    event = {"choices": [choice], "usage": {"completion_tokens": 2}, "error": {"message": "m"}}
    assert read_rest(event, choice, "x") == Delta("x", 2, "stop", Usage(None, 2, None), "m")
    assert read_rest({"choices": [{}]}, {}, "") == Delta()

"""Rows of named fields become requests, or say what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_inferbench.cases.case import Dataset
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.load.content import Message
from pytest_inferbench.load.datasets.rows import Sample, sample_of


def sample(row: dict[str, Any], **options: Any) -> Sample:
    dataset = Dataset(path="x.jsonl", format="jsonl", **options)
    return sample_of(row, dataset, lambda problem: ConfigError(problem, file="x.jsonl", line=7))


def user(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


def test_a_prompt_is_the_users_message() -> None:
    assert sample({"prompt": "hello", "id": 3}) == Sample(user("hello"))


def test_messages_are_a_conversation_whose_last_answer_is_not_sent() -> None:
    row = {
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "two"},
            {"role": "user", "content": "three"},
            {"role": "assistant", "content": "four five"},
        ]
    }
    messages = (Message("system", "be brief"), Message("user", "one"), Message("assistant", "two"), Message("user", "three"))
    assert sample(row) == Sample(messages, answer="four five")


def test_a_template_is_filled_with_fields_and_nothing_stands_for_null() -> None:
    row = {"instruction": "add", "input": None, "n": 3, "prompt": "unused"}
    assert sample(row, prompt="{instruction}:{input}{n}{{}}") == Sample(user("add:3{}"))


def test_what_was_filled_in_is_not_looked_at_again() -> None:
    assert sample({"a": "{b}", "b": "secret"}, prompt="{a}") == Sample(user("{b}"))


@pytest.mark.parametrize(
    ("row", "options", "expected"),
    [
        ({"output_tokens": 5}, {}, (5, None)),
        ({"max_tokens": 6}, {}, (6, None)),
        ({"output_tokens": 5}, {"output_tokens": 9}, (9, None)),
        ({"n": 5, "output_tokens": 6}, {"output_field": "n"}, (5, None)),
        ({"answer": "a b c"}, {"output_field": "answer"}, (None, "a b c")),
        ({}, {}, (None, None)),
    ],
)
def test_a_row_or_the_data_set_says_how_long_the_answer_is(
    row: dict[str, Any], options: dict[str, Any], expected: tuple[int | None, str | None]
) -> None:
    found = sample({"prompt": "x", **row}, **options)
    assert (found.output_tokens, found.answer) == expected


MANY = {f"f{index:02}": 1 for index in range(12)}
TEN = ", ".join(list(MANY)[:10])


@pytest.mark.parametrize(
    ("row", "options", "problem"),
    [
        ({"b": 1, "a": 2}, {}, 'has neither prompt nor messages; say what makes it, such as prompt: "{text}"; there are a, b'),
        (
            MANY,
            {},
            f'has neither prompt nor messages; say what makes it, such as prompt: "{{text}}"; there are {TEN} and others',
        ),
        ({}, {"prompt": "{a}"}, "has no field 'a'; there are no fields"),
        ({"a": [1]}, {"prompt": "{a}"}, "field 'a' is no text"),
        ({"prompt": " "}, {}, "has an empty prompt"),
        ({"messages": []}, {}, "field 'messages' is no list of messages"),
        ({"messages": "hi"}, {}, "field 'messages' is no list of messages"),
        (
            {"messages": [{"role": "assistant", "content": "x"}]},
            {},
            "field 'messages' does not end in a message of the user's and an answer to it",
        ),
        (
            {"messages": [{"role": "tool", "content": "x"}]},
            {},
            "field 'messages' holds something that has no role (system, user or assistant) and content (text)",
        ),
        (
            {"prompt": "x", "max_tokens": 0},
            {},
            "field 'max_tokens' must be a number of tokens, from 1 to 100000000, not '0'",
        ),
        (
            {"prompt": "x", "output_tokens": True},
            {},
            "field 'output_tokens' must be a number of tokens, from 1 to 100000000, not 'True'",
        ),
        ({"prompt": "x"}, {"output_field": "n"}, "has no field 'n'; there are prompt"),
    ],
)
def test_a_row_that_is_no_request_is_named_with_its_line(row: dict[str, Any], options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sample(row, **options)
    assert str(caught.value) == f"x.jsonl:7: {problem}"

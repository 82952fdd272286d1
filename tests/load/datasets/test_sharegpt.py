"""Conversations as ShareGPT has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.load.datasets.opening import opened, problem, samples, user


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


def turns(*messages: tuple[str, str]) -> dict[str, Any]:
    return {"id": "x", "conversations": [{"from": speaker, "value": text} for speaker, text in messages]}


def test_the_first_answered_message_of_a_conversation_is_a_request(file: Path) -> None:
    conversations = [
        turns(("human", "one"), ("gpt", "uno"), ("human", "two"), ("gpt", "dos")),
        turns(("gpt", "hello"), ("human", "three"), ("gpt", "tres")),
        turns(("system", "s"), ("human", "four"), ("gpt", "cuatro")),
        {"messages": [{"role": "user", "content": "five"}, {"role": "assistant", "content": "cinco"}]},
        turns(("human", "not answered")),
        turns(("human", " "), ("gpt", "to nothing")),
        turns(),
    ]
    file.write_text(json.dumps(conversations))
    expected = [("one", "uno"), ("three", "tres"), ("four", "cuatro"), ("five", "cinco")]
    assert samples(opened(file, "sharegpt")) == [user(prompt, answer=answer) for prompt, answer in expected]
    assert opened(file, "sharegpt", output_tokens=4).sample(0) == user("one", output_tokens=4)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[1,\n2", "/file:2: is not JSON: unexpected end of data"),
        ("{}", "/file: is no list of conversations; for one object a line use format: jsonl"),
        ("[]", "/file: has no conversation in which a person is answered"),
        ('[{"id": 1}]', "/file: [0]: has no list of conversations"),
        (
            '[{"conversations": [{"from": "human"}]}]',
            "/file: [0].conversations[0]: is no message with from and value, both texts",
        ),
    ],
)
def test_what_is_no_file_of_conversations_is_named(file: Path, text: str, what: str) -> None:
    file.write_text(text)
    assert problem(file, "sharegpt") == what


def test_conversations_have_no_fields(file: Path) -> None:
    file.write_text("[]")
    expected = "dataset.prompt: '{a}' asks for fields, and a ShareGPT conversation has none but its messages; use format: jsonl"
    assert problem(file, "sharegpt", prompt="{a}") == expected

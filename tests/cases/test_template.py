"""Templates of bodies and paths to texts: data goes in as data, and whatever is not understood is refused."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.template import BodyTemplate, TextPath
from pytest_inferbench.errors import ConfigError

VALUES: dict[str, Any] = {
    "prompt": 'say "hi" {model}\n',
    "messages": [{"role": "user", "content": "hi"}],
    "documents": ["a"],
    "images": [],
    "token_ids": [1, 2],
    "output_tokens": 128,
    "model": "tiny",
}


def filled(body: object) -> dict[str, Any]:
    return BodyTemplate.parse(json.dumps(body)).filled(VALUES)


def test_a_placeholder_that_is_all_of_a_text_keeps_its_kind() -> None:
    body = {"input": "{prompt}", "options": {"n": "{output_tokens}"}, "list": ["{token_ids}", "{messages}"]}
    assert filled(body) == {
        "input": 'say "hi" {model}\n',
        "options": {"n": 128},
        "list": [[1, 2], [{"role": "user", "content": "hi"}]],
    }


def test_a_placeholder_within_a_text_becomes_text_and_is_not_looked_at_again() -> None:
    assert filled({"q": "{model}: {prompt} ({output_tokens})"}) == {"q": 'tiny: say "hi" {model}\n (128)'}


def test_doubled_braces_are_braces_and_other_values_stay_as_they_are() -> None:
    body = {"q": "{prompt}", "{prompt}": "{{prompt}}", "x": "{{{model}}}", "n": 1.5, "t": True, "z": None, "j": "{ not one }"}
    assert filled(body) == {
        "q": VALUES["prompt"],
        "{prompt}": "{prompt}",
        "x": "{tiny}",
        "n": 1.5,
        "t": True,
        "z": None,
        "j": "{ not one }",
    }


@given(st.text())
def test_no_prompt_however_odd_changes_the_shape_of_a_body(prompt: str) -> None:
    template = BodyTemplate.parse('{"a": "{prompt}", "b": ["x{prompt}"]}')
    assert template.filled({"prompt": prompt}) == {"a": prompt, "b": [f"x{prompt}"]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{half", "body: is not JSON: "),
        ("[1]", 'body: must be a JSON object such as {"input": "{prompt}"}'),
        ('{"a": "b"}', "body: has no place for the prompt; write {prompt} or {messages} or {documents} or {token_ids}"),
        ('{"a": "{promt}"}', "body: {promt} is not a placeholder; there are {prompt}, {messages},"),
        ('{"a": "x {messages}"}', "body: {messages} is a list and must be all of a text, not a part of 'x {messages}'"),
    ],
)
def test_a_template_that_cannot_be_meant_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match="^" + re.escape(problem)):
        BodyTemplate.parse(text)


ANSWER = {"choices": [{"text": "a"}, {"text": "b"}], "odd name": {"x-y": 3}, "0": "zero"}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("choices[0].text", "a"),
        ("$.choices[-1].text", "b"),
        ("$", ANSWER),
        ("['odd name']['x-y']", 3),
        ('["0"]', "zero"),
        (" choices[1]['text'] ", "b"),
        ("choices[2].text", None),
        ("choices.text", None),
        ("nothing.here", None),
        ("choices[0].text.more", None),
    ],
)
def test_a_path_leads_to_a_value_or_nowhere(path: str, found: Any) -> None:
    assert TextPath.parse(path).pick(ANSWER) == found


def test_a_path_may_lead_into_a_list() -> None:
    assert TextPath.parse("[0].score").pick([{"score": 1}]) == 1


@pytest.mark.parametrize("path", ["", "  ", ".", "a..b", "a[", "a[x]", "a[0", "a b", "1", "a.*", "__import__('os')", "a[0:2]"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"text: {path!r} is not a path; write one such as choices[0].text")):
        TextPath.parse(path)

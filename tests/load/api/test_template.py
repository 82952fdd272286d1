"""Any JSON endpoint, by a template of its request and a path to its text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_inferbench.cases.case import ApiOptions
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.load.api.api import Delta, Usage
from pytest_inferbench.load.api.template import Template
from pytest_inferbench.load.content import Content, Message

OPTIONS = ApiOptions(
    path="/generate",
    body='{"input": "{prompt}", "ids": "{token_ids}", "chat": "{messages}", "max_new_tokens": "{output_tokens}", "m": "{model}"}',
    text="outputs[0].text",
)


def test_a_request_is_the_template_with_its_placeholders_filled() -> None:
    content = Content(messages=(Message("user", "hi"),), token_ids=(1, 2))
    assert Template(OPTIONS).body(content, model="tiny", output_tokens=5, extra={"seed": 1, "m": None}) == {
        "input": "hi",
        "ids": [1, 2],
        "chat": [{"role": "user", "content": "hi"}],
        "max_new_tokens": 5,
        "seed": 1,
    }


def test_token_ids_are_made_only_where_the_template_wants_them() -> None:
    assert Template(OPTIONS).wants_token_ids
    assert not Template(ApiOptions(path="/p", body='{"a": "{prompt}"}', text="t")).wants_token_ids


def test_events_and_answers_are_read_at_the_path() -> None:
    said = {"outputs": [{"text": " a"}], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
    assert Template(OPTIONS).delta(said) == Template(OPTIONS).whole(said) == Delta(" a", usage=Usage(1, 2, None))
    assert Template(OPTIONS).delta({"outputs": []}) == Template(OPTIONS).delta({"outputs": [{"text": 3}]}) == Delta()
    assert Template(OPTIONS).delta({"error": "full"}) == Delta(error="full")


def test_an_answer_may_be_a_list_or_a_text() -> None:
    listed = Template(replace(OPTIONS, text="[0].generated_text"))
    assert listed.whole([{"generated_text": "x"}]) == Delta("x")
    assert Template(replace(OPTIONS, text="$")).delta("x") == Delta("x")


@pytest.mark.parametrize("missing", ["path", "body", "text"])
def test_what_is_missing_is_named(missing: str) -> None:
    given = {name: "" if name == missing else getattr(OPTIONS, name) for name in ("path", "body", "text")}
    with pytest.raises(ConfigError, match=f"{missing}: is missing; api 'template' needs path, body and text"):
        Template(ApiOptions(path=given["path"], body=given["body"], text=given["text"]))

"""What every API has: a place, headers, and a body that a person may change."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_inferbench.cases.case import ApiOptions
from pytest_inferbench.load.api import APIS, Api, api_named
from pytest_inferbench.load.api.api import count, mapping, merged, read_error, text_of
from pytest_inferbench.load.content import said

TEMPLATE = ApiOptions(path="/generate", body='{"input": "{prompt}"}', text="text")
EVERY = [api_named(name, TEMPLATE if name == "template" else ApiOptions()) for name in APIS]
NEVER_STREAMED = {"embeddings", "rerank", "rerank-tei"}


def test_extra_fields_override_and_none_takes_a_field_away() -> None:
    assert merged({"a": 1, "b": 2, "c": 3}, {"b": 5, "c": None, "d": 0}) == {"a": 1, "b": 5, "d": 0}


def test_extra_fields_join_those_of_an_object() -> None:
    laid = merged({"parameters": {"max_new_tokens": 8, "details": True}}, {"parameters": {"stop": ["x"], "details": None}})
    assert laid == {"parameters": {"max_new_tokens": 8, "stop": ["x"]}}
    assert merged({"a": {"b": 1}}, {"a": 3}) == {"a": 3}


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


@pytest.mark.parametrize(("value", "tokens"), [(3, 3), (0, 0), (-1, None), (True, None), (1.5, None), ("3", None), (None, None)])
def test_only_whole_numbers_count_tokens(value: Any, tokens: int | None) -> None:
    assert count(value) == tokens


def test_what_is_no_object_or_text_is_an_empty_one() -> None:
    assert (mapping([1]), mapping({"a": 1})) == ({}, {"a": 1})
    assert (text_of(3), text_of("x")) == ("", "x")


@pytest.mark.parametrize("api", EVERY, ids=lambda api: api.name)
def test_every_api_says_where_it_is_and_what_it_wants_to_hear(api: Api) -> None:
    assert api.path.startswith("/")
    assert api.stream == (api.name not in NEVER_STREAMED)
    assert api.makes_tokens == (api.stream and not api.answers_bytes)
    assert api.accept == {"template": "*/*", "speech": "*/*"}.get(
        api.name, "text/event-stream" if api.stream else "application/json"
    )


@pytest.mark.parametrize("api", EVERY, ids=lambda api: api.name)
def test_a_key_goes_out_once_and_nothing_does_without_one(api: Api) -> None:
    assert [value for _, value in api.headers("k-1") if "k-1" in value] == (
        ["k-1"] if api.name == "anthropic" else ["Bearer k-1"]
    )
    assert not any(name.lower() in ("authorization", "x-api-key") for name, _ in api.headers(None))


@pytest.mark.parametrize("name", sorted(set(APIS) - NEVER_STREAMED - {"speech"}))
def test_an_answer_that_is_not_streamed_is_asked_for_as_json(name: str) -> None:
    whole = api_named(name, ApiOptions(stream=False, path="/p", body=TEMPLATE.body, text="text"))
    assert (whole.stream, whole.accept, whole.path) == (False, "application/json", "/p")
    body = whole.body(said("hi"), model="m", output_tokens=3, extra={})
    assert not body.get("stream")
    assert "stream_options" not in body


@pytest.mark.parametrize("api", EVERY, ids=lambda api: api.name)
def test_what_is_no_event_and_no_answer_says_nothing(api: Api) -> None:
    odd: Any
    for odd in (None, 3, "x", [], [1], {}):
        assert not api.delta(odd).text
        assert not api.whole(odd).text

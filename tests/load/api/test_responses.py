"""OpenAI Responses: the request's spelling, and what events and answers say."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_inferbench.cases.case import ApiOptions
from pytest_inferbench.load.api.api import CONTENT, REASONING, TOOL, Delta, Usage
from pytest_inferbench.load.api.responses import Responses
from pytest_inferbench.load.content import Content, Message, said
from tests.api_dialects import responses_usage, responses_whole
from tests.dialects import PROMPT_TOKENS


def test_a_request_streams_and_stores_nothing() -> None:
    assert Responses().body(said("hi"), model="m", output_tokens=5, extra={"temperature": None}) == {
        "model": "m",
        "input": "hi",
        "max_output_tokens": 5,
        "store": False,
        "stream": True,
    }
    assert Responses(ApiOptions(stream=False)).body(said("hi"), model="m", output_tokens=5, extra={})["stream"] is False


def test_a_conversation_and_images_are_a_list() -> None:
    turns = Content(messages=(Message("user", "a"), Message("assistant", "b"), Message("user", "c")), images=("data:x",))
    assert Responses().body(turns, model="m", output_tokens=5, extra={})["input"] == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": [{"type": "input_image", "image_url": "data:x"}, {"type": "input_text", "text": "c"}]},
    ]


@pytest.mark.parametrize(
    ("event", "delta"),
    [
        ({"type": "response.output_text.delta", "delta": "a"}, Delta("a", kinds=CONTENT)),
        ({"type": "response.refusal.delta", "delta": "no"}, Delta("no", kinds=CONTENT)),
        ({"type": "response.reasoning_text.delta", "delta": "hm"}, Delta("hm", kinds=REASONING)),
        ({"type": "response.reasoning_summary_text.delta", "delta": "hm"}, Delta("hm", kinds=REASONING)),
        ({"type": "response.function_call_arguments.delta", "delta": "{"}, Delta("{", kinds=TOOL)),
        ({"type": "response.output_item.added", "item": {"type": "function_call", "name": "f"}}, Delta("f", kinds=TOOL)),
        ({"type": "response.output_item.added", "item": {"type": "message", "name": "f"}}, Delta("", kinds=TOOL)),
        ({"type": "response.output_text.done", "text": "all of it"}, Delta()),
        ({"type": "response.created", "response": {"status": "in_progress", "usage": None}}, Delta()),
        ({"type": "error", "code": "x", "message": "too much"}, Delta(error="too much")),
        ({"error": {"message": "gone"}}, Delta(error="gone")),
    ],
)
def test_events_are_told_by_their_type(event: dict[str, Any], delta: Delta) -> None:
    assert Responses().delta(event) == delta


@pytest.mark.parametrize(
    ("fields", "finish", "error"),
    [
        ({}, "completed", None),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "max_output_tokens", None),
        ({"status": "failed", "error": {"code": "server_error", "message": "out of memory"}}, "failed", "out of memory"),
        ({"status": "failed"}, "failed", "the response failed"),
        ({"status": "cancelled"}, "cancelled", "the response was cancelled"),
    ],
)
def test_the_last_event_has_the_usage_and_how_it_ended(fields: dict[str, Any], finish: str, error: str | None) -> None:
    response = responses_whole(["a"], **{"usage": responses_usage(1, cached=4), **fields})
    kind = f"response.{response['status']}"
    assert Responses().delta({"type": kind, "response": response}) == Delta(
        finish=finish, usage=Usage(PROMPT_TOKENS, 1, 4), error=error
    )


def test_a_whole_answer_has_the_text_of_all_its_output() -> None:
    output = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm "}], "content": None},
        {"type": "message", "content": [{"type": "output_text", "text": "yes"}, {"type": "refusal", "refusal": " no"}, 3]},
        {"type": "function_call", "name": "f", "arguments": "{}"},
        None,
    ]
    whole = Responses().whole(responses_whole([], output=output))
    assert (whole.text, whole.kinds) == ("hm yes nof{}", CONTENT | REASONING | TOOL)
    assert Responses().whole(responses_whole(["a"], status="failed")).error == "the response failed"


def test_a_type_that_is_no_text_says_nothing() -> None:
    kinds: tuple[object, ...] = ({}, [], None, 3)
    for kind in kinds:
        assert Responses().delta({"type": kind}).text == ""

"""Anthropic messages: the request's spelling, its headers, and what events and answers say."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_inferbench.load.api.anthropic import VERSION, Anthropic
from pytest_inferbench.load.api.api import CONTENT, REASONING, TOOL, Delta, Usage
from pytest_inferbench.load.content import Content, Message, said
from tests.api_dialects import anthropic_usage, anthropic_whole
from tests.dialects import PROMPT_TOKENS


def test_a_request_streams_and_has_its_version_in_a_header() -> None:
    assert Anthropic().body(said("hi"), model="m", output_tokens=5, extra={"top_k": 1}) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 5,
        "temperature": 0,
        "stream": True,
        "top_k": 1,
    }
    assert Anthropic().headers(None) == (("anthropic-version", VERSION),)
    assert Anthropic().headers("k-1") == (("anthropic-version", VERSION), ("x-api-key", "k-1"))


def test_the_system_stands_apart_and_images_are_taken_out_of_their_urls() -> None:
    turns = Content(
        messages=(Message("system", "be brief"), Message("user", "look")),
        images=("data:image/png;base64,AA==", "https://h/i.png"),
    )
    body = Anthropic().body(turns, model="m", output_tokens=5, extra={})
    assert body["system"] == "be brief"
    assert body["messages"][0]["content"] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
        {"type": "image", "source": {"type": "url", "url": "https://h/i.png"}},
        {"type": "text", "text": "look"},
    ]


@pytest.mark.parametrize(
    ("event", "delta"),
    [
        ({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}}, Delta("a", kinds=CONTENT)),
        ({"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "h"}}, Delta("h", kinds=REASONING)),
        ({"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": "{"}}, Delta("{", kinds=TOOL)),
        ({"type": "content_block_delta", "delta": {"type": "signature_delta", "signature": "x"}}, Delta()),
        ({"type": "content_block_start", "content_block": {"type": "text", "text": ""}}, Delta()),
        (
            {"type": "content_block_start", "content_block": {"type": "tool_use", "name": "f", "input": {}}},
            Delta("f", kinds=TOOL),
        ),
        ({"type": "content_block_start", "content_block": {"type": "thinking", "thinking": ""}}, Delta(kinds=REASONING)),
        ({"type": "ping"}, Delta()),
        ({"type": "message_stop"}, Delta()),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, Delta(error="Overloaded")),
    ],
)
def test_events_are_told_by_their_type(event: dict[str, Any], delta: Delta) -> None:
    assert Anthropic().delta(event) == delta


def test_the_prompt_is_counted_at_the_beginning_with_what_came_from_a_cache() -> None:
    start = {"type": "message_start", "message": {"usage": anthropic_usage(1, read=4, written=2)}}
    assert Anthropic().delta(start) == Delta(usage=Usage(PROMPT_TOKENS, None, 4))
    uncounted = {"type": "message_start", "message": {"usage": {"input_tokens": 0, "output_tokens": 0}}}
    assert Anthropic().delta(uncounted) == Delta(usage=Usage(None, None, None)), "a prompt has at least one token"


def test_the_answer_is_counted_at_the_end() -> None:
    end = {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 9}}
    assert Anthropic().delta(end) == Delta(finish="max_tokens", usage=Usage(None, 9, None))


def test_a_whole_answer_has_the_text_of_all_its_blocks() -> None:
    blocks = [
        {"type": "thinking", "thinking": "h"},
        {"type": "text", "text": "a"},
        {"type": "tool_use", "name": "f", "input": {}},
    ]
    whole = Anthropic().whole({**anthropic_whole([]), "content": blocks, "usage": anthropic_usage(7)})
    assert whole == Delta("haf", None, "max_tokens", Usage(PROMPT_TOKENS, 7, 0), None, CONTENT | REASONING | TOOL)
    assert Anthropic().whole({"type": "error", "error": {"message": "no"}}).error == "no"

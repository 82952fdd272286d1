"""What `tests.dialects` plays is what the servers of those names really send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from pytest_inferbench.launch.endpoint import Endpoint
from tests import dialects

WORDS = ["a", "b", "c"]
PROMPT = "Count to ten."
LIMIT_S = 120.0


@pytest.fixture
def endpoint(request: pytest.FixtureRequest) -> Endpoint:
    """The endpoint whose fixture the test names."""
    found: Endpoint = request.getfixturevalue(request.param)
    return found


def asked(endpoint: Endpoint, api: str, **fields: Any) -> httpx.Response:
    prompt = {"messages": [{"role": "user", "content": PROMPT}]} if api == "chat" else {"prompt": PROMPT}
    path = "/v1/chat/completions" if api == "chat" else "/v1/completions"
    body = {"model": endpoint.model, "max_tokens": 3, "stream": True, "stream_options": {"include_usage": True}}
    return httpx.post(endpoint.url + path, json=body | prompt | endpoint.extra_body | fields, timeout=LIMIT_S)


def outline(stream: str) -> list[str]:
    """What each event of a stream carries; events with nothing but text that follow each other are one entry."""
    kinds: list[str] = []
    for line in filter(None, stream.split("\n\n")):
        data = line.removeprefix("data: ")
        kind = "done" if data == "[DONE]" else " ".join(carried(json.loads(data)))
        if kind != "text" or kinds[-1:] != ["text"]:
            kinds.append(kind)
    return kinds


def carried(event: Any) -> Iterator[str]:
    """What one event carries, as words. A random model's text may be empty, where a token is a part of a character."""
    for choice in event["choices"]:
        delta = choice.get("delta", choice)
        if "role" in delta:
            yield f"role with {delta.get('content', 'no content')!r}"
        elif "content" in delta or "text" in delta:
            yield "text"
        if choice.get("finish_reason"):
            yield "finish"
    yield from (name for name in ("usage", "timings") if name in event)


@pytest.mark.parametrize(
    ("endpoint", "api", "dialect"),
    [
        pytest.param("llamacpp_endpoint", "chat", dialects.llamacpp_chat, id="llamacpp-chat"),
        pytest.param("llamacpp_endpoint", "completions", dialects.llamacpp_completions, id="llamacpp-completions"),
        pytest.param("vllm_endpoint", "chat", dialects.vllm_chat, id="vllm-chat", marks=pytest.mark.vllm),
        pytest.param("vllm_endpoint", "completions", dialects.vllm_completions, id="vllm-completions", marks=pytest.mark.vllm),
        pytest.param("transformers_endpoint", "chat", dialects.transformers_chat, id="transformers-chat"),
        pytest.param("transformers_endpoint", "completions", dialects.transformers_completions, id="transformers-completions"),
        pytest.param("guidellm_endpoint", "chat", dialects.guidellm_chat, id="guidellm-chat"),
        pytest.param("guidellm_endpoint", "completions", dialects.guidellm_completions, id="guidellm-completions"),
        pytest.param("aimock_endpoint", "chat", dialects.aimock_chat, id="aimock-chat"),
    ],
    indirect=["endpoint"],
)
def test_a_real_answer_has_the_outline_of_the_dialect(endpoint: Endpoint, api: str, dialect: Any) -> None:
    answer = asked(endpoint, api)
    assert answer.status_code == 200
    assert outline(answer.text) == outline(b"".join(dialect(WORDS)).decode())


def test_llamacpp_says_that_a_prompt_is_too_long_in_the_words_of_the_dialect(llamacpp_endpoint: Endpoint) -> None:
    answer = asked(llamacpp_endpoint, "completions", prompt="word " * 600)
    error = answer.json()["error"]
    played = json.loads(dialects.llamacpp_too_long().head.partition(b"\r\n\r\n")[2])["error"]
    assert (answer.status_code, error["type"], error.keys()) == (400, played["type"], played.keys())
    assert answer.headers["connection"] == "close"


@pytest.mark.vllm
def test_vllm_says_what_is_wrong_in_the_words_of_the_dialect(vllm_endpoint: Endpoint) -> None:
    for answer, played in (
        (asked(vllm_endpoint, "chat", max_tokens=99_999), dialects.vllm_too_long()),
        (asked(vllm_endpoint, "chat", model="nope"), dialects.vllm_unknown_model()),
    ):
        error = json.loads(played.head.partition(b"\r\n\r\n")[2])["error"]
        assert answer.status_code == error["code"]
        assert answer.json()["error"].items() >= {name: error[name] for name in ("type", "param", "code")}.items()
        assert answer.json()["error"]["message"].startswith(error["message"])

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_inferbench.simulator.batching import ContextTooLong
from pytest_inferbench.simulator.server.asking import Refused
from pytest_inferbench.simulator.server.refusals import refusal, too_long
from tests.simulator.server.deployments import settings
from tests.simulator.server.serving import CHAT, ask_once, chat


def said(engine: str, refused: Refused) -> tuple[int, Any]:
    status, body = refusal(engine, refused)
    return status, json.loads(body)


INVALID = Refused(400, "it is wrong", param="n")


@pytest.mark.parametrize(
    ("engine", "status", "body"),
    [
        ("vllm", 400, {"error": {"message": "it is wrong", "type": "BadRequestError", "param": "n", "code": 400}}),
        ("sglang", 400, {"object": "error", "message": "it is wrong", "type": "BadRequestError", "param": "n", "code": 400}),
        ("tgi", 422, {"error": "it is wrong", "error_type": "validation"}),
        ("llamacpp", 400, {"error": {"code": 400, "message": "it is wrong", "type": "invalid_request_error"}}),
        ("trtllm", 400, {"error": {"message": "it is wrong", "type": "BadRequestError", "param": "n", "code": 400}}),
    ],
)
def test_each_engine_says_no_in_its_own_shape(engine: str, status: int, body: dict[str, Any]) -> None:
    assert said(engine, INVALID) == (status, body)


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ("vllm", "This model's maximum context length is 100 tokens."),
        ("tgi", "`inputs` tokens + `max_new_tokens` must be <= 100. Given: 90 `inputs` tokens and 20 `max_new_tokens`"),
        ("llamacpp", "the request has 90 tokens, which is more than the context of 100 tokens has room for"),
    ],
)
def test_a_request_that_is_too_long(engine: str, words: str) -> None:
    refused = too_long(engine, ContextTooLong(prompt_tokens=90, output_tokens=20, context_tokens=100))
    assert words in str(refused)
    if engine == "llamacpp":
        assert said(engine, refused)[1]["error"]["type"] == "exceed_context_size_error"


@pytest.mark.parametrize(("engine", "status"), [("vllm", 404), ("trtllm", 404), ("tgi", 200), ("llamacpp", 200), ("sglang", 200)])
def test_a_model_that_is_not_served(engine: str, status: int) -> None:
    answer = ask_once(settings(engine), CHAT, {**chat(max_tokens=1), "model": "another"})
    assert answer.status == status
    if status == 404:
        assert answer.json["error"]["message"] == "The model `another` does not exist."
        assert answer.json["error"]["type"] == "NotFoundError"


def test_a_body_that_is_no_json() -> None:
    assert ask_once(settings(), CHAT, b"{").status == 400
    assert ask_once(settings("tgi"), "/generate", b"{").status == 422


@pytest.mark.parametrize(("engine", "status"), [("vllm", 400), ("llamacpp", 200), ("ollama", 200)])
def test_an_answer_that_could_outgrow_the_context_is_refused_or_cut(engine: str, status: int) -> None:
    answer = ask_once(settings(engine, context_tokens=64), CHAT, chat(max_tokens=100, ignore_eos=True))
    assert answer.status == status
    if status == 200:
        assert answer.json["usage"] == {"prompt_tokens": 3, "total_tokens": 64, "completion_tokens": 61}


def test_a_prompt_that_fills_the_context_is_refused_by_all() -> None:
    for engine in ("vllm", "llamacpp", "tgi", "sglang"):
        assert ask_once(settings(engine, context_tokens=64), CHAT, chat("the " * 64, max_tokens=1)).status in {400, 422}

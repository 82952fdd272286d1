from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pytest_inferbench.load.api import APIS
from pytest_inferbench.simulator.server.forms import Answer, ChatForm, CompletionsForm, Form, ResponsesForm, TgiForm
from pytest_inferbench.simulator.server.wording import Wording

WORDS = ["the", " big", " house"]
FORMS: dict[str, Callable[[Answer], Form]] = {
    "chat": ChatForm,
    "completions": CompletionsForm,
    "responses": ResponsesForm,
    "tgi": TgiForm,
}


def answer(**more: Any) -> Answer:
    said = Wording(words=WORDS, text="".join(WORDS), finish="length")
    fields = {"name": "1", "created_s": 5, "model": "m", "wording": said, "prompt_tokens": 7, "output_tokens": 3, "usage": True}
    return Answer(**{**fields, **more})


def events(data: bytes) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in data.decode().splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def streamed(form: Form, *, count: int = 1) -> bytes:
    return form.opening() + b"".join(form.tokens(at, min(count, 3 - at)) for at in range(0, 3, count)) + form.closing()


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("name", FORMS)
def test_our_own_client_reads_the_text_the_usage_and_the_reason(name: str, apart: bool, count: int) -> None:
    api = APIS[name]()
    deltas = [api.delta(event) for event in events(streamed(FORMS[name](answer(finish_apart=apart)), count=count))]
    assert "".join(delta.text for delta in deltas) == "the big house"
    (usage,) = [delta.usage for delta in deltas if delta.usage]
    assert (usage.prompt_tokens, usage.output_tokens) == (7, 3)
    assert [delta.finish for delta in deltas if delta.finish] in (["length"], ["max_output_tokens"])


@pytest.mark.parametrize("name", FORMS)
def test_our_own_client_reads_a_whole_answer(name: str) -> None:
    said = APIS[name]().whole(FORMS[name](answer()).whole())
    assert said.text == "the big house"
    assert said.usage is not None
    assert (said.usage.prompt_tokens, said.usage.output_tokens) == (7, 3)


@pytest.mark.parametrize("name", ["chat", "completions", "tgi"])
def test_usage_is_nowhere_where_it_is_missing(name: str) -> None:
    form = FORMS[name](answer(usage=None))
    assert b"usage" not in streamed(form)
    assert not {"usage", "details"} & set(form.whole())


def test_the_raw_bytes_of_a_chat() -> None:
    head = '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":5,"model":"m","choices":['
    choice = '{"index":0,"delta":%s,"logprobs":null,"finish_reason":%s}'
    expected = [
        head + choice % ('{"role":"assistant","content":""}', "null") + "]}",
        head + choice % ('{"content":"the"}', "null") + "]}",
        head + choice % ('{"content":" big"}', "null") + "]}",
        head + choice % ('{"content":" house"}', '"length"') + "]}",
        head + '],"usage":{"prompt_tokens":7,"total_tokens":10,"completion_tokens":3}}',
        "[DONE]",
    ]
    assert streamed(ChatForm(answer())).decode() == "".join(f"data: {line}\n\n" for line in expected)


def test_without_usage_asked_for_a_stream_has_none() -> None:
    assert b"usage" not in streamed(ChatForm(answer(usage=False)))
    assert "usage" in ChatForm(answer(usage=False)).whole()


def test_events_of_responses_are_numbered_without_a_gap() -> None:
    numbers = [event["sequence_number"] for event in events(streamed(ResponsesForm(answer())))]
    assert numbers == list(range(len(numbers)))


def test_tokens_that_show_nothing_are_events_of_tgi_all_the_same() -> None:
    said = Wording(words=["the", "", ""], text="the", finish="stop")
    found = events(streamed(TgiForm(answer(wording=said))))
    assert [event["token"]["text"] for event in found] == ["the", "", ""]
    assert found[-1]["details"]["finish_reason"] == "eos_token"


def test_cached_tokens_are_said_where_they_are_known() -> None:
    assert ChatForm(answer(cached_tokens=4)).whole()["usage"]["prompt_tokens_details"] == {"cached_tokens": 4}

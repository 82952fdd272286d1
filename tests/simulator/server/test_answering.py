"""Which requests get which answers; lengths, defaults, and how many tokens are counted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_inferbench.simulator.server.answering import TEXT_APIS
from pytest_inferbench.simulator.server.tokens import numbers
from tests.simulator.server.deployments import settings
from tests.simulator.server.serving import CHAT, COMPLETIONS, Served, ask_once, chat, with_server


@pytest.mark.parametrize("prompt", ["the big house", numbers(["the", "big", "house"])])
def test_texts_and_numbers_of_tokens_are_counted_alike(prompt: object) -> None:
    answer = ask_once(settings(), COMPLETIONS, {"prompt": prompt, "max_tokens": 2}).json
    assert answer["usage"]["prompt_tokens"] == 3


def test_an_empty_prompt_counts_as_one_token() -> None:
    assert ask_once(settings(), COMPLETIONS, {"prompt": "", "max_tokens": 1}).json["usage"]["prompt_tokens"] == 1


def test_completions_have_sixteen_tokens_unless_they_say_otherwise() -> None:
    answer = ask_once(settings(), COMPLETIONS, {"prompt": "the", "ignore_eos": True}).json
    assert answer["usage"]["completion_tokens"] == 16


def test_a_chat_that_says_nothing_may_fill_the_context() -> None:
    answer = ask_once(settings(context_tokens=300), CHAT, chat(ignore_eos=True)).json
    assert answer["usage"]["total_tokens"] == 300


def test_answers_end_by_themselves_and_say_so() -> None:
    async def do(served: Served) -> None:
        found = [(await served.ask(CHAT, chat(seed=seed, max_tokens=150))).json for seed in range(12)]
        for answer in found:
            tokens, reason = answer["usage"]["completion_tokens"], answer["choices"][0]["finish_reason"]
            assert tokens <= 150
            assert reason == ("length" if tokens == 150 else "stop")
        assert {answer["choices"][0]["finish_reason"] for answer in found} == {"stop", "length"}

    with_server(settings(), do)


def test_another_server_seed_gives_other_words() -> None:
    one, again, other = (
        ask_once(replace(settings(), seed=seed), CHAT, chat(max_tokens=8, ignore_eos=True)).json["choices"][0]["message"][
            "content"
        ]
        for seed in (0, 0, 1)
    )
    assert one == again != other


def test_each_text_api_makes_as_many_tokens_as_it_is_asked_for() -> None:
    async def do(served: Served) -> None:
        for path, api in TEXT_APIS.items():
            body = {
                **chat(ignore_eos=True),
                "prompt": "the",
                "input": "the",
                "inputs": "the",
                **dict.fromkeys(("max_tokens", "max_output_tokens"), 5),
                "parameters": {"max_new_tokens": 5, "ignore_eos": True},
            }
            before = served.server.figures.tokens
            assert (await served.ask(path, body)).status == 200, api
            assert served.server.figures.tokens == before + 5

    with_server(settings("tgi"), do)


def test_documents_that_are_too_long_are_refused_together() -> None:
    async def do(served: Served) -> None:
        answer = await served.ask("/v1/embeddings", {"input": ["the", "the " * 100]})
        assert answer.status == 400
        batcher = served.server.pacer.batcher
        assert (batcher.running, batcher.waiting) == (0, 0)

    with_server(settings(context_tokens=64), do)

"""Figures are worth nothing if the server answers nonsense: what the CPU suite's server says, without measuring it."""

from __future__ import annotations

import pytest

from fixtures.prompts import Question
from fixtures.servers import Ask
from pytest_inferbench import Case

# One case a test: a real llama.cpp, shared by all of them.
served = pytest.mark.inferbench(
    hardware="cpu",
    engine={"name": "llamacpp", "args": {"parallel": 1, "ctx": 1024}},
    model=["smollm2-135m-q4"],
    traffic=["D(32,16)"],
    concurrency=[1],
)


@pytest.fixture(autouse=True)
def a_model_that_knows_something(case: Case) -> None:
    if case.simulated:
        pytest.skip("a simulated server makes up its words")


@served
def test_each_question_gets_a_right_answer(questions: tuple[Question, ...], ask: Ask) -> None:
    for question in questions:
        assert question.word in ask(question.text, max_tokens=24)["choices"][0]["message"]["content"]


@served
def test_greedy_decoding_gives_the_same_answer_twice(questions: tuple[Question, ...], ask: Ask) -> None:
    first, second = (ask(questions[0].text, max_tokens=16)["choices"][0]["message"]["content"] for _ in range(2))
    assert first == second


@served
@pytest.mark.parametrize("max_tokens", [1, 7])
def test_an_answer_is_no_longer_than_asked_for(ask: Ask, max_tokens: int) -> None:
    answer = ask("Count from one to one hundred.", max_tokens=max_tokens)
    assert answer["usage"]["completion_tokens"] == max_tokens
    assert answer["choices"][0]["finish_reason"] == "length"

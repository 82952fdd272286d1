from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.simulator.server.asking import Ask
from pytest_inferbench.simulator.server.wording import wording


def ask(**more: Any) -> Ask:
    return Ask(**{"prompts": [["the", "house"]], **more})


@given(st.integers(1, 500), st.integers(-5, 5), st.booleans())
def test_words_together_are_the_text_and_there_are_no_more_than_asked_for(most: int, seed: int, ignore_eos: bool) -> None:
    said = wording(ask(seed=seed, ignore_eos=ignore_eos), seed=0, tokens_max=most)
    assert "".join(said.words) == said.text
    assert len(said.text.split(" ")) == len(said.words) <= most
    if ignore_eos:
        assert (len(said.words), said.finish) == (most, "length")
    elif len(said.words) < most:
        assert said.finish == "stop"


def test_the_same_seeds_and_prompt_say_the_same_and_others_do_not() -> None:
    def text(of_server: int, **more: Any) -> str:
        return wording(ask(ignore_eos=True, **more), seed=of_server, tokens_max=20).text

    assert text(1, seed=7) == text(1, seed=7)
    assert len({text(1, seed=7), text(2, seed=7), text(1, seed=8), text(1), text(1, prompts=[["the"]])}) == 5


def test_answers_end_by_themselves_at_lengths_that_differ() -> None:
    lengths = [len(wording(ask(seed=seed), seed=0, tokens_max=100_000).words) for seed in range(200)]
    assert len(set(lengths)) > 100
    assert 120 < sorted(lengths)[100] < 260


def test_min_tokens_is_the_least() -> None:
    assert all(len(wording(ask(seed=seed, tokens_min=400), seed=0, tokens_max=500).words) >= 400 for seed in range(20))


@given(st.integers(2, 30), st.integers(0, 100))
def test_a_stop_string_ends_the_answer_before_it(at: int, seed: int) -> None:
    whole = wording(ask(seed=seed, ignore_eos=True), seed=0, tokens_max=40)
    stop = "".join(whole.words[at : at + 2])
    said = wording(ask(seed=seed, ignore_eos=True, stop=("never said", stop)), seed=0, tokens_max=40)
    assert said.finish == "stop"
    assert said.text == "".join(said.words) == whole.text[: whole.text.index(stop)]
    assert stop not in said.text


def test_tokens_of_a_stop_string_were_made_though_nobody_sees_them() -> None:
    whole = wording(ask(ignore_eos=True), seed=0, tokens_max=10)
    said = wording(ask(ignore_eos=True, stop=(whole.words[4] + whole.words[5],)), seed=0, tokens_max=10)
    assert len(said.words) == 6
    assert said.words[4:] == ["", ""]


def test_a_stop_string_counts_only_after_the_least_tokens() -> None:
    whole = wording(ask(ignore_eos=True), seed=0, tokens_max=10)
    said = wording(ask(ignore_eos=True, stop=(whole.words[1],), tokens_min=5), seed=0, tokens_max=10)
    assert said.text == whole.text

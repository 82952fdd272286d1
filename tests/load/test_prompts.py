"""Prompts have exactly the tokens that were asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.engines.engine import TokenizerRef
from pytest_inferbench.errors import LoadError
from pytest_inferbench.load.prompts import PromptMaker
from pytest_inferbench.load.tokens import EstimatedCounter, TokenCounter, counter_for
from tests.load.vocabularies import small_tokenizer, smollm2


class Counter:
    """Counts by a rule of the test's own."""

    source = "tokenizer"
    name = "odd.json"

    def __init__(self, word: int, first: int) -> None:
        self._word = word
        self._first = first

    def count(self, text: str) -> int:
        words = len(text.split())
        return self._first + self._word * (words - 1) if words else 0

    def ids(self, text: str) -> tuple[int, ...] | None:
        return tuple(range(self.count(text)))


@pytest.fixture(scope="module")
def real() -> TokenCounter:
    return smollm2()


@pytest.mark.parametrize("tokens", [1, 2, 3, 17, 128, 1000])
def test_a_prompt_has_exactly_so_many_tokens_of_a_real_vocabulary(real: TokenCounter, tokens: int) -> None:
    maker = PromptMaker(real)
    rng = np.random.default_rng(tokens)
    prompts = [maker.prompt(tokens, rng) for _ in range(20)]
    assert {real.count(prompt) for prompt in prompts} == {tokens}


def test_prompts_are_unlike_each_other(real: TokenCounter) -> None:
    maker = PromptMaker(real)
    rng = np.random.default_rng(0)
    prompts = [maker.prompt(12, rng) for _ in range(300)]
    assert len(set(prompts)) == 300


@pytest.mark.parametrize("tokens", [3, 12, 13, 40])
def test_a_first_word_that_costs_more_is_made_up_for(tmp_path: Path, tokens: int) -> None:
    counter = counter_for(TokenizerRef(kind="json", path=small_tokenizer(tmp_path)))
    maker = PromptMaker(counter)
    assert {counter.count(maker.prompt(tokens, np.random.default_rng(seed))) for seed in range(20)} == {tokens}


@given(tokens=st.integers(1, 200), seed=st.integers(0, 99))
def test_an_estimated_prompt_has_so_many_words(tokens: int, seed: int) -> None:
    assert len(PromptMaker(EstimatedCounter()).prompt(tokens, np.random.default_rng(seed)).split()) == tokens


def test_a_single_token_is_a_word_that_costs_one_at_the_beginning() -> None:
    class Picky(Counter):
        def count(self, text: str) -> int:
            # One word alone is a single token without a blank before it.
            return super().count(text) + (0 if text.startswith("zero") else 1)

    assert PromptMaker(Picky(1, 1)).prompt(1, np.random.default_rng(3)) == "zero"


def test_a_length_that_cannot_be_made_is_an_error() -> None:
    maker = PromptMaker(Counter(1, 5))
    assert len(maker.prompt(6, np.random.default_rng(0)).split()) == 2
    with pytest.raises(LoadError, match=r"no prompt of exactly 3 tokens could be made with odd\.json; ask for a few more tokens"):
        maker.prompt(3, np.random.default_rng(0))


def test_a_vocabulary_without_english_words_is_an_error() -> None:
    with pytest.raises(
        LoadError, match=r"only 0 usual English words are single tokens of odd\.json: is it the model's tokenizer\?"
    ):
        PromptMaker(Counter(2, 1))

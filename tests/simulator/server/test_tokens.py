from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_inferbench.engines.engine import TokenizerRef
from pytest_inferbench.load.tokens import TokenCounter, counter_for
from pytest_inferbench.load.words import WORDS
from pytest_inferbench.simulator.server.tokens import TOKENIZER, chain, numbers, pieces, text_of, vocabulary


def counter() -> TokenCounter:
    return counter_for(TokenizerRef(kind="json", path=TOKENIZER))


@given(st.text(st.characters(exclude_characters="\x1c\x1d\x1e\x1f")))
def test_words_are_what_the_client_counts_as_words(text: str) -> None:
    # But for these four characters, which Python takes for white space and Unicode does not.
    assert counter_for(TokenizerRef(kind="words")).count(text) == len(pieces(text))


@given(st.text())
@example("a\x1cb c　d\r\n\te")
@example("x" * 40)
@example("é" * 20)
def test_the_clients_tokenizer_counts_what_the_server_counts(text: str) -> None:
    assert counter().count(text) == len(pieces(text))
    assert counter().ids(text) == tuple(numbers(pieces(text)))


def test_every_word_of_synthetic_prompts_has_a_number_of_its_own() -> None:
    assert len(set(numbers(WORDS))) == len(set(WORDS))
    assert 0 not in numbers(WORDS)


def test_words_of_answers_need_no_escaping_in_json() -> None:
    assert all(re.fullmatch("[A-Za-z]+", word) for word in vocabulary()[1:])


def test_numbers_become_the_words_again() -> None:
    assert text_of(numbers(["the", "house"])) == "the house"
    assert text_of([-1, 10**9]) == "[UNK] [UNK]"


def test_a_block_has_the_key_of_all_before_it() -> None:
    one, other = chain(["a", "b", "c", "d", "e"], 2), chain(["x", "b", "c", "d"], 2)
    assert len(one) == len(other) == 2
    assert one[0] != other[0]
    assert one[1] != other[1]
    assert chain(["a", "b", "z"], 2) == one[:1]


@pytest.mark.parametrize(("tokens", "blocks"), [(0, 0), (15, 0), (16, 1), (33, 2)])
def test_only_full_blocks_have_keys(tokens: int, blocks: int) -> None:
    assert len(chain(["a"] * tokens, 16)) == blocks

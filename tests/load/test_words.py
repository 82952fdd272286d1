"""The words of prompts are plain, and are single tokens of a real vocabulary."""

from __future__ import annotations

from pytest_inferbench.load.words import WORDS
from tests.load.vocabularies import smollm2


def test_words_are_plain_and_each_stands_once() -> None:
    assert len(set(WORDS)) == len(WORDS) > 900
    assert all(word.isascii() and word.isalpha() and word.islower() for word in WORDS)


def test_nearly_every_word_is_one_token_after_another() -> None:
    counter = smollm2()
    single = [word for word in WORDS if counter.count(f"the {word}") == 2]
    assert len(single) >= 0.99 * len(WORDS)

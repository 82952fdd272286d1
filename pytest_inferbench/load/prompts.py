"""Prompts of an exact number of tokens, each unlike the others from its first word on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pytest_inferbench.errors import LoadError
from pytest_inferbench.load.tokens import TokenCounter
from pytest_inferbench.load.words import WORDS

_ROUNDS = 12
_WORDS_MIN = 50


class PromptMaker:
    """
    Makes prompts of random words, cut to length with a token counter.

    Random words rather than text: a server's prompt cache never has the beginning of a prompt, and the model cannot finish
    early because a text seems to be over.

    Raises:
        LoadError: too few usual words are single tokens; it is hardly the tokenizer of a model.
    """

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter
        # Words that cost exactly one token after another word.
        stem = counter.count("the")
        usual = [word for word in WORDS if counter.count(f"the {word}") == stem + 1]
        if len(usual) < _WORDS_MIN:
            raise LoadError(
                f"only {len(usual)} usual English words are single tokens of {counter.name}: is it the model's tokenizer?"
            )
        self._words = np.array(usual, dtype=object)
        self._costs_first = np.array([counter.count(word) for word in usual])
        # Words that cost one token at the beginning, too: texts that are joined by blanks then have the tokens of their parts.
        single = self._words[self._costs_first == 1]
        self._first_words = single if len(single) >= _WORDS_MIN else self._words

    def words(self, count: int, rng: np.random.Generator) -> tuple[str, ...]:
        """So many words that can stand at the beginning of a prompt, of one token each after another word."""
        return (_one_of(self._first_words, rng), *self._drawn(count - 1, rng))

    def prompt(self, tokens: int, rng: np.random.Generator, *, start: Sequence[str] = (), whole: bool = False) -> str:
        """
        A prompt of exactly ``tokens`` tokens by the counter, that begins with the words of ``start`` and ends in its own.

        Of ``start`` the end is left out where there is no room for it and a word of its own; ``whole``: it may be all there is.

        Raises:
            LoadError: the counter allows no such text.
        """
        if whole and len(start) == tokens and self._counter.count(" ".join(start)) == tokens:
            return " ".join(start)
        words = self._drawn(max(1, tokens - len(start)), rng)
        if not start:
            words[0] = _one_of(self._first_words, rng)
        for _ in range(_ROUNDS):
            text = " ".join((*start, *words))
            excess = self._counter.count(text) - tokens
            if excess == 0:
                return text
            if excess < 0:
                words.extend(self._drawn(-excess, rng))
            elif excess < len(words):
                words = words[: len(words) - excess]
            else:
                start = start[: max(0, len(start) - (excess - len(words) + 1))]
                words = self._drawn(1, rng) if start else [self._cheap_first(tokens, rng)]
        raise LoadError(
            f"no prompt of exactly {tokens} tokens could be made with {self._counter.name}; ask for a few more tokens"
        )

    def _cheap_first(self, tokens: int, rng: np.random.Generator) -> str:
        """A first word of no more than so many tokens, if there is one."""
        cheap = self._words[self._costs_first <= tokens]
        return _one_of(cheap if len(cheap) else self._words, rng)

    def _drawn(self, count: int, rng: np.random.Generator) -> list[str]:
        return list(self._words[rng.integers(0, len(self._words), size=count)])


def _one_of(words: Any, rng: np.random.Generator) -> str:
    return str(words[rng.integers(0, len(words))])

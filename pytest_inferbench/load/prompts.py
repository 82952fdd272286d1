"""Prompts of an exact number of tokens, each unlike the others from its first word on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.errors import LoadError
from pytest_inferbench.load.tokens import TokenCounter
from pytest_inferbench.load.words import WORDS

Words = NDArray[np.object_]
_ROUNDS = 12


class PromptMaker:
    """
    Makes prompts of random words, cut to length with a token counter.

    Random words rather than text: a server's prompt cache never has the beginning of a prompt, and the model cannot finish
    early because a text seems to be over.
    """

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter
        # Words that cost exactly one token after another word.
        stem = counter.count("the")
        self._words: Words = np.array([word for word in WORDS if counter.count(f"the {word}") == stem + 1], dtype=object)
        if len(self._words) < 50:
            raise LoadError(
                f"only {len(self._words)} usual English words are single tokens of {counter.name}: is it the model's tokenizer?"
            )

    def prompt(self, tokens: int, rng: np.random.Generator) -> str:
        """
        A prompt of exactly ``tokens`` tokens by the counter.

        Raises:
            LoadError: the counter allows no such text.
        """
        words = list(self._words[rng.integers(0, len(self._words), size=tokens)])
        for _ in range(_ROUNDS):
            text = " ".join(words)
            excess = self._counter.count(text) - tokens
            if excess == 0:
                return text
            if excess > 0:
                kept = len(words) - excess
                words = words[:kept] if kept > 0 else [self._pick(self._shortest(), rng)]
            else:
                words.extend(self._pick(self._words, rng) for _ in range(-excess))
        raise LoadError(
            f"no prompt of exactly {tokens} tokens could be made with {self._counter.name}; ask for a few more tokens"
        )

    def _shortest(self) -> Words:
        """The words that cost least at the beginning of a text, where many cost more than one token."""
        counts = np.array([self._counter.count(word) for word in self._words])
        shortest: Words = self._words[counts == counts.min()]
        return shortest

    @staticmethod
    def _pick(words: Words, rng: np.random.Generator) -> str:
        return str(words[rng.integers(0, len(words))])

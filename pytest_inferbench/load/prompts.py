"""Prompts of an exact number of tokens, each unlike the others from its first word on."""

from __future__ import annotations

import numpy as np

from pytest_inferbench.errors import LoadError
from pytest_inferbench.load.tokens import TokenCounter
from pytest_inferbench.load.words import WORDS

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
        self._words = np.array([word for word in WORDS if counter.count(f"the {word}") == stem + 1], dtype=object)
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
                # Nothing left to take away: another first word may be shorter.
                words = words[:kept] if kept > 0 else [self._word(rng)]
            else:
                words.extend(self._word(rng) for _ in range(-excess))
        raise LoadError(
            f"no prompt of exactly {tokens} tokens could be made with {self._counter.name}; ask for a few more tokens"
        )

    def _word(self, rng: np.random.Generator) -> str:
        return str(self._words[rng.integers(0, len(self._words))])

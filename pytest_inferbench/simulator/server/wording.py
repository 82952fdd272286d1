"""
What an answer says, and how long it is: decided when its request comes, from seeds.

Rule: pure. The same server seed, request seed and prompt give the same words.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from zlib import crc32

from pytest_inferbench.simulator.server.asking import Ask
from pytest_inferbench.simulator.server.tokens import UNKNOWN, Piece, vocabulary

NATURAL_TOKENS_MEDIAN = 180
"""Of answers that end by themselves; they are lognormal, which is the shape that public traces of chats have."""
NATURAL_SIGMA = 0.8


@dataclass(slots=True, kw_only=True)
class Wording:
    """
    The words of an answer, a token each, as they stand in its text (all but the first after a blank).

    Tokens of a stop string are among them, and no text: together the words are ``text``. ``finish`` is ``stop`` or ``length``.
    """

    words: list[str]
    text: str
    finish: str


def wording(ask: Ask, *, seed: int, tokens_max: int) -> Wording:
    """
    The answer to the first prompt of a request, of at most ``tokens_max`` tokens.

    With ``ignore_eos`` it has exactly so many, unless it says a stop string.
    """
    prompt = ask.prompts[0]
    draw = random.Random(f"{seed} {ask.seed} {_digest(prompt)}")  # noqa: S311 - words that repeat, nothing secret
    natural = round(draw.lognormvariate(0, NATURAL_SIGMA) * NATURAL_TOKENS_MEDIAN)
    tokens = tokens_max if ask.ignore_eos else min(tokens_max, max(natural, ask.tokens_min, 1))
    finish = "stop" if natural <= tokens_max and not ask.ignore_eos else "length"
    words = draw.choices(_after_a_blank(), k=tokens)
    words[0] = words[0][1:]
    return _stopped(words, ask, finish)


@cache
def _after_a_blank() -> tuple[str, ...]:
    return tuple(f" {word}" for word in vocabulary()[UNKNOWN + 1 :])


def _stopped(words: list[str], ask: Ask, finish: str) -> Wording:
    text = "".join(words)
    begin = len("".join(words[: ask.tokens_min]))
    found = [(at, len(stop)) for stop in ask.stop if (at := text.find(stop, begin)) >= 0]
    if not found:
        return Wording(words=words, text=text, finish=finish)
    end, size = min(found)
    said, shown = 0, []
    for word in words:
        if said >= end + size:
            break
        shown.append(word[: max(0, end - said)])
        said += len(word)
    return Wording(words=shown, text=text[:end], finish="stop")


def _digest(prompt: Sequence[Piece]) -> int:
    return crc32(" ".join(map(str, prompt)).encode(errors="replace"))

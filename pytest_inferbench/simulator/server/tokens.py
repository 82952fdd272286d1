"""
The simulated server's own tokens.

Rule: a token is a word: whatever stands between white space. Nothing is added: no begin of text, no template around messages.
``tokenizer.json`` beside this module says the same to the `tokenizers` library, so that whoever plans a prompt with it plans
exactly what the server counts; its vocabulary is also what answers are made of.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

TOKENIZER = Path(__file__).with_name("tokenizer.json")
"""What a client counts prompts with."""
UNKNOWN = 0
"""The number of every token that is not in the vocabulary."""

# Unicode's property White_Space, which is what the tokenizers library goes by; Python's own notion has four characters more.
_BLANKS = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_TOKEN = re.compile(rf"[^{_BLANKS}]+")

Piece = str | int
"""A token of a prompt: its text, or its number where the prompt came in numbers."""


@cache
def vocabulary() -> tuple[str, ...]:
    """Every token that has a number of its own, by that number; the first one stands for all others."""
    ids: dict[str, int] = json.loads(TOKENIZER.read_text(encoding="utf-8"))["model"]["vocab"]
    return tuple(sorted(ids, key=ids.__getitem__))


@cache
def _ids() -> dict[str, int]:
    return {token: number for number, token in enumerate(vocabulary())}


def pieces(text: str) -> list[str]:
    """The tokens of a text."""
    return _TOKEN.findall(text)


def numbers(tokens: Iterable[Piece]) -> list[int]:
    """The numbers of tokens; `UNKNOWN` for those without one."""
    ids = _ids()
    return [token if isinstance(token, int) else ids.get(token, UNKNOWN) for token in tokens]


def text_of(ids: Iterable[int]) -> str:
    """The text of these numbers: their words with blanks between."""
    words = vocabulary()
    return " ".join(words[number] if 0 <= number < len(words) else words[UNKNOWN] for number in ids)


def chain(prompt: Sequence[Piece], block_tokens: int) -> tuple[int, ...]:
    """
    A key for each full block of a prompt, made of the block and of all before it.

    Keys are Python's own hashes: the same within one process, and of no use outside it.
    """
    keys: list[int] = []
    key = 0
    for at in range(0, len(prompt) - block_tokens + 1, block_tokens):
        key = hash((key, *prompt[at : at + block_tokens]))
        keys.append(key)
    return tuple(keys)

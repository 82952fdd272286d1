"""
Prompts made of blocks, as traces of prefix caches describe them: requests whose lists of hash ids begin alike begin alike.

A block is 512 tokens (Mooncake's trace format: github.com/kvcache-ai/Mooncake, FAST25-release); the last one of a prompt may be
shorter. An id stands for the words of its block, whatever prompt it is in: the same id, phase, seed and salt give the same words.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from pytest_inferbench.load.prompts import PromptMaker
from pytest_inferbench.load.recipe import Recipe

BLOCK_TOKENS = 512
_BLOCKS_KEPT = 1024


class Blocks:
    """Makes prompts of blocks, and knows which blocks a server has seen."""

    def __init__(self, recipe: Recipe, phase: str, maker: PromptMaker) -> None:
        self._recipe = recipe
        self._phase = phase
        self._maker = maker
        self._seen: set[int] = set()
        self._block = lru_cache(maxsize=_BLOCKS_KEPT)(self._made)

    def prompt(self, tokens: int, hash_ids: Sequence[int]) -> tuple[str, int]:
        """
        A prompt of exactly so many tokens, and how many of them, from its beginning on, earlier prompts had as well.

        Where the ids stand for fewer tokens, the rest are words of its own; ids beyond its length count for nothing.

        Raises:
            LoadError: the token counter allows no such text.
        """
        ids = tuple(hash_ids[: -(-tokens // BLOCK_TOKENS)])
        words = [word for each in ids for word in self._block(each)][:tokens]
        # Whatever has to be drawn beyond the blocks follows from the ids, too: the same request twice is the same prompt.
        own = self._recipe.words(f"{self._phase} after blocks {ids} of {tokens}")
        text = self._maker.prompt(tokens, own, start=words, whole=True)
        return text, self._known(tokens, ids)

    def _known(self, tokens: int, ids: Sequence[int]) -> int:
        """Tokens of the leading blocks that have been sent before; from now on these all have."""
        new = next((place for place, each in enumerate(ids) if each not in self._seen), len(ids))
        self._seen.update(ids)
        return min(tokens, new * BLOCK_TOKENS)

    def _made(self, hash_id: int) -> tuple[str, ...]:
        return self._maker.words(BLOCK_TOKENS, self._recipe.words(f"{self._phase} block {hash_id}"))

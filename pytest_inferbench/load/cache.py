"""
What servers took from their prompt caches, held against what the plan lets them know.

Rule: pure; whether a difference spoils the figures is decided in `audit`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_inferbench.cases.case import Cache, Case
from pytest_inferbench.load.trace import MISSING, Ints, Traces

CHANCE_TOKENS = 2
"""Prompts of random words begin alike by chance: of some thousand, most share their first word with another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheUse:
    """
    How much of the prompts came from the server's cache.

    Attributes:
        cache: what the case says the server has seen.
        strict: more than expected is a fault; False where rows of a file may begin alike and nobody knows how much.
        expected_share: of the prompts' tokens, those that were sent to the server before.
        found_share: those the server took from its cache; None where it does not say.
        excess_share: those it took beyond what is expected, what it puts around every prompt, and chance.
    """

    cache: Cache
    strict: bool
    expected_share: float
    found_share: float | None
    excess_share: float


def cache_use(case: Case, traces: Traces, expected: Ints) -> CacheUse:
    """
    The use that the completed requests made of the cache; ``expected`` is n: tokens of each that were sent before.

    excess = sum(max(0, cached - expected - (prompt - asked) - 2)) / sum(prompt): what the server adds to a prompt (a chat
    template) is alike in all of them, and is cached from the second on.
    """
    traffic = case.traffic
    known = traces.completed & np.not_equal(traces.cached_tokens, MISSING)
    rows = known if known.any() else traces.completed
    prompt, cached, expected = traces.prompt_tokens[rows], traces.cached_tokens[rows], expected[rows]
    around = np.maximum(0, prompt - traces.prompt_tokens_asked[rows])
    excess = np.maximum(0, cached - expected - around - CHANCE_TOKENS)
    total = max(1, int(prompt.sum()))
    return CacheUse(
        cache=traffic.cache,
        strict=traffic.cache == "cold" or (traffic.cache == "shared" and traffic.kind != "dataset"),
        expected_share=float(expected.sum() / total),
        found_share=float(cached.sum() / total) if known.any() else None,
        excess_share=float(excess.sum() / total) if known.any() else 0.0,
    )

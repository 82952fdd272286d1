"""
The server's counts of tokens, held against what the plan asked for.

Rule: a difference that is the same for every prompt is what the server puts around each (a chat template, special tokens), as
long as it is small enough for one; whatever is beyond that means that client and server do not count with the same tokenizer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.cases.case import Case
from pytest_inferbench.load.trace import MISSING, Traces

SPECIAL_TOKENS_MAX = 4
"""Around a text that has no template: those that begin and end it."""
TEMPLATE_TOKENS_MAX = 256
"""In a chat template, with a system prompt of the model's own."""
MESSAGE_TOKENS_MAX = 16
"""Around each further message of a conversation."""
TOLERANCE_TOKENS, TOLERANCE_SHARE = 2, 0.02
"""A prompt may be off by this many, or by this share of its length, whichever is more."""

_WITHOUT_TEMPLATE = ("completions", "completions-tokens", "embeddings", "tgi", "triton")
_READ_AGAIN = ("rerank", "rerank-tei")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptDrift:
    """
    How far the server's counts of prompts lie from the tokenizer's.

    ``overhead_tokens`` is the median of server minus tokenizer, ``overhead_tokens_max`` the most that is explained by what is put
    around a prompt, ``off_share`` the share of prompts that lie further from the median than the tolerance.
    """

    overhead_tokens: float
    overhead_tokens_max: int
    off_share: float


def prompt_drift(case: Case, traces: Traces, counted: NDArray[np.bool_]) -> PromptDrift | None:
    """
    The drift of the completed requests whose prompt the server ``counted`` (shape n); None where there is nothing to compare.

    Nobody but the server knows how many tokens an image is, and one that ranks reads the query again with each document.
    """
    rows = traces.completed & counted
    if not rows.any() or case.traffic.images is not None or case.api in _READ_AGAIN:
        return None
    asked = traces.prompt_tokens_asked[rows]
    over = traces.prompt_tokens[rows] - asked
    middle = float(np.median(over))
    further = case.traffic.turns - 1
    tolerance = np.maximum(TOLERANCE_TOKENS, TOLERANCE_SHARE * asked) + further * MESSAGE_TOKENS_MAX
    around = SPECIAL_TOKENS_MAX * case.traffic.documents if case.api in _WITHOUT_TEMPLATE else TEMPLATE_TOKENS_MAX
    return PromptDrift(
        overhead_tokens=middle,
        overhead_tokens_max=around + 2 * further * MESSAGE_TOKENS_MAX,
        off_share=float(np.mean(np.abs(over - middle) > tolerance)),
    )


def output_shares(traces: Traces) -> tuple[float, float]:
    """Shares of the completed answers of known length that are shorter, and longer, than asked for."""
    known = traces.completed & np.not_equal(traces.output_tokens, MISSING)
    if not known.any():
        return 0.0, 0.0
    got, asked = traces.output_tokens[known], traces.output_tokens_asked[known]
    return float(np.mean(got < asked)), float(np.mean(got > asked))

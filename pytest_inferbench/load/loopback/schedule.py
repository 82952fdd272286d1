"""When the loopback server's tokens leave."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """
    When tokens leave, and how they are packed.

    Chunk ``j`` of an answer is due ``ttft_ms + j * tokens_per_chunk * itl_ms`` after the request was received.
    ``tokens`` is what a request without ``max_tokens`` gets. ``jitter``, from 0 to below 1, makes the first wait longer by up to
    that share and every later chunk later by up to that share of one interval, from a fixed seed; chunks keep their order and
    nothing adds up.
    ``role_chunk`` sends an event with a role and no text as soon as the request is received.
    """

    ttft_ms: float = 100.0
    itl_ms: float = 20.0
    tokens: int = 64
    tokens_per_chunk: int = 1
    jitter: float = 0.0
    role_chunk: bool = False

    def problem(self) -> str | None:
        """Say what is wrong with this schedule, or None."""
        if not 0 <= self.ttft_ms < inf or not 0 <= self.itl_ms < inf:
            return f"waits must be at least 0 ms: ttft {self.ttft_ms:g} ms, itl {self.itl_ms:g} ms"
        if self.tokens < 1 or self.tokens_per_chunk < 1:
            return f"there must be at least 1 token in an answer and in a chunk: {self.tokens} and {self.tokens_per_chunk}"
        if not 0 <= self.jitter < 1:
            return f"jitter must be at least 0 and below 1, not {self.jitter:g}"
        return None

"""
What the simulated server counts of itself, and of the requests that it answered.

Rule: counts and sums only; which names they have is `exposition`'s. Instants are what the server saw, not what was due, except
where lateness itself is counted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

LATE_S = 2e-3
"""From here on a token counts as late."""

_LATENCY_S = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.075,
    0.1,
    0.15,
    0.2,
    0.3,
    0.5,
    0.75,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    120.0,
)
_LATENESS_S = (0.00025, 0.0005, 0.001, LATE_S, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0)
_TOKENS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)


class Histogram:
    """
    Counts by upper bound, as Prometheus has them.

    ``counts[i]`` is of values from above ``bounds[i - 1]`` to ``bounds[i]``; the last one of all above.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.counts)


class Figures:
    """
    Everything that is counted; times in seconds.

    Attributes:
        first_token, between_tokens, end_to_end, queue, inference: of requests that make text.
        per_output_token: of each of them with two tokens at least: (last - first) / (tokens - 1).
        prompt_sizes, output_sizes: tokens of finished requests.
        finished: requests by how they ended: ``stop``, ``length``, ``abort``, ``error``.
        after_step_end: of each token, from the end of its step to its write.
        lateness: of each token, from when it was due to its write; 0 where it was early.
    """

    def __init__(self) -> None:
        self.first_token = Histogram(_LATENCY_S)
        self.between_tokens = Histogram(_LATENCY_S)
        self.per_output_token = Histogram(_LATENCY_S)
        self.end_to_end = Histogram(_LATENCY_S)
        self.queue = Histogram(_LATENCY_S)
        self.inference = Histogram(_LATENCY_S)
        self.prompt_sizes = Histogram(_TOKENS)
        self.output_sizes = Histogram(_TOKENS)
        self.finished: Counter[str] = Counter()
        self.requests = 0
        self.after_step_end = Histogram(_LATENESS_S)
        self.lateness = Histogram(_LATENESS_S)
        self.steps = 0
        self.late_steps = 0
        self.tokens = 0
        self.late_tokens = 0

    def token(self, after_step_s: float, late_s: float) -> bool:
        """Count a token that left so long after the end of its step, and so long after it was due; True where it was late."""
        self.tokens += 1
        self.after_step_end.observe(after_step_s)
        if late_s <= 0.0:
            self.lateness.counts[0] += 1
            return False
        self.lateness.observe(late_s)
        if late_s <= LATE_S:
            return False
        self.late_tokens += 1
        return True

    def step(self, *, late: bool) -> None:
        """Count a step whose tokens have been handed out; late where one of them was, or its end was noticed late."""
        self.steps += 1
        self.late_steps += late

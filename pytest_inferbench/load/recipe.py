"""What a plan is made from, and its streams of random numbers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pytest_inferbench.cases.case import Case
from pytest_inferbench.load.seeds import Seeds
from pytest_inferbench.load.tokens import TokenCounter


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything a plan is made from: the same recipe makes the same bytes at the same instants."""

    case: Case
    model: str
    extra_body: dict[str, Any] = field(default_factory=dict)
    seeds: Seeds
    counter: TokenCounter

    def shape(self, purpose: str) -> np.random.Generator:
        """A stream of its own for lengths, instants and the like, which are the same whatever the salt."""
        return self._generator(purpose, 0)

    def words(self, purpose: str) -> np.random.Generator:
        """A stream of its own for what is said, which differs with the salt."""
        return self._generator(purpose, self.seeds.salt)

    def _generator(self, purpose: str, salt: int) -> np.random.Generator:
        """A stream for each purpose, so that drawing more of one shifts no other."""
        case = self.case
        text = f"{case.suite}|{case.id}|{case.traffic.text}|{case.load.label}|{purpose}"
        key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
        return np.random.default_rng([self.seeds.seed, salt, key])

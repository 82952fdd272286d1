"""What makes two plans of the same case differ."""

from __future__ import annotations

import secrets
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """
    ``seed`` decides lengths and instants, ``seed`` and ``salt`` together the words of the prompts.

    The salt keeps the prompt cache of a server that is still running from answering a later run.
    """

    seed: int
    salt: int


def draw_seeds(asked: int | None) -> Seeds:
    """Seed 0 and a new salt where none was asked for; the same seed and salt, and so the same bytes, where one was."""
    return Seeds(seed=0, salt=secrets.randbits(32)) if asked is None else Seeds(seed=asked, salt=asked)

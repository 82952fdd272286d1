"""
What ends a load before its end: somebody who looks at what has been measured so far, and has seen enough.

Rule: who that is and what he wants to see is decided in a later stage; here stands only how he is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pytest_inferbench.load.trace import Traces


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """
    That a load ended early because enough was seen.

    Attributes:
        at: measured requests that were sent.
        of: the most that would have been; None where only the time was limited.
        at_s: how long the load had run when it was decided, in seconds.
        of_s: the longest it would have run; None where only the requests were limited.
        looks: into how many parts the chance of an error was divided (see `objectives.sequential`).
        why: what was sure.
    """

    at: int
    of: int | None
    at_s: float
    of_s: float | None
    looks: int
    why: str

    @property
    def words(self) -> str:
        """``stopped after 2,300 of 20,000 requests: sure that ...``."""
        if self.of is not None:
            return f"stopped after {self.at:,} of {self.of:,} requests: {self.why}"
        after = f"{self.at_s:.0f} s" if self.of_s is None else f"{self.at_s:.0f} of {self.of_s:.0f} s"
        return f"stopped after {after} ({self.at:,} requests): {self.why}"


class Stopper(Protocol):
    """Looks at a load while it runs, and says when enough was seen."""

    looks: int
    """Into how many parts the chance of an error is divided, whether the load ends early or not."""

    def ready(self, *, requests: int, seconds: float) -> bool:
        """Whether the first so many requests of a load, sent within its first so many seconds, are enough for the next look."""
        ...

    def look(self, traces: Traces, *, seconds: float) -> Stopped | None:
        """
        Look at them; None where the load is to go on.

        All that were sent before the last of them are there, whatever became of them.
        """
        ...

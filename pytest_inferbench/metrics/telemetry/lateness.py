"""
Whether a simulated server kept its own schedule: it counts its tokens, and those that it sent late.

A late one is more than `LATE_MS` behind the time that its model gave it, for want of a CPU: such a figure is one of this
machine, and none of the hardware that is simulated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_inferbench.load.finding import Finding
from pytest_inferbench.metrics.telemetry.exposition import Decoder, NoMetrics
from pytest_inferbench.metrics.telemetry.journal import Readings
from pytest_inferbench.metrics.telemetry.summarise import increase

TOKENS = "inferbench_simulator_tokens_total"
LATE_TOKENS = "inferbench_simulator_late_tokens_total"
LATE_MS = 2
LATE_SHARE_MAX = 0.01
"""More late tokens than that move a 99th percentile."""
LATE_SHARE_NOTED = 0.001
_ADVICE = "give server and client more CPU (fewer cases at once, taskset), or lower the load"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lateness:
    """Tokens that a simulated server sent, and those of them that were late."""

    tokens: float
    late_tokens: float

    @property
    def late_share(self) -> float:
        """late_tokens / tokens; 0 where there were none."""
        return self.late_tokens / self.tokens if self.tokens else 0.0


def simulator_lateness(readings: Readings, *, window_ns: tuple[int, int]) -> Lateness | None:
    """
    From the last answer of its metrics before the measured window to the first one after it.

    None where one of these is missing, or a simulated server's counts are not in them.
    """
    before = [scrape.text for scrape in readings.scrapes if scrape.timestamp_ns <= window_ns[0]]
    after = [scrape.text for scrape in readings.scrapes if scrape.timestamp_ns >= window_ns[1]]
    if not before or not after:
        return None
    begin, end = _counts(before[-1]), _counts(after[0])
    tokens, late = increase(begin, end, TOKENS), increase(begin, end, LATE_TOKENS)
    return None if tokens is None or late is None else Lateness(tokens=tokens, late_tokens=late)


def lateness_findings(readings: Readings, *, window_ns: tuple[int, int]) -> tuple[Finding, ...]:
    """What a reader should know of a simulated server's lateness; nothing of a real server."""
    if not readings.simulated:
        return ()
    found = simulator_lateness(readings, window_ns=window_ns)
    if found is None:
        what = "the simulated server did not say at both ends of the load how late its tokens were"
        return (Finding(what=what, advice="its figures may be those of a busy machine: run again", invalidates=False),)
    if found.late_share <= LATE_SHARE_NOTED:
        return ()
    what = (
        f"the simulated server sent {found.late_tokens:.0f} of {found.tokens:.0f} tokens ({found.late_share:.2%}) "
        f"more than {LATE_MS} ms later than its model says"
    )
    return (Finding(what=what, advice=_ADVICE, invalidates=found.late_share > LATE_SHARE_MAX),)


def _counts(text: str) -> Mapping[str, float]:
    # Two lines of many: the others are decoded elsewhere, and may be anything.
    lines = [line for line in text.split("\n") if line.startswith((TOKENS, LATE_TOKENS))]
    totals: dict[str, float] = {}
    try:
        for sample in Decoder().samples("\n".join(lines)):
            totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
    except NoMetrics:
        return {}
    return totals

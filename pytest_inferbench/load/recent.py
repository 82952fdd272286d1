"""
What a load is like at the moment, for people who watch: latencies and tokens of the requests that ended in the last few seconds.

Rule: this costs little, however much comes: of many requests the newest are looked at, and of those as many as the time allows.
So these are no figures of the case, which come from all requests when the load is over.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from pytest_inferbench.errors import LoadError
from pytest_inferbench.load.api import Api
from pytest_inferbench.load.exchange import Exchange, read_exchange
from pytest_inferbench.load.recording import Glimpse, Recording, Tail, glimpses, read_glimpse
from pytest_inferbench.load.trace import Outcome

EVERY_NS = 500_000_000
SPAN_NS = 3_000_000_000
MOST = 200
_PORTION_S = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest:
    """
    Medians over requests that completed in the last 3 seconds, and their tokens a second; None where there is none to tell.

    Attributes:
        ttft_ms: time to first token, counted as in the case's own figures.
        tpot_ms: time per output token after the first.
        output_tokens_per_s: output tokens of the requests that ended, over that time.
    """

    ttft_ms: float | None = None
    tpot_ms: float | None = None
    output_tokens_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Portion:
    """What was seen at once: from when to when requests ended, how many did, and what those were like that were read."""

    since_ns: int
    at_ns: int
    ended: int
    ttft_ms: list[float]
    tpot_ms: list[float]
    tokens: list[int]

    @property
    def output_tokens(self) -> float:
        """Of all that ended, if they were like those that were read."""
        return self.ended * sum(self.tokens) / len(self.tokens) if self.tokens else 0.0


class Recent:
    """
    The newest recordings of all load processes.

    Args:
        descriptors: of their files.
        api: whose answers they are.
        warmup: how many rows of the plan are warm-up, which is not looked at.
        open_loop: latencies count from the intended send.
    """

    def __init__(self, descriptors: Sequence[int], *, api: Api, warmup: int, open_loop: bool) -> None:
        self._tails = [Tail(each) for each in descriptors]
        self._api = api
        self._warmup = warmup
        self._open_loop = open_loop
        self._portions: deque[_Portion] = deque()
        self._looked_ns: int | None = None
        self._latest = Latest()

    def look(self, now_ns: int, *, limit_s: float = _PORTION_S) -> Latest:
        """What it is like now; looks at most twice a second, however often asked, and for ``limit_s`` at most."""
        since_ns = self._looked_ns
        if since_ns is not None and now_ns - since_ns < EVERY_NS:
            return self._latest
        self._looked_ns = now_ns
        new = [each for tail in self._tails for each in glimpses(tail) if each.row >= self._warmup]
        if new:
            self._portions.append(
                self._read(new, min(new, key=_end_ns).end_ns if since_ns is None else since_ns, now_ns, limit_s)
            )
        while self._portions and self._portions[0].at_ns < now_ns - SPAN_NS:
            self._portions.popleft()
        self._latest = _latest(self._portions, now_ns)
        return self._latest

    def _read(self, new: list[Glimpse], since_ns: int, now_ns: int, limit_s: float) -> _Portion:
        portion = _Portion(since_ns, now_ns, len(new), [], [], [])
        deadline_s = time.monotonic() + limit_s
        for glimpse in sorted(new, key=_end_ns, reverse=True)[:MOST]:
            try:
                recording = read_glimpse(glimpse)
            except LoadError:
                continue
            self._note(portion, recording, read_exchange(recording, self._api))
            if time.monotonic() >= deadline_s:
                break
        return portion

    def _note(self, portion: _Portion, recording: Recording, exchange: Exchange) -> None:
        if exchange.outcome is not Outcome.COMPLETED:
            portion.tokens.append(0)
            return
        portion.tokens.append(max(exchange.output_tokens, 0))
        events = exchange.event_ns
        if events:
            start_ns = recording.intended_send_ns if self._open_loop else recording.send_ns
            portion.ttft_ms.append((events[0] - start_ns) / 1e6)
        if events and exchange.output_tokens > 1:
            portion.tpot_ms.append((events[-1] - events[0]) / (exchange.output_tokens - 1) / 1e6)


def _end_ns(glimpse: Glimpse) -> int:
    return glimpse.end_ns


def _latest(portions: deque[_Portion], now_ns: int) -> Latest:
    if not portions:
        return Latest()
    ttft_ms = [value for each in portions for value in each.ttft_ms]
    tpot_ms = [value for each in portions for value in each.tpot_ms]
    seconds = (now_ns - portions[0].since_ns) / 1e9
    tokens = sum(each.output_tokens for each in portions)
    return Latest(
        ttft_ms=median(ttft_ms) if ttft_ms else None,
        tpot_ms=median(tpot_ms) if tpot_ms else None,
        output_tokens_per_s=tokens / seconds if tokens and seconds > 0 else None,
    )

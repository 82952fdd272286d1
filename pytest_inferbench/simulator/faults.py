"""
Faults on demand: what a simulated server does wrong, decided from a plan, a count, a time and a draw.

Rule: frozen data and pure functions. The server looks at its clock, draws, and does what is decided here; times count from the
instant at which it became ready, requests from 0 in the order in which they came (a launcher's probe is a request as well).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf
from typing import Any

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.simulator.fault_forms import FAULTS, FLAG, HEADER, Drift, ErrorRate, FaultForm, Throttle, read_faults

__all__ = ["FAULTS", "HEADER", "FaultForm", "FaultPlan", "RequestFault", "StartFault"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StartFault:
    """How a start goes wrong: so much later than it would be ready, or never."""

    delay_s: float = 0.0
    never: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFault:
    """
    What goes wrong with one request; the defaults are a request with which nothing does.

    Attributes:
        status: refuse it with this status, before anything else; None: answer it.
        retry_after_s: of the refusal's ``retry-after``; None: without.
        hang: never answer it, and keep its connection open.
        stall_after_tokens: send so many tokens, and if there are more to come, stop for `stall_s` before the next.
        stall_s: infinite: for as long as the client waits.
        reset_after_tokens: send so many tokens, and if there are more to come, reset the connection.
        tokens_per_chunk: in each event of a stream.
        usage_offset: added to the output tokens that usage counts, which are at least 0 then.
        usage: whether it says usage at all.
        write_delay_s, write_bytes_per_s: see `write_pause_s`.
    """

    status: int | None = None
    retry_after_s: float | None = None
    hang: bool = False
    stall_after_tokens: int | None = None
    stall_s: float = inf
    reset_after_tokens: int | None = None
    tokens_per_chunk: int = 1
    usage_offset: int = 0
    usage: bool = True
    write_delay_s: float = 0.0
    write_bytes_per_s: float = inf

    def write_pause_s(self, size_bytes: int) -> float:
        """How long a write of this size is held back, in seconds: write_delay_s + size / write_bytes_per_s."""
        return self.write_delay_s + size_bytes / self.write_bytes_per_s


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """
    Everything that goes wrong with a server; the defaults are a server with which nothing does.

    Each field is what the fault of that name in `FAULTS` asks for.
    """

    start_delay_s: float = 0.0
    never_ready: bool = False
    crash_after_requests: int | None = None
    crash_after_s: float = inf
    hang_after_requests: int | None = None
    stall_after_tokens: int | None = None
    stall_s: float = inf
    reset_after_tokens: int | None = None
    errors: tuple[ErrorRate, ...] = ()
    usage_offset: int = 0
    missing_usage: bool = False
    tokens_per_chunk: int = 1
    write_delay_s: float = 0.0
    write_bytes_per_s: float = inf
    throttle: Throttle | None = None
    leak_bytes_per_s: float = 0.0
    leak_from_s: float = 0.0
    drift: Drift | None = None

    @classmethod
    def parse(cls, texts: Sequence[str]) -> FaultPlan:
        """
        The plan of texts such as ``slow-start=60s`` or ``error-rate=429:0.1, missing-usage``, each of `FAULTS`.

        Raises:
            ConfigError: a text is no fault, or its value is none of those allowed; names both, and what is allowed.
        """
        return _changed(cls(), texts, source=FLAG)

    def at_start(self) -> StartFault:
        """What goes wrong with the start."""
        return StartFault(delay_s=self.start_delay_s, never=self.never_ready)

    def on_request(self, index: int, header: str | None, draw: float) -> RequestFault:
        """
        What goes wrong with a request.

        Args:
            index: how many requests came before it.
            header: of its own `HEADER`, whose faults take the place of the server's of the same name; None: it has none.
            draw: from 0 to below 1, equally likely anywhere: whether it is one of those that are refused.

        Raises:
            ConfigError: the header's text is no fault of a request.
        """
        plan = self if header is None else _of_request(self, header)
        refused = _refusal(plan.errors, draw)
        return RequestFault(
            status=None if refused is None else refused.status,
            retry_after_s=None if refused is None else refused.retry_after_s,
            hang=plan.hang_after_requests is not None and index >= plan.hang_after_requests,
            stall_after_tokens=plan.stall_after_tokens,
            stall_s=plan.stall_s,
            reset_after_tokens=plan.reset_after_tokens,
            tokens_per_chunk=plan.tokens_per_chunk,
            usage_offset=plan.usage_offset,
            usage=not plan.missing_usage,
            write_delay_s=plan.write_delay_s,
            write_bytes_per_s=plan.write_bytes_per_s,
        )

    def crash_due(self, requests: int, elapsed_s: float) -> bool:
        """Whether the server is to end now, with so many requests answered and so long after it became ready."""
        enough = self.crash_after_requests is not None and requests >= self.crash_after_requests
        return enough or elapsed_s >= self.crash_after_s

    def clock_share(self, elapsed_s: float) -> float:
        """Clocks as a share of their full speed; 1 where nothing holds them back."""
        throttle = self.throttle
        held = throttle is not None and throttle.from_s <= elapsed_s < throttle.until_s
        return throttle.clock_share if throttle is not None and held else 1.0

    def step_factor(self, elapsed_s: float) -> float:
        """By what a step takes longer than it would: 1 / clock share, times 1 + drift once that has begun."""
        drift = self.drift
        slower = 1 + drift.slower_share if drift is not None and elapsed_s >= drift.from_s else 1.0
        return slower / self.clock_share(elapsed_s)

    def leaked_bytes(self, elapsed_s: float) -> int:
        """GPU memory that is lost by now, on each GPU."""
        return int(self.leak_bytes_per_s * max(0.0, elapsed_s - self.leak_from_s))


def _refusal(errors: Sequence[ErrorRate], draw: float) -> ErrorRate | None:
    """Each status has its own part of the interval from 0 to 1, one after the other."""
    below = 0.0
    for error in errors:
        below += error.share
        if draw < below:
            return error
    return None


@lru_cache(maxsize=256)
def _of_request(plan: FaultPlan, header: str) -> FaultPlan:
    return _changed(plan, (header,), source=HEADER)


def _changed(plan: FaultPlan, texts: Sequence[str], *, source: str) -> FaultPlan:
    fields: dict[str, Any] = read_faults(texts, source=source)
    changed = replace(plan, **fields)
    if sum(error.share for error in changed.errors) > 1 + 1e-9:
        shares = " + ".join(f"{error.share:g}" for error in changed.errors)
        raise ConfigError(f"error-rate: the shares of refused requests add up to more than 1: {shares}", file=source)
    return changed

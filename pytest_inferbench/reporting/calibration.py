"""What a calibration found, as a small table and what it means."""

from __future__ import annotations

from math import ceil, isfinite, log10

from pytest_inferbench.load.calibrate import Calibration, Spread
from pytest_inferbench.reporting.figures import number

_NAME_WIDTH = 22
_WIDTH = 10
_LATE_MS_MAX = 10.0


def calibration_lines(found: Calibration) -> list[str]:
    """The lines to print: errors, what the client costs, and what a reader should make of it."""
    errors = found.errors
    heads = "".join(f"{head:>{_WIDTH}}" for head in ("p50", "p99", "max"))
    return [
        f"closed loop: {found.users} users, {errors.requests} requests, {number(found.tokens_per_s)} tokens/s",
        f"{'error of times (ms)':<{_NAME_WIDTH}}{heads}",
        _row("first token", errors.first),
        _row("last token", errors.last),
        _row("gap between tokens", errors.gap),
        f"open loop: Poisson of {number(found.rate_asked_per_s)} requests/s, {number(found.rate_achieved_per_s)} drawn and sent",
        f"{'send lag (ms)':<{_NAME_WIDTH}}{number(found.send_lag_p50_ms):>{_WIDTH}}{number(found.send_lag_p99_ms):>{_WIDTH}}",
        f"client CPU: {number(found.cpu_us_per_token)} us a token; clock: {found.clock}",
        "",
        *_meaning(found),
    ]


def _row(name: str, spread: Spread) -> str:
    figures = "".join(f"{number(value):>{_WIDTH}}" for value in (spread.p50_ms, spread.p99_ms, spread.max_ms))
    return f"{name:<{_NAME_WIDTH}}{figures}"


def _meaning(found: Calibration) -> list[str]:
    floor_ms = max(found.errors.first.p99_ms, found.errors.last.p99_ms, found.errors.gap.p99_ms)
    said = [f"Latencies measured on this machine as it is now are right to about {_rounded_up(floor_ms)} ms (p99)."]
    if found.clock != "kernel":
        said.append("Times were taken in user space: the kernel gave no receive stamps, and a busy client is a late one.")
    if found.server_late_p99_ms > _LATE_MS_MAX:
        late = number(found.server_late_p99_ms)
        said.append(f"The loopback server was {late} ms late itself (p99): this machine is busy with other work.")
    return said


def _rounded_up(value: float) -> str:
    """One significant digit, never less than the value: 0.064 is 0.07."""
    if not isfinite(value) or value <= 0:
        return number(value)
    step = 10.0 ** (ceil(log10(value)) - 1)
    return f"{ceil(round(value / step, 9)) * step:.9g}"

"""What a short calibration found: the least error that this client has on this machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """
    How right the client was against a server whose times are known, just before a run; see `calibrate.quick`.

    Attributes:
        first_p50_ms, first_p99_ms: the client's time of a first token minus the server's own.
        lag_p50_ms, lag_p99_ms: actual minus intended send.
        requests: how many were compared.
        clock: ``kernel`` or ``userspace``.
    """

    first_p50_ms: float
    first_p99_ms: float
    lag_p50_ms: float
    lag_p99_ms: float
    requests: int
    clock: str

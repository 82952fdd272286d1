"""
GPUs whose memory did not come back after their server had stopped: left alone until it does.

Rule: the mark stands in the GPU's lock file, where whoever leases it next finds it, and means nothing after the next boot. It
is taken away by whoever sees that the memory is back.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.devices.lock_file import printable
from pytest_inferbench.devices.usage import Usage, gib, named

# A driver keeps some memory of its own, more or less of it from one time to the next.
TOLERANCE_BYTES = 200 * 1024**2
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_KIND = "quarantine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """A mark: why, since when, and at how much memory in use it ends."""

    reason: str
    since: str
    boot: str
    memory_used_bytes_max: int


def excess(gpu: Gpu, *, before: Usage, now: Usage) -> str | None:
    """What is wrong with a GPU whose server has stopped, as a sentence; None where its memory is back, or cannot be told."""
    if before.memory_used_bytes is None or now.memory_used_bytes is None:
        return None
    more = now.memory_used_bytes - before.memory_used_bytes
    if more <= TOLERANCE_BYTES:
        return None
    by = f", with {named(now.processes)} on it" if now.processes else ""
    return f"{gpu.label} ({gpu.name}) has {gib(more)} more memory in use than before its server ran{by}"


def mark(reason: str, *, before: Usage) -> bytes:
    """What is written into the GPU's lock file."""
    limit = (before.memory_used_bytes or 0) + TOLERANCE_BYTES
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps(
        {_KIND: asdict(Quarantine(reason=reason, since=since, boot=boot_id(), memory_used_bytes_max=limit))}
    ).encode()


def read_mark(content: bytes) -> Quarantine | None:
    """The mark in a lock file; None where there is none, or none that still means anything."""
    try:
        found = json.loads(content)[_KIND]
        quarantine = Quarantine(
            reason=printable(str(found["reason"])),
            since=printable(str(found["since"])),
            boot=str(found["boot"]),
            memory_used_bytes_max=int(found["memory_used_bytes_max"]),
        )
    except (ValueError, TypeError, KeyError, OverflowError):  # any user may have written anything there
        return None
    return quarantine if quarantine.boot == boot_id() else None


def still_holds(quarantine: Quarantine, now: Usage) -> str | None:
    """Why the GPU is still left alone, in words; None where its memory is back."""
    if now.memory_used_bytes is not None and now.memory_used_bytes <= quarantine.memory_used_bytes_max:
        return None
    return f"in quarantine since {quarantine.since}: {quarantine.reason}"


@cache
def boot_id() -> str:
    """What is different after each boot of this machine; empty where it is not known."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""

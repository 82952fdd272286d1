"""
How long a load process waited for a CPU, each time that it woke up: what kernel stamps cannot show where reads merge.

Linux keeps for each task the time that it spent runnable and not running, the second number of ``/proc/self/schedstat``
(Documentation/scheduler/sched-stats.rst); what it grew by from one wake-up to the next is how late the later one came.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

BUCKET_NS = 1 << 14
_SCHEDSTAT = Path("/proc/self/schedstat")
_BYTES_MAX = 96


def lateness_ms_p99(buckets: Mapping[int, int], *, wall_s: float) -> float:
    """
    How late something that came at any instant of a load was noticed because of waits for a CPU: 99th percentile, in ms.

    During a wait of ``w`` the first things to come are noticed ``w`` later, the last ones at once. So what came at a random
    instant is more than ``x`` late with probability sum(max(w - x, 0)) / wall; the percentile is the x where that is 0.01.
    Counting wake-ups instead would let a thousand quick ones hide the few in which most of a load piled up.
    """
    allowed_ns = 0.01 * wall_s * 1e9
    area_ns, waits, upper_ns = 0.0, 0, 0
    for bucket in sorted(buckets, reverse=True):
        lower_ns = bucket * BUCKET_NS
        area_below_ns = area_ns + waits * (upper_ns - lower_ns)
        if area_below_ns > allowed_ns:
            break
        area_ns, upper_ns = area_below_ns, lower_ns
        waits += buckets[bucket]
    else:
        if area_ns + waits * upper_ns <= allowed_ns:
            return 0.0
    return (upper_ns - (allowed_ns - area_ns) / waits) / 1e6 if waits else 0.0


class CpuWaits:
    """
    Counts wake-ups of the main thread by how late they came; nothing where the system does not say.

    Attributes:
        buckets: wake-ups by their wait, in buckets of `BUCKET_NS`.
    """

    def __init__(self, path: Path = _SCHEDSTAT) -> None:
        self.buckets: dict[int, int] = {}
        self._waited_ns = 0
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = -1
        self._waited_ns = self._read()

    def look(self) -> None:
        """Count the wake-up that has just come."""
        if self._fd < 0:
            return
        waited_ns = self._read()
        bucket = (waited_ns - self._waited_ns) // BUCKET_NS
        self._waited_ns = waited_ns
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> int:
        if self._fd < 0:
            return self._waited_ns
        try:
            return int(os.pread(self._fd, _BYTES_MAX, 0).split()[1])
        except (OSError, IndexError, ValueError):
            self.close()
            return self._waited_ns

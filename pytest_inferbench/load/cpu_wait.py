"""
How long a load process waited for a CPU, each time that it woke up: what kernel stamps cannot show where reads merge.

Linux keeps for each task the time that it spent runnable and not running, the second number of ``/proc/self/schedstat``
(Documentation/scheduler/sched-stats.rst); what it grew by from one wake-up to the next is how late the later one came.
"""

from __future__ import annotations

import os
from pathlib import Path

BUCKET_NS = 1 << 14
_SCHEDSTAT = Path("/proc/self/schedstat")
_BYTES_MAX = 96


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

"""
Being run soon: what a load process can ask of the scheduler without any right.

Since Linux 6.12 a process may say how long its turns on a CPU are meant to be (``sched_setattr`` with ``sched_runtime``), and one
with short turns goes before those with long ones when it wakes. A load process works for some microseconds at a time, so that it
asks for little and is not kept waiting for whatever else wants its CPU. Older kernels take no notice.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys

_TURN_NS = 100_000
"""The shortest that the kernel takes."""
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
"""Numbers of the system call; not every C library has a name for it."""


class _SchedAttr(ctypes.Structure):
    """As in Linux's uapi/linux/sched/types.h, in its first version."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    )


def ask_for_short_turns() -> bool:
    """Ask for this thread; False where the system knows no such wish."""
    number = _SCHED_SETATTR.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return False
    wish = _SchedAttr(size=ctypes.sizeof(_SchedAttr), nice=os.getpriority(os.PRIO_PROCESS, 0), runtime=_TURN_NS)
    return bool(ctypes.CDLL(None).syscall(number, 0, ctypes.byref(wish), 0) == 0)

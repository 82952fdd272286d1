"""
Waking the event loop at an instant of CLOCK_MONOTONIC.

Rule: the loop's own timers are rounded up to whole milliseconds, half of what a token may be late; so a timerfd is used where
there is one.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
from collections.abc import Callable
from time import CLOCK_MONOTONIC, monotonic

_PR_SET_TIMERSLACK = 29
_TFD_TIMER_ABSTIME = 1
_SOONEST_NS = 1


class LoopAlarm:
    """An alarm of the event loop's own timers."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None

    def set(self, at_s: float) -> None:
        """Call at that instant, or soon where it has passed; an instant set before is forgotten."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._loop.call_later(max(0.0, at_s - monotonic()), self._ring)

    def close(self) -> None:
        """Forget it all."""
        if self._handle is not None:
            self._handle.cancel()


class _Times(ctypes.Structure):
    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class TimerfdAlarm:
    """
    An alarm of the kernel's; exact to some microseconds.

    Raises:
        OSError: there is none here.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            self._fd: int = libc.timerfd_create(CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
            self._settime = libc.timerfd_settime
            libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
        except AttributeError as error:
            raise OSError(f"no timerfd: {error}") from error
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._times = _Times()
        self._pointer = ctypes.byref(self._times)
        self._loop = loop
        self._ring = ring
        loop.add_reader(self._fd, self._wake)

    def set(self, at_s: float) -> None:
        """Call at that instant, or soon where it has passed; an instant set before is forgotten."""
        at_ns = max(round(at_s * 1e9), _SOONEST_NS)
        self._times.value_s, self._times.value_ns = divmod(at_ns, 1_000_000_000)
        self._settime(self._fd, _TFD_TIMER_ABSTIME, self._pointer, None)

    def close(self) -> None:
        """Give it back."""
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it was set again since it rang
            os.read(self._fd, 8)
            self._ring()


def alarm(loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> LoopAlarm | TimerfdAlarm:
    """The most exact alarm there is here; it calls ``ring``."""
    try:
        return TimerfdAlarm(loop, ring)
    except OSError:
        return LoopAlarm(loop, ring)

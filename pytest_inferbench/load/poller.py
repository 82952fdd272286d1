"""
Waiting for sockets and for an instant at the same time, to better than a millisecond.

epoll's own time-out counts whole milliseconds, so the instant comes from a timerfd on Linux; elsewhere poll() has to do.
"""

from __future__ import annotations

import ctypes
import os
import select
from typing import Protocol

from pytest_inferbench.load.clock import monotonic_ns

READ = select.POLLIN
WRITE = select.POLLOUT
_CLOCK_MONOTONIC = 1
_TFD_NONBLOCK = os.O_NONBLOCK
_TFD_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_TFD_TIMER_ABSTIME = 1
_PR_SET_TIMERSLACK = 29
_UNARMED = -1
_POLL_MS_MAX = 86_400_000.0
_EVENTS_MAX = 32
"""At most so many at a time: after a time in which nobody was served, a send that is due waits for no more reads than these."""


class Poller(Protocol):
    """Waits for events on descriptors, or for an instant."""

    def register(self, fd: int, mask: int) -> None:
        """Start to watch ``fd``."""

    def modify(self, fd: int, mask: int) -> None:
        """Watch ``fd`` for something else."""

    def unregister(self, fd: int) -> None:
        """Stop to watch ``fd``."""

    def ready(self) -> list[tuple[int, int]]:
        """What is ready now, without waiting: (descriptor, mask) pairs."""
        ...

    def wait_until(self, instant_ns: int) -> list[tuple[int, int]]:
        """What becomes ready up to the instant; empty when it passed."""
        ...

    def close(self) -> None:
        """Give its descriptors back."""


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("it_interval", _Timespec), ("it_value", _Timespec))


class EpollPoller:
    """epoll with a timerfd (Linux); EPOLLIN and EPOLLOUT have the values of POLLIN and POLLOUT."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        # Timers of a process may by default fire 50 us late, to save power.
        self._libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
        self._timer = self._libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
        if self._timer < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._epoll = select.epoll()
        self._epoll.register(self._timer, select.EPOLLIN)
        self._armed_ns = _UNARMED
        self._poll = self._epoll.poll
        self.register = self._epoll.register
        self.modify = self._epoll.modify
        self.unregister = self._epoll.unregister

    def ready(self) -> list[tuple[int, int]]:
        """What is ready now; the timer's own event is taken out."""
        return self._without_timer(self._poll(0, _EVENTS_MAX))

    def wait_until(self, instant_ns: int) -> list[tuple[int, int]]:
        """What becomes ready up to the instant."""
        if instant_ns != self._armed_ns:
            self._arm(instant_ns)
        return self._without_timer(self._poll(-1, _EVENTS_MAX))

    def close(self) -> None:
        """Close epoll and timer."""
        self._epoll.close()
        os.close(self._timer)

    def _arm(self, instant_ns: int) -> None:
        sec, nsec = divmod(max(instant_ns, 1), 1_000_000_000)
        spec = _Itimerspec(_Timespec(0, 0), _Timespec(sec, nsec))
        self._libc.timerfd_settime(self._timer, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None)
        self._armed_ns = instant_ns

    def _without_timer(self, events: list[tuple[int, int]]) -> list[tuple[int, int]]:
        for index, (fd, _) in enumerate(events):
            if fd == self._timer:
                os.read(self._timer, 8)
                self._armed_ns = _UNARMED
                del events[index]
                break
        return events


class PollPoller:
    """poll() with its milliseconds, where there is no epoll."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self.register = self._poll.register
        self.modify = self._poll.modify
        self.unregister = self._poll.unregister

    def ready(self) -> list[tuple[int, int]]:
        """What is ready now."""
        return self._poll.poll(0)

    def wait_until(self, instant_ns: int) -> list[tuple[int, int]]:
        """What becomes ready up to the instant, which may pass by a millisecond; or nothing after a day."""
        # poll() counts whole milliseconds in an int, and rounds up.
        return self._poll.poll(min(max(0.0, (instant_ns - monotonic_ns()) / 1e6), _POLL_MS_MAX))

    def close(self) -> None:
        """Nothing to give back."""


def make_poller() -> Poller:
    """The best poller of this platform."""
    return EpollPoller() if hasattr(select, "epoll") else PollPoller()

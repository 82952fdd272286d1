"""
Processes that are found by a mark in their environment, wherever they went: into another session, to another parent.

Rule: a number alone names no process, since numbers come again. What is signalled here was found by its mark, or shares the
process group of one that was, or is known by number and start time.

A process of another user cannot be looked into. One that throws its environment away is found through its group only.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pytest_inferbench.launch.group import members
from pytest_inferbench.launch.ownership import start_time

VARIABLE = "PYTEST_INFERBENCH_SERVER"
_POLL_S = 0.05


def environment(token: str) -> dict[str, str]:
    """What a process gets in its environment to be found by; all that it starts inherits it."""
    # Servers that rename themselves (setproctitle) write the name over their environment, unless this is set.
    return {VARIABLE: token, "SPT_NOENV": "1"}


def marked(token: str) -> frozenset[int]:
    """The processes that run with this mark; this one is never among them."""
    if not token:
        return frozenset()
    mark = f"{VARIABLE}={token}".encode()
    found = set[int]()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended, or is another user's
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.add(int(folder.name))
    return frozenset(found - {os.getpid()})


def belonging(token: str, *, leader: int = 0, started: str = "") -> frozenset[int]:
    """
    The processes of a server: those with its mark, and the group of its leader.

    Args:
        token: its mark.
        leader: the number of the process that was started, and so of its group; 0 where it is not known.
        started: when that one was started (`ownership.start_time`): what has its number only is somebody else.
    """
    found = marked(token)
    group = frozenset(members(leader)) if leader else frozenset[int]()
    known = bool(leader and started) and start_time(leader) == started
    if known or found & group:
        found |= group
    return found - {os.getpid()}


def end(find: Callable[[], frozenset[int]], *, terminate_s: float, kill_s: float) -> tuple[int, ...]:
    """
    End the processes that ``find`` finds: SIGTERM, and SIGKILL for what is left after ``terminate_s`` seconds.

    Returns:
        What is left ``kill_s`` seconds after the first SIGKILL, as a rule nothing.
    """
    told = find()
    _signal(told, signal.SIGTERM)
    deadline_s = time.monotonic() + terminate_s
    while told and (left := find()):
        # Whoever appears later was started by one that is about to end, and is told as well.
        _signal(left - told, signal.SIGTERM)
        told |= left
        if time.monotonic() >= deadline_s:
            return _kill(find, kill_s=kill_s)
        time.sleep(_POLL_S)
    return ()


def _kill(find: Callable[[], frozenset[int]], *, kill_s: float) -> tuple[int, ...]:
    deadline_s = time.monotonic() + kill_s
    while left := find():
        _signal(left, signal.SIGKILL)
        if time.monotonic() >= deadline_s:
            return tuple(sorted(left))
        time.sleep(_POLL_S)
    return ()


def _signal(pids: frozenset[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)

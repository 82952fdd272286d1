"""
A server's processes: the one that was started, and those that it started, which share its process group.

A process that leaves the group (by setsid) is not found here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from pytest_inferbench.errors import EngineError

_POLL_S = 0.02


def members(group: int) -> tuple[int, ...]:
    """The processes of a group that run; zombies do not. Empty where there is no /proc: there the leader alone is waited for."""
    if not Path("/proc/self/stat").exists():
        return ()
    return tuple(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _runs_in(entry, group))


def exited(process: subprocess.Popen[bytes]) -> bool:
    """
    Whether the process has ended, without reaping it.

    Until it is reaped its number names nothing else, so that its group can still be signalled without hitting others.
    """
    if process.returncode is not None or not hasattr(os, "waitid"):
        return process.poll() is not None
    try:
        status = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return True
    return status is not None


def end_group(process: subprocess.Popen[bytes], *, terminate_s: float, kill_s: float) -> None:
    """
    End a process and its whole group: SIGTERM, and SIGKILL for what is left after ``terminate_s`` seconds.

    Where waiting is interrupted (Ctrl-C), SIGKILL comes at once.

    Raises:
        EngineError: something is left ``kill_s`` seconds after SIGKILL.
    """
    try:
        _signal(process.pid, signal.SIGTERM)
        gone = _wait_for_end(process, limit_s=terminate_s)
    except BaseException:
        _signal(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=kill_s)
        raise
    if not gone:
        _signal(process.pid, signal.SIGKILL)
        if not _wait_for_end(process, limit_s=kill_s):
            left = ", ".join(map(str, members(process.pid)))
            raise EngineError(f"these processes of a server are left {kill_s:g} s after SIGKILL: {left}")
    process.wait()


def _wait_for_end(process: subprocess.Popen[bytes], *, limit_s: float) -> bool:
    deadline_s = time.monotonic() + limit_s
    # The leader is left unreaped until nobody else is in the group: see `exited`.
    while not exited(process) or members(process.pid):
        if time.monotonic() >= deadline_s:
            return False
        time.sleep(_POLL_S)
    return True


def _runs_in(entry: Path, group: int) -> bool:
    try:
        # "pid (name) state ppid pgrp ...": the name may hold anything, so read from its last bracket.
        state, _, pgrp = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:3]
    except (OSError, ValueError):
        return False
    return int(pgrp) == group and state not in {"Z", "X"}


def _signal(group: int, number: signal.Signals) -> None:
    # Nobody left is what was wanted; a process that became another user's cannot be reached, and is reported as left.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)

"""
A wrapper that makes a server die with the process that started it, even when that one is killed with SIGKILL:
``python guard.py PARENT_PID -- COMMAND ...``.

Standard library only, and run as a file, so that it starts in a few milliseconds and in any environment.

It asks the kernel for a signal at the parent's death and then becomes the command (same process id, no process in between).

What it does not do, since Linux does not: the signal comes when the *thread* that started the process ends, so servers are
started from threads that live as long as they should. It reaches the server itself and not its children, which mostly end
with it. It is forgotten when a set-uid program is run. Other systems than Linux have no such thing: there the server outlives
a killed parent.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1
EXIT_USAGE = 2
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127


def die_with_parent(number: signal.Signals) -> bool:
    """Ask the kernel to send this process a signal when its parent's thread ends; whether the kernel knows how."""
    if not sys.platform.startswith("linux"):
        return False
    return bool(ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0) == 0)


def guarded(argv: Sequence[str]) -> tuple[str, ...]:
    """The command line that runs ``argv`` so that it dies with this process."""
    # -I and -S: no variable of the environment, no folder and no package takes part.
    return (sys.executable, "-I", "-S", __file__, str(os.getpid()), "--", *argv)


def main(argv: Sequence[str]) -> int:
    """Become the command; returns only where that fails, with the exit code that a shell would give."""
    if len(argv) < 3 or not argv[0].isdigit() or argv[1] != "--":
        sys.stderr.write("usage: python guard.py PARENT_PID -- COMMAND ...\n")
        return EXIT_USAGE
    parent_pid, command = int(argv[0]), list(argv[2:])
    # SIGTERM, so that servers with children get to end them.
    die_with_parent(signal.SIGTERM)
    if os.getppid() != parent_pid:
        return 0  # the parent died before the kernel was asked
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted: this process becomes the command
    except OSError as error:
        sys.stderr.write(f"error: cannot run {command[0]}: {error.strerror}\n")
        return EXIT_NOT_FOUND if isinstance(error, FileNotFoundError) else EXIT_NOT_EXECUTABLE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

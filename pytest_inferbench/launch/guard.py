"""
A wrapper that makes a server die with the process that started it, even when that one is killed with SIGKILL:
``python guard.py PARENT_PID [--cpus 0,1] [--memory BYTES] -- COMMAND ...``.

Standard library only, and run as a file, so that it starts in a few milliseconds and in any environment.

It asks the kernel for a signal at the parent's death, takes on the limits, and then becomes the command (same process id, no
process in between). With 0 for PARENT_PID the command may outlive whoever started it.

The memory limit is RLIMIT_DATA: what each process of the server may have of private writable memory. RLIMIT_AS would count
address space: the gigabytes that CUDA reserves and a model file that is only mapped, and servers would fail that use little.
Neither counts all processes of a server together.

What it does not do, since Linux does not: the signal comes when the *thread* that started the process ends, so servers are
started from threads that live as long as they should. It reaches the server itself and not its children, which mostly end
with it; the watchdog ends those that do not. It is forgotten when a set-uid program is run. Other systems than Linux have no
such thing.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Iterable, Sequence

OUTLIVES = "PYTEST_INFERBENCH_OUTLIVES"
"""Set in the environment of a server that is to outlive whoever started it."""
_USAGE = "usage: python guard.py PARENT_PID [--cpus 0,1] [--memory BYTES] -- COMMAND ...\n"
_PR_SET_PDEATHSIG = 1
EXIT_USAGE = 2
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127


def die_with_parent(number: signal.Signals) -> bool:
    """
    Ask the kernel to send this process a signal when its parent's thread ends.

    Returns:
        Whether that will happen: the kernel knows how, and this process is not to outlive its parent.
    """
    if not sys.platform.startswith("linux") or os.environ.get(OUTLIVES):
        return False
    return bool(ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0) == 0)


def guarded(
    argv: Sequence[str], *, outlives: bool = False, cpus: Iterable[int] = (), memory_bytes: int | None = None
) -> tuple[str, ...]:
    """
    The command line that runs ``argv`` so that it dies with this process.

    Args:
        argv: the command.
        outlives: it does not die with this process.
        cpus: the cores it may use; none: those of this process.
        memory_bytes: private writable memory that each of its processes may have; None: no limit.
    """
    cores = ",".join(map(str, sorted(cpus)))
    limits = (*(("--cpus", cores) if cores else ()), *(("--memory", str(memory_bytes)) if memory_bytes is not None else ()))
    # -I and -S: no variable of the environment, no folder and no package takes part.
    return (sys.executable, "-I", "-S", __file__, "0" if outlives else str(os.getpid()), *limits, "--", *argv)


def main(argv: Sequence[str]) -> int:
    """Become the command; returns only where that fails, with the exit code that a shell would give."""
    own, command = _split(argv)
    if not command or not own[0].isdigit():
        sys.stderr.write(_USAGE)
        return EXIT_USAGE
    parent_pid, limits = int(own[0]), dict(zip(own[1::2], own[2::2], strict=True))
    if parent_pid:
        # A guarded process started by one that outlives does not outlive for that reason.
        os.environ.pop(OUTLIVES, None)
        # SIGTERM, so that servers with children get to end them.
        die_with_parent(signal.SIGTERM)
        if os.getppid() != parent_pid:
            return 0  # the parent died before the kernel was asked
    else:
        os.environ[OUTLIVES] = "1"
    try:
        _limit(limits)
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted: this process becomes the command
    except (OSError, ValueError) as error:
        sys.stderr.write(f"error: cannot run {command[0]}: {getattr(error, 'strerror', None) or error}\n")
        return EXIT_NOT_FOUND if isinstance(error, FileNotFoundError) else EXIT_NOT_EXECUTABLE


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Its own arguments and the command's; nothing for the command where its own are wrong."""
    own = list(argv[: argv.index("--")]) if "--" in argv else []
    right = len(own) % 2 == 1 and set(own[1::2]) <= {"--cpus", "--memory"}
    return (own, list(argv[len(own) + 1 :])) if right else (own, [])


def _limit(limits: dict[str, str]) -> None:
    if "--cpus" in limits:
        os.sched_setaffinity(0, {int(core) for core in limits["--cpus"].split(",")})
    if "--memory" in limits:
        bound = int(limits["--memory"])
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

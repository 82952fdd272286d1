"""
A program run to its end on some CPUs, and what it cost: itself and all that it started, however they are related.

Linux only: the process that calls this becomes the parent of whatever the program leaves behind, so that none of it is missed.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_LOOK_EVERY_S = 0.25
_LEAVE_LIMIT_S = 10.0
_WORDS_BYTES = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """
    What a program cost.

    Attributes:
        code: its exit code; negative for a signal; None where it ran past its limit and was ended.
        wall_s: from its start to its end.
        cpu_s: user and system time of it and of all that it started.
        memory_mb_max: the most that all of them together had resident at one look; what they share counts once for each.
        words: the last that it wrote.
    """

    code: int | None
    wall_s: float
    cpu_s: float
    memory_mb_max: float
    words: str


def run(
    argv: Sequence[str], *, cpus: Collection[int], log: Path, limit_s: float, env: Mapping[str, str] | None = None
) -> Account:
    """Run a program on these CPUs, with its output in a file; ``env`` is added to the environment."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    others = set(_children(os.getpid()))
    own, before_s, began_s = os.sched_getaffinity(0), _reaped_cpu_s(), time.monotonic()
    os.sched_setaffinity(0, cpus)
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
    finally:
        os.sched_setaffinity(0, own)
    code, memory_mb_max = _watched(process, began_s + limit_s)
    wall_s = time.monotonic() - began_s
    _reap(set(_children(os.getpid())) - others)
    cpu_s = _reaped_cpu_s() - before_s
    return Account(code=code, wall_s=wall_s, cpu_s=cpu_s, memory_mb_max=memory_mb_max, words=_last_words(log))


def _watched(process: subprocess.Popen[bytes], deadline_s: float) -> tuple[int | None, float]:
    """Its exit code, and the most memory seen; ends it where it runs too long or somebody interrupts."""
    memory_mb_max = 0.0
    try:
        while time.monotonic() < deadline_s:
            memory_mb_max = max(memory_mb_max, sum(map(_resident_mb, [process.pid, *_descendants(process.pid)])))
            with suppress(subprocess.TimeoutExpired):
                return process.wait(_LOOK_EVERY_S), memory_mb_max
    except BaseException:
        _end(process)
        raise
    _end(process)
    return None, memory_mb_max


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program with all that is still in its session, or was started by it."""
    for pid in (*_descendants(process.pid), process.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _reap(left: Collection[int]) -> None:
    """Wait for what a program left behind, not for ever, so that its time is counted."""
    deadline_s = time.monotonic() + _LEAVE_LIMIT_S
    waiting = set(left)
    while waiting:
        for pid in tuple(waiting):
            if time.monotonic() > deadline_s:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            try:
                ended, _ = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                ended = pid
            waiting -= {ended}
        time.sleep(0.02)


def _children(pid: int) -> Iterator[int]:
    # A process may end while it is looked at.
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            yield from map(int, (task / "children").read_text(encoding="ascii").split())


def _descendants(pid: int) -> list[int]:
    found = list(_children(pid))
    for child in found:
        found += _children(child)
    return found


def _resident_mb(pid: int) -> float:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize() / 1e6
    return 0.0


def _reaped_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _last_words(log: Path) -> str:
    return log.read_bytes()[-_WORDS_BYTES:].decode("utf-8", errors="replace")

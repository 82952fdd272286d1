"""
A small process that outlives the one it watches, and removes what that one left: ``python watchdog.py PID START FOLDER ROOT``.

Rule: it notices an end of any kind, kill -9 included, and has nothing in common with what it watches but one pipe: a session,
output and folders of its own, so that nobody waits for it, Ctrl-C does not reach it, and no disk is held.

Until then it is a bare interpreter that sleeps in one system call. Only where the ledger then names something does it become
one that can read entries and talk to a container engine.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

GO_LIMIT_S = 5.0
_STDIN = 0
_CLEAN = "--clean"


class Outliving(subprocess.Popen[bytes]):
    """A process that may outlive this one, which is nothing to warn of."""

    def __del__(self, *_args: object) -> None:
        """Leave it alone."""


class Watch:
    """
    A watchdog of this process.

    Args:
        folder: where the ledger's entries are.
        started: when this process was started, as `ownership.start_time` says it.
    """

    def __init__(self, folder: Path, *, started: str) -> None:
        root = Path(__file__).parents[2]
        # Both ends are closed at exec, and a forked child closes its copy: see `_close_in_child`.
        read_end, self._write_end = os.pipe()
        self.owner_pid = os.getpid()
        try:
            # -I and -S: no variable of the environment, no folder and no package takes part, and it starts in milliseconds.
            self.process = Outliving(
                [sys.executable, "-I", "-S", __file__, str(self.owner_pid), started, str(folder), str(root)],
                stdin=read_end,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
        finally:
            os.close(read_end)
        os.register_at_fork(after_in_child=self._close_in_child)

    def go(self) -> None:
        """Let it see that this process is done, and wait for its end; longer than it takes to look only where there is work."""
        if os.getpid() != self.owner_pid or self._write_end < 0:
            return
        self._close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(GO_LIMIT_S)

    def _close_in_child(self) -> None:
        if self._write_end >= 0:
            self._close()

    def _close(self) -> None:
        write_end, self._write_end = self._write_end, -1
        os.close(write_end)


_watches: dict[int, Watch] = {}


def watch(folder: Path, *, started: str) -> Watch:
    """The watchdog of this process; started at the first call, and told to go when the process ends."""
    present = _watches.get(os.getpid())
    if present is None or present.process.poll() is not None:
        present = _watches[os.getpid()] = Watch(folder, started=started)
        atexit.register(present.go)
    return present


def main(argv: Sequence[str]) -> int:
    """Wait for the end of the one that is watched; then see whether there is anything to do."""
    if argv[0] == _CLEAN:
        return _clean(argv[1:])
    owner_pid, folder = int(argv[0]), argv[2]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _wait_for_end(owner_pid)
    if any(Path(folder).glob(f"{owner_pid}-*.json")):
        # -P: this file's folder is no place to import from. The environment says where a container engine is.
        os.execv(sys.executable, [sys.executable, "-P", __file__, _CLEAN, *argv])  # noqa: S606 - this process becomes the command
    return 0


def _wait_for_end(owner_pid: int) -> None:
    ends = select.poll()
    ends.register(_STDIN, select.POLLIN | select.POLLHUP)
    # Where a child that was forked in C still has the pipe, the process itself is what tells.
    with suppress(OSError, AttributeError):
        ends.register(os.pidfd_open(owner_pid), select.POLLIN)
    if os.getppid() == owner_pid:
        ends.poll()


def _clean(argv: Sequence[str]) -> int:
    owner_pid, started, folder, root = argv
    if root not in sys.path:
        sys.path.append(root)
    os.environ["INFERBENCH_STATE"] = folder
    from pytest_inferbench.launch.leftovers import clean_after  # noqa: PLC0415 - the bare interpreter cannot import it

    clean_after(int(owner_pid), started=started)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

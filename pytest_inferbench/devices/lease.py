"""
An exclusive hold on a named resource of this host, such as the CPU: two measurements at once would measure each other.

Two locks make the order fair. Whoever wants the resource first takes the head of the queue; a process that lets go and
wants it again at once has to queue like everybody else, and cannot overtake.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_inferbench.devices.lock_file import SOMEBODY, LockFile, file_name, holder_json, opened, shared_folder
from pytest_inferbench.errors import DeviceError

_POLL_S = 0.1


@contextmanager
def hold(
    resource: str,
    *,
    timeout_s: float,
    waiting: Callable[[str], None] = lambda _: None,
    what: str | None = None,
    folder: Path | None = None,
) -> Iterator[None]:
    """
    Hold a resource of this host alone, for as long as the block runs.

    Args:
        resource: its name: ``cpu``, or the URL of an endpoint.
        timeout_s: the longest to wait for it, in seconds.
        waiting: told in a sentence who else has it, and again whenever that is somebody new.
        what: what it is held for, as others will read it; by default the running test.
        folder: where the lock files are; by default the host's ``/tmp``, so that all its users mean the same file.

    Raises:
        DeviceError: somebody else still has it after ``timeout_s`` (names them), or the lock file cannot be trusted.
    """
    place = folder or shared_folder()
    with opened(place / file_name(resource)) as lock:
        with opened(place / file_name(f"{resource} queue")) as queue:
            turn = _Turn(resource=resource, lock=lock, timeout_s=timeout_s, waiting=waiting)
            turn.wait_for(queue)
            turn.wait_for(lock)
            queue.remove()
        lock.write(holder_json(what))
        try:
            yield
        finally:
            lock.write(b"")
            lock.remove()


class _Turn:
    """The wait for one resource: a limit for all of it, and a sentence about each holder to whoever waits."""

    def __init__(self, *, resource: str, lock: LockFile, timeout_s: float, waiting: Callable[[str], None]) -> None:
        self.resource = resource
        self.lock = lock
        self.timeout_s = timeout_s
        self.deadline_s = time.monotonic() + timeout_s
        self.waiting = waiting
        self.told: str | None = None

    def wait_for(self, lock: LockFile) -> None:
        while not lock.try_take():
            holder = self.lock.holder()
            if time.monotonic() >= self.deadline_s:
                raise DeviceError(
                    f"{self.resource} was not free within {self.timeout_s:g} s: it is held by {holder}; "
                    "wait for it to end, or run one session at a time",
                )
            # Between two holders the file names nobody for a moment; that is no news.
            if holder != self.told and (self.told is None or holder != SOMEBODY):
                self.told = holder
                self.waiting(f"waiting for {self.resource}, held by {holder}")
            time.sleep(_POLL_S)

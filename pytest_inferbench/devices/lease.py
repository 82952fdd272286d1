"""
An exclusive hold on a named resource of this host, such as the CPU: two measurements at once would measure each other.

Rule: the lock is the kernel's (flock on a file that all users of the host share), so that it is free again the moment its
holder dies, however it dies. What is written in the file only says who holds it, for people who wait.

Two locks make the order fair. Whoever wants the resource first takes the head of the queue; a process that lets go and
wants it again at once has to queue like everybody else, and cannot overtake.
"""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import json
import os
import re
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pytest_inferbench.errors import DeviceError

_POLL_S = 0.1
_HOLDER_BYTES_MAX = 1000


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
        waiting: told once, in a sentence, when somebody else has it.
        what: what it is held for, as others will read it; by default the running test.
        folder: where the lock files are; by default the host's ``/tmp``, so that all its users mean the same file.

    Raises:
        DeviceError: somebody else still has it after ``timeout_s`` (names them), or the lock file cannot be trusted.
    """
    place = folder or _shared_folder()
    with _open_lock(place / file_name(resource)) as lock:
        with _open_lock(place / file_name(f"{resource} queue")) as queue:
            turn = _Turn(resource=resource, lock=lock, timeout_s=timeout_s, waiting=waiting)
            turn.wait_for(queue)
            turn.wait_for(lock)
        lock.write(_holder_json(what))
        try:
            yield
        finally:
            lock.write(b"")


def file_name(resource: str) -> str:
    """The lock file's name: readable, safe in any folder, and different for different resources."""
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", resource).strip("-.")[:40]
    return f"pytest-inferbench-{readable}-{hashlib.sha256(resource.encode()).hexdigest()[:12]}.lock"


def _shared_folder() -> Path:
    # Not TMPDIR where it can be helped: tox, sandboxes and users set it, and a lock that others do not see locks nothing.
    return Path("/tmp") if os.access("/tmp", os.W_OK) else Path(tempfile.gettempdir())  # noqa: S108 - _open_file is careful


class _Lock:
    """A lock file, open; not held until `try_take` says so."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = _open_file(path)

    def try_take(self) -> bool:
        """Whether the lock is this process's now."""
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise DeviceError(f"{self.path} cannot be locked: {error.strerror}; it must lie on a local file system") from error
        if self._is_current():
            return True
        # Somebody removed the file (a cleaner of /tmp does) after it was opened: a lock on it keeps nobody out.
        self.close()
        self.fd = _open_file(self.path)
        return False

    def _is_current(self) -> bool:
        try:
            named = self.path.lstat()
        except FileNotFoundError:
            return False
        mine = os.fstat(self.fd)
        return (named.st_dev, named.st_ino) == (mine.st_dev, mine.st_ino)

    def write(self, holder: bytes) -> None:
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, holder, 0)

    def holder(self) -> str:
        """Who holds it, as its file says."""
        return _holder_sentence(os.pread(self.fd, _HOLDER_BYTES_MAX, 0))

    def close(self) -> None:
        # Unlocked explicitly, because closing is not enough where a forked child still has the same file open.
        fcntl.flock(self.fd, fcntl.LOCK_UN)
        os.close(self.fd)


class _Turn:
    """The wait for one resource: a limit for all of it, and one sentence to whoever waits."""

    def __init__(self, *, resource: str, lock: _Lock, timeout_s: float, waiting: Callable[[str], None]) -> None:
        self.resource = resource
        self.lock = lock
        self.timeout_s = timeout_s
        self.deadline_s = time.monotonic() + timeout_s
        self.waiting = waiting
        self.told = False

    def wait_for(self, lock: _Lock) -> None:
        while not lock.try_take():
            if time.monotonic() >= self.deadline_s:
                raise DeviceError(
                    f"{self.resource} was not free within {self.timeout_s:g} s: it is held by {self.lock.holder()}; "
                    "wait for it to end, or run one session at a time",
                )
            if not self.told:
                self.told = True
                self.waiting(f"waiting for {self.resource}, held by {self.lock.holder()}")
            time.sleep(_POLL_S)


@contextmanager
def _open_lock(path: Path) -> Iterator[_Lock]:
    lock = _Lock(path)
    try:
        yield lock
    finally:
        lock.close()


def _open_file(path: Path) -> int:
    """Open a lock file that others may have made, or may have made in order to trick us."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        fd = _open_or_create(path, flags)
    except OSError as error:
        raise DeviceError(f"the lock file {path} cannot be opened: {error.strerror}; remove it, if it is nobody's") from error
    status = os.fstat(fd)
    # A second name would mean that what is written here is written into somebody's other file.
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(fd)
        raise DeviceError(f"{path} is not a plain file of its own, so it cannot be a lock; remove it")
    return fd


def _open_or_create(path: Path, flags: int) -> int:
    # Opened without O_CREAT first: in a sticky folder Linux refuses O_CREAT on a file of another user
    # (sysctl fs.protected_regular), even where its mode lets everybody write.
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        pass
    try:
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return os.open(path, flags)
    os.fchmod(fd, 0o666)  # the umask took away what other users need
    return fd


def _holder_json(what: str | None) -> bytes:
    holder = {
        "pid": os.getpid(),
        "user": _user(),
        "what": (what or os.environ.get("PYTEST_CURRENT_TEST") or Path(sys.argv[0]).name)[:300],
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return json.dumps(holder).encode()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as containers have
        return str(os.getuid())


def _holder_sentence(text: bytes) -> str:
    try:
        holder = json.loads(text)
        words = f"process {holder['pid']} of {holder['user']} since {holder['since']} ({holder['what']})"
    except (ValueError, TypeError, KeyError):
        # Between taking the lock and writing its name, or before the queue's head has taken it.
        return "another process"
    # Any user may write this file, and this text goes to a terminal.
    return "".join(character if character.isprintable() else "?" for character in words)

"""
A file that stands for something of this host, and whose lock says that it is taken.

Rule: the lock is the kernel's (flock on a file that all users of the host share), so that it is free again the moment its
holder dies, however it dies. What is written in the file only says who holds it, for people who wait.
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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from pytest_inferbench.errors import DeviceError

SOMEBODY = "another process"
_CONTENT_BYTES_MAX = 4000
_BEING_MADE_S = 1.0
_BEING_MADE_POLL_S = 0.01


def shared_folder() -> Path:
    """Where the lock files of this host are: ``/tmp``, so that all its users mean the same file."""
    # Not TMPDIR where it can be helped: tox, sandboxes and users set it, and a lock that others do not see locks nothing.
    return Path("/tmp") if os.access("/tmp", os.W_OK) else Path(tempfile.gettempdir())  # noqa: S108 - open_file is careful


def file_name(resource: str) -> str:
    """The lock file's name: readable, safe in any folder, and different for different resources."""
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", resource).strip("-.")[:40]
    return f"pytest-inferbench-{readable}-{hashlib.sha256(resource.encode()).hexdigest()[:12]}.lock"


class LockFile:
    """
    A lock file, open; not held until `try_take` says so.

    Raises:
        DeviceError: the file cannot be opened, or cannot be trusted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = open_file(path)

    def try_take(self) -> bool:
        """Whether the lock is this object's now."""
        if not _locked(self._fd, self.path):
            return False
        if self._is_current():
            return True
        # Somebody removed the file (a cleaner of /tmp does) after it was opened: a lock on it keeps nobody out.
        fd = open_file(self.path)
        self.close()
        self._fd = fd
        return False

    def _is_current(self) -> bool:
        try:
            named = self.path.lstat()
        except FileNotFoundError:
            return False
        mine = os.fstat(self._fd)
        return (named.st_dev, named.st_ino) == (mine.st_dev, mine.st_ino)

    def write(self, content: bytes) -> None:
        """Say in the file who holds it, or whatever else the next one has to know."""
        # What counts is the lock: on a full disk it has no name, and works.
        with suppress(OSError):
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, content, 0)

    def read(self) -> bytes:
        """What the file says; any user may have written it."""
        return os.pread(self._fd, _CONTENT_BYTES_MAX, 0)

    def holder(self) -> str:
        """Who holds it, as its file says."""
        return holder_sentence(self.read())

    def remove(self) -> None:
        """Take the file away while it is held: whoever waits for it finds out and makes a new one. Another user's stays."""
        if self._is_current():
            with suppress(OSError):
                self.path.unlink()

    def close(self) -> None:
        """Let go."""
        # Unlocked explicitly, because closing is not enough where a forked child still has the same file open.
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        os.close(self._fd)


@contextmanager
def opened(path: Path) -> Iterator[LockFile]:
    """A lock file for as long as the block runs."""
    lock = LockFile(path)
    try:
        yield lock
    finally:
        lock.close()


def holder_of(path: Path) -> str | None:
    """
    Who holds the lock of this file, in words; None where nobody does.

    It is asked by taking the lock for an instant, shared; whoever tries to take it in that instant has to try again.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return holder_sentence(os.pread(fd, _CONTENT_BYTES_MAX, 0))
    except OSError:
        return None
    else:
        return None
    finally:
        os.close(fd)


def open_file(path: Path) -> int:
    """
    Open a lock file that others may have made, or may have made in order to trick us; its file descriptor.

    Raises:
        DeviceError: it cannot be opened, or is no plain file of its own.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        fd = _opened_as_everybody_may(path, flags)
    except OSError as error:
        raise DeviceError(f"the lock file {path} cannot be opened: {error.strerror}; remove it, if it is nobody's") from error
    status = os.fstat(fd)
    # A second name would mean that what is written here is written into somebody's other file.
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(fd)
        raise DeviceError(f"{path} is not a plain file of its own, so it cannot be a lock; remove it")
    return fd


def holder_json(what: str | None) -> bytes:
    """This process as a holder: ``what`` is what it holds the lock for; None: the running test."""
    holder = {
        "pid": os.getpid(),
        "user": _user(),
        "what": (what or os.environ.get("PYTEST_CURRENT_TEST") or Path(sys.argv[0]).name)[:300],
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return json.dumps(holder).encode()


def holder_sentence(content: bytes) -> str:
    """A holder in words; `SOMEBODY` where the file does not say."""
    try:
        holder = json.loads(content)
        words = f"process {holder['pid']} of {holder['user']} since {holder['since']} ({holder['what']})"
    except (ValueError, TypeError, KeyError):
        # Between taking the lock and writing its name, or before the queue's head has taken it.
        return SOMEBODY
    return printable(words)


def printable(words: str) -> str:
    """What anybody may have written, for a terminal."""
    return "".join(character if character.isprintable() else "?" for character in words)


def _locked(fd: int, path: Path) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise DeviceError(f"{path} cannot be locked: {error.strerror}; it must lie on a local file system") from error
    return True


def _opened_as_everybody_may(path: Path, flags: int) -> int:
    # Another user who makes the file in this very moment has not yet said that everybody may open it.
    give_up_s = time.monotonic() + _BEING_MADE_S
    while True:
        try:
            return _open_or_create(path, flags)
        except PermissionError:
            if time.monotonic() > give_up_s:
                raise
        time.sleep(_BEING_MADE_POLL_S)


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


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as containers have
        return str(os.getuid())

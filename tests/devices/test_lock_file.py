import fcntl
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.devices import lock_file
from pytest_inferbench.devices.lock_file import (
    SOMEBODY,
    LockFile,
    file_name,
    holder_json,
    holder_of,
    holder_sentence,
    opened,
    shared_folder,
)
from pytest_inferbench.errors import DeviceError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / file_name("gpu 0")


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_a_link_is_not_written_through(tmp_path: Path, path: Path, link: str) -> None:
    target = tmp_path / "precious"
    target.write_text("precious")
    getattr(path, link)(target)
    with pytest.raises(DeviceError) as error:
        LockFile(path)
    assert str(error.value) in {
        f"the lock file {path} cannot be opened: Too many levels of symbolic links; remove it, if it is nobody's",
        f"{path} is not a plain file of its own, so it cannot be a lock; remove it",
    }
    assert target.read_text() == "precious"


def test_a_pipe_in_the_files_place_does_not_hang(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(DeviceError, match="is not a plain file of its own, so it cannot be a lock; remove it"):
        LockFile(path)
    assert holder_of(path) is None


def test_one_of_two_has_it(path: Path) -> None:
    with opened(path) as one, opened(path) as other:
        assert one.try_take()
        assert not other.try_take()
    with opened(path) as third:
        assert third.try_take()


def test_who_holds_it_is_said_as_long_as_somebody_does(path: Path) -> None:
    assert holder_of(path) is None
    with opened(path) as lock:
        lock.write(holder_json("a case"))
        assert holder_of(path) is None, "a name that was left behind is nobody's"
        assert lock.try_take()
        assert (holder_of(path) or "").startswith(f"process {os.getpid()} of ")
        assert (holder_of(path) or "").endswith(" (a case)")
        assert lock.holder() == holder_of(path)
    assert holder_of(path) is None


def test_all_users_may_use_the_file(path: Path) -> None:
    before = os.umask(0o077)
    try:
        with opened(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o666
    finally:
        os.umask(before)


def test_a_removed_file_is_made_anew_and_then_taken(path: Path) -> None:
    with opened(path) as lock:
        path.unlink()
        assert not lock.try_take()
        assert lock.try_take()
        with opened(path) as other:
            assert not other.try_take()


def test_a_removed_file_in_whose_place_is_a_trick_is_named(path: Path, tmp_path: Path) -> None:
    with opened(path) as lock:
        path.unlink()
        path.symlink_to(tmp_path / "precious")
        with pytest.raises(DeviceError, match="cannot be opened"):
            lock.try_take()


class _Refusing:
    """``os.open`` of a file that another user has made and not opened to everybody yet."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.really = os.open

    def __call__(self, path: Path, flags: int, mode: int = 0o777) -> int:
        if self.left > 0:
            self.left -= 1
            raise PermissionError(13, "Permission denied")
        return self.really(path, flags, mode)


def test_a_file_that_another_user_is_making_is_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.touch()
    refusing = _Refusing(3)
    monkeypatch.setattr(os, "open", refusing)
    with opened(path) as lock:
        assert lock.try_take()
    assert refusing.left == 0


def test_a_file_that_stays_closed_to_this_user_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.touch()
    monkeypatch.setattr(lock_file, "_BEING_MADE_S", 0.05)
    monkeypatch.setattr(os, "open", _Refusing(10**9))
    with pytest.raises(DeviceError, match="cannot be opened: Permission denied; remove it, if it is nobody's"):
        LockFile(path)


def test_on_a_full_disk_the_lock_has_no_name_and_holds(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with opened(path) as lock:
        assert lock.try_take()
        monkeypatch.setattr(os, "pwrite", full)
        lock.write(holder_json("a case"))
        assert holder_of(path) == SOMEBODY


def test_a_file_system_without_locks_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    fd = lock_file.open_file(path)
    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(DeviceError, match="cannot be locked: No locks available; it must lie on a local file system"):
        lock_file._locked(fd, path)
    assert holder_of(path) is None
    os.close(fd)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"quarantine": {}}'])
def test_a_file_that_names_nobody_means_somebody(content: bytes) -> None:
    assert holder_sentence(content) == SOMEBODY


def test_terminal_codes_are_taken_out() -> None:
    words = holder_sentence(b'{"pid": 1, "user": "\\u001b[31mroot", "since": "now", "what": "x"}')
    assert words == "process 1 of ?[31mroot since now (x)"


def test_the_folder_is_one_that_all_users_share() -> None:
    assert shared_folder() == Path("/tmp")


@given(st.text(max_size=300))
def test_any_resource_has_a_file_name_that_stays_in_its_folder(resource: str) -> None:
    name = file_name(resource)
    assert "/" not in name
    assert len(name) < 100
    assert name.isascii()
    assert file_name(resource) == name
    assert file_name(resource + "x") != name

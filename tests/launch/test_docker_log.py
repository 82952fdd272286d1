import threading
from pathlib import Path

from pytest_inferbench.launch.docker_fake import FakeLogs
from pytest_inferbench.launch.docker_log import LogFollower
from pytest_inferbench.launch.environment import Secrets

SECRET = "correct-horse-battery"
HIDING = Secrets((SECRET,))


def test_a_log_is_followed_to_the_end_of_the_container(tmp_path: Path) -> None:
    path, ended = tmp_path / "server.log", threading.Event()
    path.write_bytes(b"before\n")
    follower = LogFollower(FakeLogs([b"one\n", b"my key is correct-horse-battery\n", b"rest"], ended), path=path, secrets=HIDING)
    ended.set()
    follower.close(limit_s=30)
    assert follower.ended
    assert path.read_bytes() == b"before\none\nmy key is REDACTED\nrest"
    assert follower.trouble is None


def test_a_container_that_goes_on_is_let_go(tmp_path: Path) -> None:
    follower = LogFollower(FakeLogs([b"one\n"], threading.Event()), path=tmp_path / "server.log", secrets=HIDING)
    follower.close(limit_s=0)
    assert follower.ended


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    follower = LogFollower(FakeLogs([b"one\n"], threading.Event()), path=tmp_path, secrets=HIDING)
    follower.close(limit_s=30)
    assert follower.trouble == f"its log could not be written to {tmp_path}: Is a directory"

import io
import threading
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.launch import docker_log
from pytest_inferbench.launch.docker_fake import FakeLogs
from pytest_inferbench.launch.docker_log import HidingWriter, LogFollower
from pytest_inferbench.launch.environment import Secrets

SECRET = "correct-horse-battery"
HIDING = Secrets((SECRET,))


def written(pieces: list[bytes], secrets: Secrets = HIDING) -> bytes:
    file = io.BytesIO()
    writer = HidingWriter(file, secrets)
    for piece in pieces:
        writer.write(piece)
    writer.close()
    return file.getvalue()


@given(st.lists(st.sampled_from(["a", "\n", "\r", "correct-", SECRET]), max_size=20), st.lists(st.integers(0, 200), max_size=8))
def test_however_a_log_is_cut_it_is_written_whole_and_without_the_secret(words: list[str], cuts: list[int]) -> None:
    log = "".join(words).encode()
    edges = [0, *sorted(min(cut, len(log)) for cut in cuts), len(log)]
    pieces = [log[start:end] for start, end in pairwise(edges)]
    assert written(pieces) == HIDING.hidden_in_bytes(log)


def test_a_line_without_end_is_written_by_and_by_and_without_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_log, "_LINE_BYTES_MAX", 16)
    file = io.BytesIO()
    writer = HidingWriter(file, HIDING)
    for piece in (b"x" * 30, b"correct-horse", b"-battery", b"y" * 30):
        writer.write(piece)
    assert len(file.getvalue()) > 16
    writer.close()
    assert file.getvalue() == b"x" * 30 + b"REDACTED" + b"y" * 30


def test_what_is_whole_is_written_at_once() -> None:
    file = io.BytesIO()
    writer = HidingWriter(file, HIDING)
    writer.write(b"loading 10%\rloading 20%\rloading")
    assert file.getvalue() == b"loading 10%\rloading 20%\r"


def test_each_line_of_a_secret_of_several_lines_is_hidden() -> None:
    assert written([b"first line\nsecond line\n"], Secrets(("first line\nsecond line\n",))) == b"REDACTED\nREDACTED\n"


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

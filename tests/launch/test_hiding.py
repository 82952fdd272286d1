import errno
import io
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch import hiding, marked
from pytest_inferbench.launch.environment import Secrets
from pytest_inferbench.launch.hiding import HidingProcess, HidingWriter

SECRET = "correct-horse-battery"
HIDING = Secrets((SECRET,))
LIMIT_S = 60.0


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
    monkeypatch.setattr(hiding, "_LINE_BYTES_MAX", 16)
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


def run(path: Path, code: str, *, token: str = "") -> HidingProcess:
    """A process whose output goes through one that hides, and which has ended."""
    writer = HidingProcess(path, HIDING, env=marked.environment(token))
    subprocess.run([sys.executable, "-I", "-c", code], stdout=writer.fileno(), stderr=subprocess.STDOUT, check=True)
    return writer


def test_a_process_writes_what_another_one_says_without_the_secret(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_text("the server before\n")
    run(path, f"print('my key is', '{SECRET}'); print('last words', end='')").wait(limit_s=LIMIT_S)
    assert path.read_text() == "the server before\nmy key is REDACTED\nlast words"


def test_it_goes_on_when_it_is_told_to_end_and_ends_with_whoever_writes(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    writer = HidingProcess(path, HIDING, env={})
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(writer._process.pid, number)
    os.write(writer.fileno(), f"{SECRET}\n".encode())
    assert writer._process.poll() is None
    writer.wait(limit_s=LIMIT_S)
    assert (writer._process.returncode, path.read_text()) == (0, "REDACTED\n")


def test_it_is_found_by_the_mark_of_its_server_and_its_command_line_holds_no_secret(tmp_path: Path) -> None:
    writer = HidingProcess(tmp_path / "x.log", HIDING, env=marked.environment("token-of-a-test"))
    pid = writer._process.pid
    # A program that has just begun has no environment yet, for a moment.
    deadline_s = time.monotonic() + LIMIT_S
    while not (found := marked.marked("token-of-a-test")) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert found == {pid}
    assert SECRET.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    writer.wait(limit_s=LIMIT_S)


def test_one_that_was_told_nothing_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    command = [sys.executable, "-I", "-S", hiding.__file__, str(Path(hiding.__file__).parents[2]), str(path)]
    assert subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode == 1
    assert not path.exists()


def test_where_it_cannot_be_started_nothing_is_left_and_the_reason_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    reading, writing = os.pipe()
    kept = os.dup(reading)
    monkeypatch.setattr(os, "pipe", lambda: (reading, writing))
    monkeypatch.setattr(hiding, "Outliving", full)
    with pytest.raises(EngineError) as caught:
        HidingProcess(tmp_path / "x.log", HIDING, env={})
    path = tmp_path / "x.log"
    assert str(caught.value) == f"what keeps secrets out of {path} could not be started: Resource temporarily unavailable"
    assert os.read(kept, 1) == b"", "nobody can write into it any more"
    os.close(kept)
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_what_a_full_disk_did_not_take_is_said_once_it_takes_more() -> None:
    class Disk(io.BytesIO):
        full = False

        def write(self, data: Any, /) -> int:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    disk: Any = Disk()
    writer = HidingWriter(hiding._Enduring(disk), HIDING)
    writer.write(b"one\n")
    disk.full = True
    writer.write(b"two\n")
    writer.write(b"three\n")
    disk.full = False
    writer.write(b"four\n")
    assert disk.getvalue() == b"one\n[inferbench: 10 bytes of this log could not be written]\nfour\n"

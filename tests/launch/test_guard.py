import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.launch import guard

# Starts a guarded process, says its number, and waits to be killed.
LAUNCHER = """
import subprocess, sys, time
from pytest_inferbench.launch.guard import guarded
code = "import os, time; os.write(1, b'up'); time.sleep(60)"
child = subprocess.Popen(guarded([sys.executable, "-c", code]), stdout=subprocess.PIPE)
child.stdout.read(2)
sys.stdout.write(f"{child.pid}\\n")
sys.stdout.flush()
time.sleep(60)
"""


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process that its parent died")
def test_a_guarded_process_does_not_survive_a_launcher_killed_with_sigkill() -> None:
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHER], stdout=subprocess.PIPE, text=True)
    assert launcher.stdout is not None
    child_pid = int(launcher.stdout.readline())
    assert runs(child_pid)
    launcher.send_signal(signal.SIGKILL)
    launcher.communicate()
    deadline_s = time.monotonic() + 30
    while runs(child_pid):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_the_guard_becomes_the_command_with_its_arguments_and_environment() -> None:
    code = "import os, sys; print(os.getpid(), sys.argv[1:], os.environ['X'])"
    process = subprocess.Popen(
        guard.guarded([sys.executable, "-c", code, "a b", "--", "-x"]), env={"X": "y"}, stdout=subprocess.PIPE, text=True
    )
    out, _ = process.communicate(timeout=30)
    assert out == f"{process.pid} ['a b', '--', '-x'] y\n"


def test_its_exit_code_is_the_commands() -> None:
    assert subprocess.run(guard.guarded([sys.executable, "-c", "raise SystemExit(7)"]), check=False).returncode == 7


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [("missing", 127, "No such file or directory"), ("plain", 126, "Permission denied")],
)
def test_a_command_that_cannot_be_run_is_named(tmp_path: Path, name: str, code: int, words: str) -> None:
    (tmp_path / "plain").touch(mode=0o644)
    done = subprocess.run(guard.guarded([str(tmp_path / name)]), check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, f"error: cannot run {tmp_path / name}: {words}\n")


def test_a_parent_that_is_gone_already_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "die_with_parent", lambda _: True)
    monkeypatch.setattr(os, "execvp", lambda *_: pytest.fail("must not run"))
    assert guard.main(["1", "--", "true"]) == 0


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["1"],
        ["x", "--", "true"],
        ["1", "true", "y"],
        ["1", "--cpus", "--", "true"],
        ["1", "--nice", "3", "--", "true"],
        ["1", "--"],
    ],
)
def test_wrong_usage_is_said(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert guard.main(argv) == 2
    assert capsys.readouterr().err == "usage: python guard.py PARENT_PID [--cpus 0,1] [--memory BYTES] -- COMMAND ...\n"


def output_of(code: str, **more: Any) -> str:
    argv = guard.guarded([sys.executable, "-c", code], **more)
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def test_the_command_uses_the_cores_that_it_was_given() -> None:
    core = max(os.sched_getaffinity(0))
    assert output_of("import os; print(os.sched_getaffinity(0))", cpus=[core]) == str({core})


def test_the_command_cannot_have_more_memory_than_it_was_given() -> None:
    code = """
try:
    bytearray(200_000_000)
except MemoryError:
    print("refused")
import mmap, tempfile
with tempfile.TemporaryFile() as file:
    file.truncate(400_000_000)
    print(len(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
"""
    assert output_of(code) == "400000000"
    assert output_of(code, memory_bytes=100_000_000) == "refused\n400000000"  # a file that is only mapped is not counted


def test_cores_that_are_not_there_are_an_error_and_nothing_runs() -> None:
    done = subprocess.run(guard.guarded(["true"], cpus=[100_000]), check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (126, "error: cannot run true: Invalid argument\n")


def test_a_command_that_is_to_outlive_says_so_to_what_it_starts_and_a_guarded_one_in_it_does_not() -> None:
    code = "from pytest_inferbench.launch.guard import die_with_parent; print(die_with_parent(15))"
    assert output_of(code, outlives=True) == "False"
    inner = "import subprocess, sys; from pytest_inferbench.launch.guard import guarded; "
    inner += f"subprocess.run(guarded([sys.executable, '-c', {code!r}]))"
    if sys.platform.startswith("linux"):
        assert output_of(inner, outlives=True) == "True"

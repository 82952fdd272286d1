import os
import signal
import subprocess
import sys
import time

import pytest

from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch.group import end_group, exited, members

# A parent with a child in its group; says "up" when both run. The child ignores SIGTERM where asked to.
FAMILY = """
import os, signal, sys, time
if os.fork() == 0:
    if "stubborn" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(1, b"up\\n")
    time.sleep(60)
    os._exit(0)
if "orphan" in sys.argv:
    time.sleep(0.3)
    os._exit(3)
time.sleep(60)
"""


def family(*how: str) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-I", "-S", "-c", FAMILY, *how]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.stdout.close()
    return process


def test_the_whole_group_is_ended_and_reaped() -> None:
    process = family()
    assert len(members(process.pid)) == 2
    end_group(process, terminate_s=10, kill_s=10)
    assert members(process.pid) == ()
    assert process.returncode == -signal.SIGTERM


def test_what_ignores_the_first_signal_is_killed() -> None:
    process = family("stubborn")
    end_group(process, terminate_s=0.1, kill_s=10)
    assert members(process.pid) == ()


def test_a_child_that_outlives_its_parent_is_ended_too() -> None:
    process = family("orphan")
    while not exited(process):
        time.sleep(0.01)
    assert process.returncode is None, "looking must not reap"
    assert len(members(process.pid)) == 1
    end_group(process, terminate_s=10, kill_s=10)
    assert members(process.pid) == ()
    assert process.returncode == 3


def test_ctrl_c_while_waiting_kills_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    process = family("stubborn")

    real = time.sleep

    def interrupt_once(_: float) -> None:
        monkeypatch.setattr(time, "sleep", real)
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt_once)
    with pytest.raises(KeyboardInterrupt):
        end_group(process, terminate_s=30, kill_s=10)
    assert process.returncode is not None
    while members(process.pid):
        time.sleep(0.01)


def test_what_cannot_be_ended_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    process = family()
    real = os.killpg
    monkeypatch.setattr(os, "killpg", lambda *_: None)
    with pytest.raises(EngineError) as error:
        end_group(process, terminate_s=0, kill_s=0)
    ids = ", ".join(map(str, members(process.pid)))
    assert str(error.value) == f"these processes of a server are left 0 s after SIGKILL: {ids}"
    monkeypatch.setattr(os, "killpg", real)
    end_group(process, terminate_s=10, kill_s=10)

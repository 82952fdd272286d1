import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pytest_inferbench.launch import marked
from pytest_inferbench.launch.ownership import start_time

TOKEN = "0123456789abcdef"
# Its child leaves the session, and says when it is there; both sleep.
LEAVES = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import os, time; os.write(1, b'up'); time.sleep(60)"], start_new_session=True)
time.sleep(60)
"""
STUBBORN = "import os, signal, time; signal.signal(15, signal.SIG_IGN); os.write(1, b'up'); time.sleep(60)"


@pytest.fixture
def server() -> Iterator[subprocess.Popen[bytes]]:
    """A marked process with a child that has left its group."""
    env = {**os.environ, **marked.environment(TOKEN)}
    with subprocess.Popen([sys.executable, "-c", LEAVES], env=env, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.read(2)
        yield process
        marked.end(lambda: marked.marked(TOKEN), terminate_s=0, kill_s=10)


def test_a_child_that_left_the_group_is_found_and_ended(server: subprocess.Popen[bytes]) -> None:
    assert len(marked.marked(TOKEN)) == 2
    assert server.pid in marked.marked(TOKEN)
    assert marked.end(lambda: marked.marked(TOKEN), terminate_s=30, kill_s=10) == ()
    assert marked.marked(TOKEN) == frozenset()
    assert server.wait() == -15


def test_what_ignores_the_first_signal_is_killed() -> None:
    env = {**os.environ, **marked.environment(TOKEN)}
    with subprocess.Popen([sys.executable, "-c", STUBBORN], env=env, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(2)
        assert marked.end(lambda: marked.marked(TOKEN), terminate_s=0.2, kill_s=10) == ()
        assert process.wait() == -9


def test_what_cannot_be_ended_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "kill", lambda *_: None)
    assert marked.end(lambda: frozenset({7, 3}), terminate_s=0, kill_s=0) == (3, 7)


def test_a_group_is_known_by_its_leaders_number_and_start_or_by_a_mark(server: subprocess.Popen[bytes]) -> None:
    started = start_time(server.pid) or ""
    assert marked.belonging("", leader=server.pid, started=started) == {server.pid}
    assert marked.belonging("", leader=server.pid, started="1") == frozenset()  # the number came again
    assert marked.belonging("", leader=server.pid) == frozenset()
    assert len(marked.belonging(TOKEN, leader=server.pid)) == 2


def test_this_process_is_never_among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert marked.marked("") == frozenset()
    own = start_time(os.getpid()) or ""
    assert os.getpid() not in marked.belonging("", leader=os.getpgid(0), started=own)

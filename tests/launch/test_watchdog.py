import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_inferbench.launch import ledger, marked, watchdog

# An owner that starts a server, whose child leaves the group and so outlives it; and a folder. Then it waits, or ends.
OWNER = """
import os, subprocess, sys, time
from pytest_inferbench.launch import ledger, marked
from pytest_inferbench.launch.ownership import start_time
from pytest_inferbench.launch.watchdog import watch
how = sys.argv[1]
watch(ledger.folder(), started=start_time(os.getpid()))
again = watch(ledger.folder(), started=start_time(os.getpid()))
entry = ledger.record("process", "", run_id="run-1")
child = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(120)'], start_new_session=True)"
env = {**os.environ, **marked.environment(entry.token)}
server = subprocess.Popen([sys.executable, "-c", child + "; import time; time.sleep(120)"], env=env, start_new_session=True)
entry = ledger.found(entry, pid=server.pid)
folder = ledger.temporary_folder("run-1")
path = folder.__enter__()
if how == "forks":
    if os.fork() == 0:
        time.sleep(120)
while len(marked.marked(entry.token)) < 2:
    time.sleep(0.01)
if how == "ends well":
    marked.end(lambda: marked.marked(entry.token), terminate_s=10, kill_s=10)
    ledger.forget(entry)
    folder.__exit__(None, None, None)
print(again.process.pid, entry.token, path, flush=True)
if how != "ends well":
    time.sleep(120)
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INFERBENCH_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path / "state"


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def ignores(pid: int, number: int) -> bool:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigIgn:")]
    return bool(int(line.split()[1], 16) >> (number - 1) & 1)


def owner(how: str) -> tuple[subprocess.Popen[str], int, str, Path]:
    process = subprocess.Popen([sys.executable, "-c", OWNER, how], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    pid, token, path = process.stdout.readline().split()
    return process, int(pid), token, Path(path)


@pytest.mark.parametrize("how", ["waits", "forks"])
def test_nothing_is_left_of_an_owner_that_was_killed_with_sigkill(how: str, state: Path) -> None:
    process, pid, token, path = owner(how)
    assert runs(pid)
    assert len(marked.marked(token)) == 2
    assert path.exists()
    try:
        process.kill()
        process.wait()
        wait_until(lambda: not runs(pid))
        assert marked.marked(token) == frozenset()
        assert not path.exists()
        assert ledger.entries() == ()
        assert "whose owner" in (state / "watchdog.log").read_text(encoding="utf-8")
    finally:
        subprocess.run(["kill", "-9", "--", f"-{process.pid}"], check=False, capture_output=True)
        process.communicate()


def test_a_watchdog_goes_with_an_owner_that_left_nothing_and_before_it_has_ended(state: Path) -> None:
    process, pid, _, _ = owner("ends well")
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert not runs(pid)
    assert list(state.iterdir()) == []


def test_a_watchdog_shares_nothing_with_its_owner_but_one_pipe(state: Path) -> None:
    process, pid, token, _ = owner("waits")
    try:
        # From here on it only sleeps: an interpreter that still starts has files of its own open.
        wait_until(lambda: all(ignores(pid, number) for number in (1, 2, 15)))
        files = {entry.name: str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}
        assert {name: link for name, link in files.items() if not link.startswith("anon_inode:")} == {
            "0": files["0"],
            "1": "/dev/null",
            "2": "/dev/null",
        }
        assert files["0"].startswith("pipe:")
        assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
        assert os.getsid(pid) == pid
        for number in (1, 2, 15):
            os.kill(pid, number)
        assert runs(pid)
    finally:
        process.kill()
        process.communicate()
        wait_until(lambda: not runs(pid))
    assert marked.marked(token) == frozenset()


def test_a_forked_child_lets_go_of_the_pipe(state: Path) -> None:
    watch = watchdog.Watch(state, started="1")
    child = os.fork() if sys.version_info < (3, 12) else 0
    if sys.version_info >= (3, 12):  # forking with threads around is a warning there
        watch._close_in_child()
    elif child == 0:
        os._exit(0 if watch._write_end == -1 else 1)
    else:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        watch.go()
    watch.go()
    assert watch.process.wait(60) == 0

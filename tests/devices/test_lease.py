import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_inferbench.devices.lease import hold
from pytest_inferbench.devices.lock_file import file_name
from pytest_inferbench.errors import DeviceError

# Takes the lease again and again; a file made with O_EXCL while it is held proves that nobody else has it.
CONTENDER = """
import os, sys, time
from pathlib import Path
from pytest_inferbench.devices.lease import hold
folder, times = Path(sys.argv[1]), int(sys.argv[2])
for _ in range(times):
    with hold("cpu", timeout_s=60, folder=folder):
        os.close(os.open(folder / "inside", os.O_CREAT | os.O_EXCL))
        time.sleep(0.002)
        os.unlink(folder / "inside")
        with open(folder / "order", "a") as order:
            order.write(f"{os.getpid()}\\n")
"""

HOLDER = """
import sys, time
from pathlib import Path
from pytest_inferbench.devices.lease import hold
with hold("cpu", timeout_s=10, what="suites/chat.bench.yaml", folder=Path(sys.argv[1])):
    sys.stdout.write("held\\n")
    sys.stdout.flush()
    time.sleep(60)
"""


def python(code: str, *args: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *map(str, args)], stdout=subprocess.PIPE, text=True)


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = python(HOLDER, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    end(process)


def end(process: subprocess.Popen[str]) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def test_no_two_processes_ever_hold_it_at_once(tmp_path: Path) -> None:
    contenders = [python(CONTENDER, tmp_path, 6) for _ in range(3)]
    for contender in contenders:
        contender.communicate(timeout=100)
    assert [contender.returncode for contender in contenders] == [0, 0, 0]
    assert len((tmp_path / "order").read_text().split()) == 18


def test_whoever_lets_go_cannot_overtake_whoever_waits(tmp_path: Path) -> None:
    order: list[str] = []
    waits = threading.Event()

    def second() -> None:
        with hold("cpu", timeout_s=30, waiting=lambda _: waits.set(), folder=tmp_path):
            order.append("second")

    other = threading.Thread(target=second)
    with hold("cpu", timeout_s=30, folder=tmp_path):
        other.start()
        assert waits.wait(30)
        order.append("first")
    with hold("cpu", timeout_s=30, folder=tmp_path):
        order.append("first again")
    other.join()
    assert order == ["first", "second", "first again"]


def test_a_killed_holder_frees_it(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    end(holder)
    with hold("cpu", timeout_s=5, folder=tmp_path):
        pass


def test_a_time_out_names_the_holder_and_the_wait_is_announced_once(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    told: list[str] = []
    with pytest.raises(DeviceError) as error, hold("cpu", timeout_s=0.3, waiting=told.append, folder=tmp_path):
        pass
    assert f"cpu was not free within 0.3 s: it is held by process {holder.pid} of " in str(error.value)
    assert "(suites/chat.bench.yaml); wait for it to end, or run one session at a time" in str(error.value)
    assert len(told) == 1
    assert told[0].startswith(f"waiting for cpu, held by process {holder.pid} of ")


def test_different_resources_are_held_side_by_side(tmp_path: Path) -> None:
    with hold("cpu", timeout_s=1, folder=tmp_path), hold("http://127.0.0.1:8000", timeout_s=1, folder=tmp_path):
        pass


def test_it_is_free_again_after_the_block_also_when_the_block_fails_and_its_files_are_gone(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold("cpu", timeout_s=1, folder=tmp_path):
        raise ZeroDivisionError
    with hold("cpu", timeout_s=1, folder=tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_holder_is_written_down_and_all_users_may_use_the_file(tmp_path: Path) -> None:
    with hold("cpu", timeout_s=1, folder=tmp_path):
        path = tmp_path / file_name("cpu")
        assert f'"pid": {os.getpid()}' in path.read_text()
        assert "test_the_holder_is_written_down" in path.read_text()
        assert stat.S_IMODE(path.stat().st_mode) == 0o666


def test_a_lock_file_that_was_removed_is_made_anew(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    def remove(_: str) -> None:
        (tmp_path / file_name("cpu")).unlink()
        end(holder)

    with hold("cpu", timeout_s=5, waiting=remove, folder=tmp_path):
        assert str(os.getpid()) in (tmp_path / file_name("cpu")).read_text()


def test_a_holder_that_wrote_terminal_codes_is_shown_without_them(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    path = tmp_path / file_name("cpu")
    path.write_text('{"pid": 1, "user": "\\u001b[31mroot", "since": "now", "what": "x"}')
    with pytest.raises(DeviceError) as error, hold("cpu", timeout_s=0, folder=tmp_path):
        pass
    assert "process 1 of ?[31mroot since now (x)" in str(error.value)


def test_the_wait_is_announced_again_when_somebody_else_holds_it(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    told: list[str] = []
    names = ["", '{"pid": 1, "user": "bob", "since": "now", "what": "x"}']

    def waiting(text: str) -> None:
        told.append(text)
        # Nobody's name, as between two holders, and then the next one's.
        if names:
            (tmp_path / file_name("cpu")).write_text(names[0])
            threading.Timer(0.15, (tmp_path / file_name("cpu")).write_text, args=names[1:]).start()
            names.clear()

    with pytest.raises(DeviceError), hold("cpu", timeout_s=2, waiting=waiting, folder=tmp_path):
        pass
    assert len(told) == 2
    assert told[0].startswith(f"waiting for cpu, held by process {holder.pid} of ")
    assert told[1] == "waiting for cpu, held by process 1 of bob since now (x)"

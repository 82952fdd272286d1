import fcntl
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_inferbench.devices import tickets
from pytest_inferbench.devices.tickets import Ticket
from pytest_inferbench.errors import DeviceError

HOLDER = """
import sys, time
from pathlib import Path
from pytest_inferbench.devices.tickets import Ticket
with Ticket(Path(sys.argv[1])) as ticket:
    sys.stdout.write(f"{ticket.is_first()}\\n")
    sys.stdout.flush()
    time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue"


def test_first_come_first_served(path: Path) -> None:
    line = [Ticket(path) for _ in range(4)]
    while line:
        assert [ticket.is_first() for ticket in line] == [True] + [False] * (len(line) - 1)
        line.pop(0).close()
        newcomer = Ticket(path)
        assert newcomer.is_first() == (not line)
        newcomer.close()


def test_whoever_gives_up_in_the_middle_is_not_waited_for(path: Path) -> None:
    with Ticket(path) as first:
        second, third = Ticket(path), Ticket(path)
        second.close()
        assert first.is_first()
        assert not third.is_first()
    assert third.is_first()
    third.close()


def test_whoever_leaves_and_comes_again_is_last(path: Path) -> None:
    first, second = Ticket(path), Ticket(path)
    first.close()
    with Ticket(path) as again:
        assert second.is_first()
        assert not again.is_first()
    second.close()


def test_the_dead_are_not_waited_for(path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "True\n"
    with Ticket(path) as mine:
        assert not mine.is_first()
        other.send_signal(signal.SIGKILL)
        other.communicate()
        assert mine.is_first()


def test_without_such_locks_nobody_queues(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tickets, "_HAS_QUEUES", False)
    with Ticket(path) as one, Ticket(path) as other:
        assert one.is_first()
        assert other.is_first()


def test_a_file_system_without_locks_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "fcntl", no_locks)
    with pytest.raises(DeviceError, match="queue cannot be locked: No locks available; it must lie on a local file system"):
        Ticket(path)


def test_a_queue_without_end_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tickets, "_PLACES_MAX", 2)
    with Ticket(path), Ticket(path), pytest.raises(DeviceError, match="has no end; remove the file, if it is nobody's"):
        Ticket(path)

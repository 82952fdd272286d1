"""
Sessions of two users on one inventory, with random kills: never two holders of a GPU, and everybody's turn comes.

The proof does not believe the leases: whoever has one writes lines into a journal of its own while it has it, with the clock
that all processes of a host share, and the lines are compared afterwards. A process that was killed has held its GPUs at least
from its first line until its last one.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

PROCESSES = 8
LEASES = 1000
KILLS = 20
LIMIT_S = 240
NOBODY = 65534

# argv: folder, seed, user (-1: the one that starts it). It goes on until there have been enough leases.
WORKER = """
import os, random, sys, time
from pathlib import Path
from pytest_inferbench.devices import gpu_lease
from pytest_inferbench.devices.gpu_lease import GpusWanted, Host, lease_gpus
from pytest_inferbench.devices.inventory import declared
folder, seed, user = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
if user >= 0:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
gpu_lease.POLL_S = 0.002
draw = random.Random(seed)
journal = os.open(folder / "journals" / f"{seed}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
def note(word, gpus):
    os.write(journal, f"{time.monotonic_ns()} {word} {','.join(gpu.uuid for gpu in gpus)}\\n".encode())
while not (folder / "enough").exists():
    wanted = GpusWanted(hardware="h100", count=draw.choice((1, 2, 4, 8)))
    with lease_gpus(declared("8xh100"), wanted, timeout_s=100, host=Host(folder=folder)) as lease:
        note("begin", lease.gpus)
        for _ in range(2):
            time.sleep(draw.random() * 0.002)
            note("still", lease.gpus)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One GPU's time with one process, by the clock of `time.monotonic_ns`."""

    gpu: str
    begin_ns: int
    end_ns: int
    worker: str


class Crowd:
    """Workers of two users (of one, where this process may not change its own), replaced when they are killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journals = folder / "journals"
        self.running: list[subprocess.Popen[bytes]] = []
        self.started = 0

    def start(self) -> None:
        self.started += 1
        user = NOBODY if os.getuid() == 0 and self.started % 2 else -1
        argv = [sys.executable, "-c", WORKER, str(self.folder), str(self.started), str(user)]
        self.running.append(subprocess.Popen(argv))

    def kill_one(self, draw: random.Random) -> None:
        victim = draw.choice([worker for worker in self.running if worker.poll() is None])
        victim.kill()
        victim.wait()  # it is not to be drawn again

    def ended(self) -> list[int]:
        """The exit codes of those that have ended since the last question."""
        over = [worker for worker in self.running if worker.poll() is not None]
        self.running = [worker for worker in self.running if worker not in over]
        return [worker.wait() for worker in over]

    def leases(self) -> int:
        return sum(journal.read_text().count(" begin ") for journal in self.journals.iterdir())

    def stop(self) -> None:
        for worker in self.running:
            worker.kill()
            worker.wait()


def held_times(journals: Path) -> list[Held]:
    found: list[Held] = []
    for journal in journals.iterdir():
        leases: list[list[tuple[int, str]]] = []
        for line in journal.read_text().splitlines():
            at, word, gpus = line.split()
            if word == "begin":
                leases.append([])
            leases[-1].append((int(at), gpus))
        for lines in leases:
            (gpus,) = {gpus for _, gpus in lines}
            found += [Held(gpu=gpu, begin_ns=lines[0][0], end_ns=lines[-1][0], worker=journal.name) for gpu in gpus.split(",")]
    return found


def overlaps(times: list[Held]) -> list[tuple[Held, Held]]:
    by_gpu: dict[str, list[Held]] = defaultdict(list)
    for held in sorted(times, key=lambda held: held.begin_ns):
        by_gpu[held.gpu].append(held)
    pairs = (pair for line in by_gpu.values() for pair in pairwise(line))
    return [(one, other) for one, other in pairs if other.begin_ns <= one.end_ns]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder as /tmp is: everybody's, and sticky. Not pytest's own, which no other user may enter."""
    place = Path(tempfile.mkdtemp(prefix="inferbench-leases-"))
    (place / "journals").mkdir()
    for each in (place, place / "journals"):
        each.chmod(0o1777)
    yield place
    shutil.rmtree(place)


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: leases queue with its locks")
def test_no_gpu_ever_has_two_holders_and_everybody_gets_a_turn(folder: Path) -> None:
    crowd, killed, codes = Crowd(folder), 0, list[int]()
    draw = random.Random(4)  # noqa: S311 - who is killed is no secret
    for _ in range(PROCESSES):
        crowd.start()
    give_up_s = time.monotonic() + LIMIT_S
    try:
        while crowd.running and time.monotonic() < give_up_s:
            time.sleep(0.05)
            done = crowd.leases()
            if done >= LEASES:
                (folder / "enough").touch()
            elif done > (killed + 1) * LEASES // (KILLS + 2):
                crowd.kill_one(draw)
                killed += 1
            for code in crowd.ended():
                codes.append(code)
                if done < LEASES:
                    crowd.start()
    finally:
        crowd.stop()
    assert crowd.running == [], f"{len(crowd.running)} of them still wait after {LIMIT_S} s"
    assert set(codes) == {0, -signal.SIGKILL}
    assert codes.count(-signal.SIGKILL) == killed >= KILLS // 2
    assert crowd.leases() >= LEASES
    times = held_times(crowd.journals)
    assert overlaps(times) == []
    assert {held.gpu for held in times} == {f"declared-h100-{index}" for index in range(8)}
    owners = {journal.stat().st_uid for journal in crowd.journals.iterdir()}
    assert owners == ({0, NOBODY} if os.getuid() == 0 else {os.getuid()})


def test_an_overlap_would_be_seen() -> None:
    one = Held(gpu="a", begin_ns=0, end_ns=10, worker="1")
    other = Held(gpu="a", begin_ns=9, end_ns=12, worker="2")
    elsewhere = Held(gpu="b", begin_ns=9, end_ns=12, worker="2")
    assert overlaps([other, one, elsewhere]) == [(one, other)]
    assert overlaps([one, elsewhere]) == []


def test_a_worker_that_was_killed_has_held_until_its_last_line(tmp_path: Path) -> None:
    (tmp_path / "1").write_text("1 begin a,b\n2 still a,b\n3 still a,b\n7 begin a\n8 still a\n")
    assert held_times(tmp_path) == [
        Held(gpu="a", begin_ns=1, end_ns=3, worker="1"),
        Held(gpu="b", begin_ns=1, end_ns=3, worker="1"),
        Held(gpu="a", begin_ns=7, end_ns=8, worker="1"),
    ]

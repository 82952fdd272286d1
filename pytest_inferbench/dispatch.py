"""
Which of xdist's workers has which cases, and what it gets next.

Rule: a worker is told what to do by two messages only: tests to run, and that there are no more. It begins a test when it knows
the next one, or that there is none; so a worker that should wait gets one test and nothing more, and begins it when it gets
another one, or is shut down. When it begins the last case of its group, the first case of its next group goes along, and waits
with it until there are devices.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from pytest_inferbench.cases.catalogue import ANY_GPU
from pytest_inferbench.devices import packing
from pytest_inferbench.devices.packing import Busy, Floor, Group
from pytest_inferbench.grouping import Member

CPU = "cpu"
HOST = "host"
# Tests that are no benchmarks go out in slices of their order, so many a worker, and each is taken for a quick one.
_SLICES_A_WORKER = 4
_TEST_S = 1.0


class Node(Protocol):
    """What is used of xdist's ``WorkerController``."""

    gateway: Any

    @property
    def shutting_down(self) -> bool:
        """Whether it was told that nothing more comes, or is gone."""
        ...

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        """Give it tests, by their place in the collection."""
        ...

    def shutdown(self) -> None:
        """Tell it that nothing more comes."""
        ...


@dataclass(slots=True, kw_only=True, eq=False)
class Run:
    """
    A group on its way through the session.

    Attributes:
        key: names it; no other run has the same.
        estimates_s: of each item, by its place in the collection.
        left: items that no worker has.
        sent: items that its worker has and that have not ended, the one that runs first.
        whole: all its items go out at once.
        answered: one of its items has ended, so that its server is up.
    """

    key: str
    hardware: str
    devices: int
    startup_s: float
    estimates_s: dict[int, float]
    left: deque[int]
    whole: bool = False
    sent: deque[int] = field(default_factory=deque)
    answered: bool = False

    @property
    def group(self) -> Group:
        """What is left of it, for planning."""
        cases_s = tuple(self.estimates_s[index] for index in (*self.sent, *self.left))
        startup_s = 0.0 if self.answered else self.startup_s
        return Group(key=self.key, hardware=self.hardware, devices=self.devices, startup_s=startup_s, cases_s=cases_s)


def runs_of(
    collection: Sequence[str], members: Mapping[str, Member], *, capacity: Mapping[str, int] | None, workers: int
) -> tuple[list[Run], dict[str, int]]:
    """
    The runs of a session in the order in which they should start, and the capacity that they count on.

    Tests that are no benchmarks come first. They burn CPU, so that no server of a CPU runs beside them: such a server takes all
    shares of the CPU, and a slice of those tests takes one. A case whose hardware is not here is soon skipped, and needs nothing.
    """
    room = {HOST: 1} if capacity is None else {**capacity, CPU: workers}
    served: dict[str, Run] = {}
    others: list[int] = []
    for index, nodeid in enumerate(collection):
        member = members.get(nodeid)
        if member is None:
            others.append(index)
            continue
        run = served.get(member.server) or served.setdefault(member.server, _server_run(member, room))
        run.left.append(index)
        run.estimates_s[index] = member.case_s
    order = packing.planned([run.group for run in served.values()], room, workers=workers)
    slices = _slices(others, CPU if CPU in room else HOST, number=_SLICES_A_WORKER * workers)
    return [*slices, *(served[group.key] for group in order)], room


def _server_run(member: Member, room: Mapping[str, int]) -> Run:
    hardware, devices = _kind(member, room), member.devices
    if HOST in room:
        hardware, devices = HOST, 1
    elif hardware == CPU:
        devices = room[CPU]
    elif devices > room.get(hardware, 0):
        hardware, devices = CPU, 0
    return Run(key=member.server, hardware=hardware, devices=devices, startup_s=member.startup_s, estimates_s={}, left=deque())


def _kind(member: Member, room: Mapping[str, int]) -> str:
    """The hardware to count on; where any GPU will do, the kind of which most are here. The lease may take another one."""
    if member.hardware != ANY_GPU:
        return member.hardware
    return max((kind for kind in room if kind not in (CPU, HOST)), key=lambda kind: room[kind], default=ANY_GPU)


def _slices(indices: Sequence[int], hardware: str, *, number: int) -> Iterator[Run]:
    size = max(1, -(-len(indices) // number))
    for begin in range(0, len(indices), size):
        part = indices[begin : begin + size]
        yield Run(
            key=f"tests from {begin}",
            hardware=hardware,
            devices=1,
            startup_s=0.0,
            estimates_s=dict.fromkeys(part, _TEST_S),
            left=deque(part),
            whole=True,
        )


@dataclass(slots=True, eq=False)
class _Worker:
    """A worker, what it runs, and what it will run next, whose first item it has already."""

    node: Node
    run: Run | None = None
    bound: Run | None = None
    since_s: float = 0.0

    @property
    def name(self) -> str:
        return str(self.node.gateway.id)

    @property
    def sent(self) -> int:
        return sum(len(run.sent) for run in (self.run, self.bound) if run is not None)


class Dispatch:
    """
    Which worker has what, and what it gets next.

    Args:
        runs: in the order in which they should start.
        room: how many devices there are of each hardware that they name.
        clock: seconds that never go back.

    Rule: how many devices are taken is never counted up and down, but always found anew from what the workers run. A worker that
    is shutting down gets nothing more, whoever told it to.
    """

    def __init__(self, runs: Iterable[Run], room: Mapping[str, int], *, clock: Callable[[], float]) -> None:
        self._waiting = list(runs)
        self._room = room
        self._clock = clock
        self._workers: dict[Node, _Worker] = {}
        self._all: dict[int, Run] = {index: run for run in self._waiting for index in run.left}
        self._repeats = 0

    @property
    def finished(self) -> bool:
        """Whether nothing is left to be given out, and no worker has more than what it runs."""
        idle = all(worker.sent < 2 and not (worker.run and worker.run.left) for worker in self._workers.values())
        return idle and not self._waiting

    @property
    def has_pending(self) -> bool:
        """Whether some test has not ended."""
        return bool(self._waiting) or any(worker.run for worker in self._workers.values())

    def join(self, node: Node) -> None:
        """Take in a worker that has collected; it gets work with the next `advance`."""
        self._workers[node] = _Worker(node)

    def complete(self, node: Node, index: int) -> None:
        """Take in that an item has ended, and go on."""
        worker = self._workers[node]
        if worker.bound is not None and index in worker.bound.sent:
            self._begin(worker, worker.bound)  # whoever shut it down has made it run what it was given
        run = worker.run
        if run is None:
            raise ValueError(f"{worker.name} has ended item {index}, which it was not given")
        run.sent.remove(index)
        run.answered = True
        worker.since_s = self._clock()
        if run.sent or run.left:
            self._feed(worker)
        else:
            worker.run = None
            self.advance()

    def leave(self, node: Node) -> int | None:
        """Take in that a worker is gone; the item that it was running, which is not given to anybody else."""
        worker = self._workers.pop(node, None)
        if worker is None:
            return None
        if worker.bound is not None:
            self._take_back(worker.bound)
        crashed = None
        if worker.run is not None:
            crashed = worker.run.sent.popleft() if worker.run.sent else None
            self._take_back(worker.run)
            if worker.run.left:
                self._waiting.insert(0, worker.run)
        self.advance()
        return crashed

    def again(self, index: int) -> None:
        """Run an item once more, as a run of its own."""
        self._repeats += 1
        run = self._all[index]
        self._waiting.insert(
            0,
            Run(
                key=f"{run.key} again {self._repeats}",
                hardware=run.hardware,
                devices=run.devices,
                startup_s=run.startup_s,
                estimates_s=run.estimates_s,
                left=deque([index]),
            ),
        )
        self.advance()

    def advance(self) -> None:
        """Send home who is not needed, and start what can start now."""
        self._send_home()
        while (start := packing.next_start(self._groups(), self._floor())) is not None:
            (worker,) = (worker for worker in self._workers.values() if worker.name == start.worker)
            self._begin(worker, self._run_of(start.group))
            self._feed(worker)

    def _begin(self, worker: _Worker, run: Run) -> None:
        self._waiting.remove(run)
        worker.run, worker.bound = run, None
        worker.since_s = self._clock()

    def _feed(self, worker: _Worker) -> None:
        """See that a worker knows what comes after the item that it is to run now."""
        run = worker.run
        if run is None or worker.node.shutting_down:
            return
        # One ahead and no more: what a worker has been given cannot be taken back when the session is told to stop.
        number = len(run.left) if run.whole else 2 - len(run.sent)
        self._send(worker, run, number)
        if not run.left and len(run.sent) == 1 and worker.bound is None:
            self._choose_next(worker)

    def _choose_next(self, worker: _Worker) -> None:
        starts = packing.forecast(self._groups(), self._floor())
        mine = [start.group for start in starts if start.worker == worker.name]
        if mine:
            worker.bound = self._run_of(mine[0])
            self._send(worker, worker.bound, 1)
        else:
            worker.node.shutdown()

    def _send(self, worker: _Worker, run: Run, number: int) -> None:
        items = [run.left.popleft() for _ in range(min(number, len(run.left)))]
        if not items:
            return
        run.sent.extend(items)
        # A worker that has died while this was on its way is reported soon, and its items are given to others then.
        with suppress(OSError):
            worker.node.send_runtest_some(items)

    def _send_home(self) -> None:
        live = [worker for worker in self._workers.values() if not worker.node.shutting_down]
        running = [worker.run.group for worker in live if worker.run is not None]
        useful = packing.side_by_side([*running, *self._groups()], self._room)
        idle = [worker for worker in live if worker.run is None and worker.bound is None]
        surplus = len(live) - useful if self._waiting else len(idle)
        for worker in idle[::-1][: max(surplus, 0)]:
            worker.node.shutdown()

    def _take_back(self, run: Run) -> None:
        run.left.extendleft(reversed(run.sent))
        run.sent.clear()
        run.answered = False

    def _groups(self) -> list[Group]:
        """What waits; without what was given to a worker that is being shut down, and will run it or not."""
        ending = [worker.bound for worker in self._workers.values() if worker.node.shutting_down]
        return [run.group for run in self._waiting if not any(run is other for other in ending)]

    def _run_of(self, group: Group) -> Run:
        (found,) = (run for run in self._waiting if run.key == group.key)
        return found

    def _floor(self) -> Floor:
        now_s = self._clock()
        busy, idle, bound = [], [], {}
        for worker in self._workers.values():
            leaving = worker.node.shutting_down
            if worker.run is not None:
                group = worker.run.group
                busy.append(
                    Busy(
                        worker=None if leaving else worker.name,
                        hardware=group.hardware,
                        devices=group.devices,
                        remaining_s=max(0.0, group.duration_s - (now_s - worker.since_s)),
                    )
                )
            elif not leaving and worker.bound is None:
                idle.append(worker.name)
            if worker.bound is not None and not leaving:
                bound[worker.name] = worker.bound.key
        return Floor(capacity=self._room, busy=tuple(busy), idle=tuple(idle), bound=bound)

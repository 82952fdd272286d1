"""
xdist without its processes: workers and the session that drives them, on a clock that jumps from event to event.

Rule: a worker here begins a test only when it knows the next one, or that there is none, as ``xdist.remote`` does; and the
session does with events what ``xdist.dsession`` does. It ends with an error where the real one would wait for ever.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_inferbench.grouping import Member
from pytest_inferbench.scheduling import ServerScheduling

_SHUTDOWN = -1
READY_S = 1.0
COLLECTED_S = 2.0


class Hang(AssertionError):
    """Nothing will ever happen again, and the session is not over."""


def served(key: str, *, devices: int, startup_s: float, cases_s: Sequence[float], hardware: str = "h100") -> dict[str, Member]:
    """What the cases of one server say, by node id."""
    return {
        f"{key}::{number}": Member(server=key, hardware=hardware, devices=devices, startup_s=startup_s, case_s=case_s)
        for number, case_s in enumerate(cases_s)
    }


def random_suite(seed: int, *, cases: int = 200, servers: int = 24) -> dict[str, Member]:
    """Servers with TP 1, 2, 4 or 8, start-up 60 to 300 s and cases of 30 to 120 s, dealt out at random, at least one each."""
    draw = random.Random(seed)  # noqa: S311 - the same seed must give the same suite
    numbers = [1] * servers
    for server in draw.choices(range(servers), k=cases - servers):
        numbers[server] += 1
    suite: dict[str, Member] = {}
    for server, number in enumerate(numbers):
        cases_s = [draw.uniform(30, 120) for _ in range(number)]
        suite |= served(f"s{server}", devices=draw.choice((1, 2, 4, 8)), startup_s=draw.uniform(60, 300), cases_s=cases_s)
    return suite


class Node:
    """A worker; ``begun`` are the items that it has begun, in order."""

    def __init__(self, world: World, name: str, collection: Sequence[str]) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.collection = list(collection)
        self.begun: list[int] = []
        self.running: int | None = None
        self.gone = False
        self.server: str | None = None
        self._world = world
        self._queue: deque[int] = deque()
        self._next: int | None = None
        self._told = False

    @property
    def shutting_down(self) -> bool:
        return self._told or self.gone

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        if self.gone:
            raise OSError("cannot send to a worker that is gone")
        self._queue.extend(indices)
        self.go_on()

    def shutdown(self) -> None:
        self._told = True
        self._world.on_shutdown()
        if not self.gone:
            self._queue.append(_SHUTDOWN)
            self.go_on()

    def go_on(self) -> None:
        """Begin what can begin."""
        if self.gone or self.running is not None:
            return
        if self._next is None and self._queue:
            self._next = self._queue.popleft()
        if self._next == _SHUTDOWN:
            self._world.finished(self)
        elif self._next is not None and self._queue:
            self.running, self._next = self._next, self._queue.popleft()
            self.begun.append(self.running)
            self._world.begin(self, self.running)

    def ended(self) -> int:
        """The item that ran has ended; its server stops where the next item is none of its."""
        index, self.running = self.running, None
        assert index is not None
        following = None if self._next in (None, _SHUTDOWN) else self._world.server_of(self.collection[self._next or 0])
        if following != self.server:
            self.server = None
        return index


@dataclass
class World:
    """
    A session: ``run`` plays it to its end.

    Attributes:
        suite: what cases say; node ids of ``collection`` that are not in it are ordinary tests.
        actual_s: how long each case takes in truth, where it is not as estimated.
        deaths_s: when workers die, by their names; ``restarts_max`` are replaced (None: all), and those collect
            ``clones_collect`` where that is given.
        odd_one: what the last worker collects, where it is something else.
        retried: a plugin asks for what a worker crashed in to be run again.
        starts: how often each server was started.
        done: how often each item ran to its end; ``crashed``: the items that a worker died in.
        begun: time, worker and item, in order; ``ended``: by item, when it did.
        devices_max: the most of the eight H100s in use at once.
        measured_s: when the last test ended.
    """

    suite: Mapping[str, Member]
    workers: int = 8
    collection: Sequence[str] = ()
    actual_s: Mapping[str, float] = field(default_factory=dict)
    deaths_s: Mapping[str, float] = field(default_factory=dict)
    clones_collect: Sequence[str] | None = None
    odd_one: Sequence[str] | None = None
    restarts_max: int | None = None
    retried: bool = False
    now_s: float = 0.0
    starts: dict[str, int] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    crashed: list[str] = field(default_factory=list)
    begun: list[tuple[float, str, str]] = field(default_factory=list)
    ended: dict[str, float] = field(default_factory=dict)
    devices_max: int = 0
    nodes: list[Node] = field(default_factory=list)
    reports: list[pytest.CollectReport] = field(default_factory=list)
    on_shutdown: Callable[[], None] = lambda: None
    measured_s: float = 0.0

    def __post_init__(self) -> None:
        self.collection = list(self.collection or self.suite)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()
        self._active: set[Node] = set()
        self._shutting_down = False
        self._failures = 0
        self.dsession = SimpleNamespace(shouldstop=False)
        self._scheduler: ServerScheduling | None = None

    # -- what the scheduler sees ------------------------------------------------------------------------------------

    @property
    def config(self) -> Any:
        """As much of pytest's config as schedulers ask for."""
        return SimpleNamespace(
            getvalue=lambda _: [f"{self.workers}*popen"],
            getoption=lambda _: None,
            hook=SimpleNamespace(pytest_collectreport=self._report),
            pluginmanager=SimpleNamespace(getplugin=lambda _: self.dsession),
        )

    def clock(self) -> float:
        return self.now_s

    # -- the session ------------------------------------------------------------------------------------------------

    def run(self, scheduler: ServerScheduling) -> World:
        """Play the session to its end."""
        self._scheduler = scheduler
        for number in range(self.workers):
            odd = number == self.workers - 1 and self.odd_one is not None
            self._new_node(self.odd_one if odd and self.odd_one else self.collection)
        for name, at_s in self.deaths_s.items():
            self._at(at_s, partial(self._kill_by_name, name))
        while not (self._shutting_down and not self._active):
            if not self._active:
                raise RuntimeError("Unexpectedly no active workers available")
            if not self._events:
                raise Hang(f"at {self.now_s:g} s: {self.describe()}")
            self.now_s, _, event = heapq.heappop(self._events)
            event()
            if scheduler.tests_finished:
                self._shut_down()
            if self.dsession.shouldstop:
                self._shut_down()
        return self

    def describe(self) -> str:
        return ", ".join(f"{node.gateway.id} runs {node.running}" for node in self._active)

    def stop(self, reason: str) -> None:
        """As -x does, when a test has failed."""
        self.dsession.shouldstop = reason

    def at(self, at_s: float, event: Callable[[], None]) -> None:
        """Let something happen."""
        self._at(at_s, event)

    def kill(self, node: Node) -> None:
        """Let a worker die; the session hears of it as its next event."""
        node.gone, node.server = True, None
        self._at(0.0, lambda: self._died(node))

    @staticmethod
    def is_here(member: Member) -> bool:
        """Whether its server could ever run on eight H100s; a case that could not is skipped."""
        return member.hardware == "h100" and member.devices <= 8

    def server_of(self, nodeid: str) -> str | None:
        return self.suite[nodeid].server if nodeid in self.suite else None

    def begin(self, node: Node, index: int) -> None:
        nodeid = self.collection[index]
        self.begun.append((self.now_s, node.gateway.id, nodeid))
        took_s = self.actual_s.get(nodeid, self.suite[nodeid].case_s if nodeid in self.suite else 1.0)
        member = self.suite.get(nodeid)
        if member is not None and node.server != member.server:
            node.server = member.server
            self.starts[member.server] = self.starts.get(member.server, 0) + 1
            took_s += self.actual_s.get(member.server, member.startup_s)
        self._count_devices()
        self._at(took_s, lambda: self._complete(node, index))

    def finished(self, node: Node) -> None:
        node.gone = True
        self._at(0.0, lambda: self._worker_finished(node))

    # -- inside -----------------------------------------------------------------------------------------------------

    def _report(self, *, report: pytest.CollectReport) -> None:
        self.reports.append(report)

    def _at(self, after_s: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now_s + after_s, next(self._number), event))

    def _new_node(self, collection: Sequence[str]) -> None:
        node = Node(self, f"gw{len(self.nodes)}", collection)
        self.nodes.append(node)
        self._active.add(node)
        self._at(READY_S, lambda: self._ready(node))
        self._at(COLLECTED_S, lambda: self._collected(node))

    def _ready(self, node: Node) -> None:
        if node.gone:
            return
        if self._shutting_down:
            node.shutdown()
        else:
            self._sched.add_node(node)

    def _collected(self, node: Node) -> None:
        if node.gone or self._shutting_down:
            return
        self._sched.add_node_collection(node, node.collection)
        if self._sched.collection_is_completed:
            self._sched.schedule()

    def _complete(self, node: Node, index: int) -> None:
        if node.gone:
            return
        assert node.ended() == index
        nodeid = node.collection[index]
        self.done[nodeid] = self.done.get(nodeid, 0) + 1
        self.ended[nodeid] = self.measured_s = self.now_s
        # The worker goes on at once, while its message is on its way.
        node.go_on()
        self._sched.mark_test_complete(node, index, 0.0)

    def _worker_finished(self, node: Node) -> None:
        if node in self._sched.nodes:
            crashed = self._sched.remove_node(node)
            assert not crashed, (crashed, node.gateway.id)
        self._active.remove(node)

    def _kill_by_name(self, name: str) -> None:
        for node in self.nodes:
            if node.gateway.id == name and not node.gone:
                self.kill(node)

    def _died(self, node: Node) -> None:
        try:
            crashed = self._sched.remove_node(node)
        except KeyError:
            crashed = None
        if crashed:
            self.crashed.append(crashed)
            if self.retried:
                self._sched.mark_test_pending(crashed)
        self._failures += 1
        if self.restarts_max is not None and self._failures > self.restarts_max:
            self._shut_down()
        else:
            self._shutting_down = False
            self._new_node(self.collection if self.clones_collect is None else self.clones_collect)
        self._active.remove(node)

    def _shut_down(self) -> None:
        if not self._shutting_down:
            self._shutting_down = True
            for node in self._sched.nodes:
                node.shutdown()

    def _count_devices(self) -> None:
        needs = {member.server: member.devices for member in self.suite.values() if self.is_here(member)}
        in_use = sum(needs.get(node.server, 0) for node in self.nodes if node.server is not None)
        self.devices_max = max(self.devices_max, in_use)

    @property
    def _sched(self) -> ServerScheduling:
        assert self._scheduler is not None
        return self._scheduler

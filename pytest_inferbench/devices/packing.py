"""
Which group of cases starts next, on which worker, so that no device is idle that could work and the run is soon over.

Rule: nothing here starts, waits or reads a clock. Estimates and what runs go in, and decisions come out; whoever acts on them
asks again after every change. An estimate that is wrong costs time, and never more devices than there are.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

# Orders that lie near the best one so far are tried as well, as long as it is this much longer than it must be; for large runs
# a few, because each is played to its end.
_GOOD_ENOUGH = 1.02
_TRIALS_MAX = 400
_TRIAL_GROUPS_MAX = 12_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """
    Cases that one server answers: they run one after the other, on one worker.

    Attributes:
        key: names it; no two groups that wait have the same.
        hardware: which devices it holds while it runs, by the name they have in the capacity.
        devices: how many of them, all from beginning to end.
        startup_s: estimated, until its server answers.
        cases_s: estimated, of each case in its order.
    """

    key: str
    hardware: str
    devices: int
    startup_s: float
    cases_s: tuple[float, ...]

    @property
    def duration_s(self) -> float:
        """From the start of its server to the end of its last case, as estimated."""
        return self.startup_s + sum(self.cases_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """A group that runs, and how long it still takes, as estimated; ``worker`` is None where it takes nothing afterwards."""

    worker: str | None
    hardware: str
    devices: int
    remaining_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """
    Who works, and who could.

    Attributes:
        capacity: how many devices there are of each hardware.
        busy: workers with a group.
        idle: workers without one, who can take any; who comes first gets the first.
        bound: by worker, busy or not, the key of the group that it must take next, and that nobody else may.
    """

    capacity: Mapping[str, int]
    busy: tuple[Busy, ...] = ()
    idle: tuple[str, ...] = ()
    bound: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A group that starts on a worker, ``at_s`` seconds from now; at 0 it can start now."""

    worker: str
    group: Group
    at_s: float


def forecast(waiting: Sequence[Group], floor: Floor) -> tuple[Start, ...]:
    """
    What happens from now on, if the estimates hold: each start in the order of time.

    Whenever something ends, the groups that wait start in their order, each as soon as its devices and a worker are free; one
    that does not fit yet is passed by, so that small ones fill the gaps. A group whose devices can never be free has no start.
    """
    play = _Play(waiting, floor)
    play.run()
    return tuple(play.starts)


def next_start(waiting: Sequence[Group], floor: Floor) -> Start | None:
    """The group that starts now, and on which worker; None where none can, until something ends."""
    play = _Play(waiting, floor)
    play.start_what_fits()
    return play.starts[0] if play.starts else None


def planned(groups: Sequence[Group], capacity: Mapping[str, int], *, workers: int) -> tuple[Group, ...]:
    """
    The groups in the order in which they should be offered to `forecast`.

    Several orders (as given, widest first, longest first, and mixtures of both) are played to their end, and so are neighbours
    of the best one; the shortest run wins, and of two alike the one that was tried first, so that where nothing is to be gained
    groups stay as they are. The same groups give the same order.
    """
    floor = Floor(capacity=capacity, idle=tuple(str(worker) for worker in range(workers)))
    orders = [tuple(groups), *(tuple(sorted(groups, key=key)) for key in _ORDERS)]
    best = min(orders, key=lambda order: round(_end_s(order, floor), 6))
    return _improved(best, floor, enough_s=_GOOD_ENOUGH * bound_s(groups, capacity))


def makespan_s(order: Sequence[Group], capacity: Mapping[str, int], *, workers: int) -> float:
    """How long all groups take in that order, if the estimates hold."""
    return _end_s(order, Floor(capacity=capacity, idle=tuple(str(worker) for worker in range(workers))))


def bound_s(groups: Iterable[Group], capacity: Mapping[str, int]) -> float:
    """
    No order takes less: the longest group, or all device-seconds of a hardware over the number of its devices.

    max(max duration, max over hardware of sum(devices * duration) / capacity)
    """
    area: dict[str, float] = {}
    longest_s = 0.0
    for group in groups:
        longest_s = max(longest_s, group.duration_s)
        area[group.hardware] = area.get(group.hardware, 0.0) + group.devices * group.duration_s
    return max([longest_s, *(seconds / capacity[hardware] for hardware, seconds in area.items() if capacity.get(hardware))])


def side_by_side(groups: Iterable[Group], capacity: Mapping[str, int]) -> int:
    """The most of these groups that can ever run at once: more workers than that are of no use."""
    free = dict(capacity)
    number = 0
    for group in sorted(groups, key=lambda group: group.devices):
        if group.devices <= free.get(group.hardware, 0):
            free[group.hardware] -= group.devices
            number += 1
    return number


# -- inside -----------------------------------------------------------------------------------------------------------------


def _by_power(exponent: float) -> Callable[[Group], float]:
    return lambda group: -group.duration_s * max(group.devices, 1) ** exponent


_ORDERS: tuple[Callable[[Group], tuple[float, ...] | float], ...] = (
    lambda group: (-group.devices, -group.duration_s),
    *(_by_power(exponent) for exponent in (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)),
    lambda group: (group.devices, -group.duration_s),
)


class _Play:
    """The run as it would be, from now to its end."""

    def __init__(self, waiting: Sequence[Group], floor: Floor) -> None:
        self.waiting = list(waiting)
        self.starts: list[Start] = []
        self.end_s = 0.0
        self._now_s = 0.0
        self._number = count()  # of two that end together, the one that started first
        self._free = dict(floor.capacity)
        self._ends: list[tuple[float, int, str | None, str, int]] = []
        self._owner = {key: worker for worker, key in floor.bound.items()}
        self._bound = set(floor.bound)
        for busy in floor.busy:
            self._work(busy.worker, busy.hardware, busy.devices, busy.remaining_s)
        working = {busy.worker for busy in floor.busy}
        self._idle = deque(floor.idle)
        self._ready = {worker for worker in self._bound if worker not in working}

    def run(self) -> None:
        self.start_what_fits()
        while self.waiting and self._ends:
            self._wait_for_an_end()
            self.start_what_fits()

    def start_what_fits(self) -> None:
        kept: list[Group] = []
        for place, group in enumerate(self.waiting):
            if not self._idle and not self._ready:
                kept += self.waiting[place:]
                break
            if not self._starts(group):
                kept.append(group)
        self.waiting = kept

    def _starts(self, group: Group) -> bool:
        if group.devices > self._free.get(group.hardware, 0):
            return False
        owner = self._owner.get(group.key)
        if owner in self._ready:
            self._ready.remove(owner)
            self._bound.remove(owner)
            worker = owner
        elif owner is None and self._idle:
            worker = self._idle.popleft()
        else:
            return False
        self.starts.append(Start(worker=worker, group=group, at_s=self._now_s))
        self._work(worker, group.hardware, group.devices, group.duration_s)
        return True

    def _work(self, worker: str | None, hardware: str, devices: int, remaining_s: float) -> None:
        self._free[hardware] = self._free.get(hardware, 0) - devices
        end_s = self._now_s + remaining_s
        self.end_s = max(self.end_s, end_s)
        heapq.heappush(self._ends, (end_s, next(self._number), worker, hardware, devices))

    def _wait_for_an_end(self) -> None:
        self._now_s = self._ends[0][0]
        while self._ends and self._ends[0][0] <= self._now_s:
            _, _, worker, hardware, devices = heapq.heappop(self._ends)
            self._free[hardware] += devices
            if worker in self._bound:
                self._ready.add(worker)
            elif worker is not None:
                self._idle.append(worker)


def _end_s(order: Sequence[Group], floor: Floor) -> float:
    play = _Play(order, floor)
    play.run()
    return play.end_s


def _improved(order: tuple[Group, ...], floor: Floor, *, enough_s: float) -> tuple[Group, ...]:
    """The best of the orders that are found by moving one group at a time, until one is good enough."""
    draw = random.Random(0)  # noqa: S311 - the same groups must give the same order
    best, best_s = order, _end_s(order, floor)
    trials = min(_TRIALS_MAX, _TRIAL_GROUPS_MAX // max(len(order), 1))
    for _ in range(trials):
        if best_s <= enough_s:
            break
        moved = list(best)
        moved.insert(draw.randrange(len(best)), moved.pop(draw.randrange(len(best))))
        moved_s = _end_s(moved, floor)
        if moved_s < best_s - 1e-6:
            best, best_s = tuple(moved), moved_s
    return best

"""
GPUs that one process of this host has for itself, all that a server needs or none.

Rule: a lease is a lock on a file a GPU, which the kernel frees when the process dies. Whoever wants GPUs of a kind queues for
that kind (where any will do, for each), first come, first served, and only the head of the queue takes any, when all that it
needs are free. So nobody holds some and waits for more (no deadlock), whatever becomes free stays free for the head (eight at
once do not starve behind a stream of single ones), and the head can choose neighbours. The price: a small request waits behind
a large one, also where it would fit. Within a session its scheduler fills such gaps, by asking in a better order.

A GPU that is busy without a lease is somebody else's and is left alone, and so is one in quarantine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from pytest_inferbench.devices import quarantine
from pytest_inferbench.devices.choice import choose
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.devices.inventory import DRIVER_LIMIT_S, Inventory, described, surveys
from pytest_inferbench.devices.lock_file import SOMEBODY, LockFile, file_name, holder_json, holder_of, shared_folder
from pytest_inferbench.devices.names import counted
from pytest_inferbench.devices.tickets import Ticket
from pytest_inferbench.devices.usage import Usage, Usages, busy_reason
from pytest_inferbench.errors import DeviceError

POLL_S = 0.1
# How often whoever waits asks the driver again what goes on, and looks who is in the way: both cost more than a look at a lock.
LOOK_S = 1.0
MEMORY_BACK_LIMIT_S = 30.0
_MEMORY_POLL_S = 0.5
_OTHERS = "others are ahead in the queue"

UsageReader = Callable[[], Usages]


@dataclass(frozen=True, slots=True, kw_only=True)
class GpusWanted:
    """What is asked for: so many GPUs of a kind (``gpu``: any), and what for, as others will read it (None: the running test)."""

    hardware: str
    count: int
    what: str | None = None


def usages_now() -> Usages:
    """What goes on on the GPUs of this machine."""
    answers = surveys(limit_s=DRIVER_LIMIT_S, topology=False)
    return {uuid: usage for answer in answers for uuid, usage in answer.usages.items()}


def lease_gpus(
    inventory: Inventory,
    wanted: GpusWanted,
    *,
    timeout_s: float,
    waiting: Callable[[str], None] = lambda _: None,
    host: Host | None = None,
) -> GpuLease:
    """
    Lease GPUs of this inventory, all at once; held until the lease is released, or this process dies.

    Declared GPUs are leased like real ones, and nothing is asked of any driver about them.

    Args:
        inventory: of this machine, or a declared one.
        wanted: how many of which.
        timeout_s: the longest to wait for them, in seconds.
        waiting: told in a sentence what is waited for and who has it, and again whenever that changes.
        host: where the lock files are and who says what goes on on GPUs; by default where the inventory has them, on this host.

    Raises:
        DeviceError: there are not so many, they were not free in time (names who has them), or a lock file cannot be trusted.
    """
    text = counted(wanted.hardware, wanted.count)
    kinds = [kind for kind in inventory.kinds(wanted.hardware) if 0 < wanted.count <= len(inventory.of(kind))]
    if not kinds:
        raise DeviceError(f"needs {text}; there are: {described(inventory.names)}")
    if host is None:
        host = Host() if inventory.locks is None else Host(folder=inventory.locks)
    hands = [_Hand(inventory, replace(wanted, hardware=kind), host=host) for kind in kinds]
    return _Wait(hands, text=text, timeout_s=timeout_s, waiting=waiting).until_leased()


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Where the lock files of GPUs are, and who says what goes on on GPUs."""

    folder: Path = field(default_factory=shared_folder)
    usages: UsageReader = usages_now

    def path(self, resource: str) -> Path:
        """The lock file of a resource."""
        return self.folder / file_name(resource)


class GpuLease:
    """
    GPUs that are this process's until it releases them; made by `lease_gpus`.

    At the end of a ``with`` block it is released without a look at memory: after a server, `release_checked` comes first.

    Attributes:
        gpus: in the order of their indices.
    """

    def __init__(self, *, locks: dict[Gpu, LockFile], before: Usages, usages: UsageReader) -> None:
        self.gpus = tuple(locks)
        self._locks = locks
        self._before = before
        self._usages = usages

    def release(self) -> None:
        """Give the GPUs back; safe to call twice."""
        self._close({})

    def release_checked(
        self, *, limit_s: float = MEMORY_BACK_LIMIT_S, waiting: Callable[[str], None] = lambda _: None
    ) -> str | None:
        """
        Give the GPUs back after their server has stopped, once their memory is back at what it was before.

        Args:
            limit_s: the longest to wait for the memory, in seconds.
            waiting: told once, in a sentence, that it takes a moment.

        Returns:
            None where all is well, else a sentence for the run's troubles: GPUs whose memory did not come back are in
            quarantine, and no lease gets them before it is back.
        """
        excesses: dict[Gpu, str] = {}
        try:
            excesses = self._settled(limit_s, waiting)
        finally:
            self._close(excesses)
        if not excesses:
            return None
        left = "it is left alone until that memory is back" if len(excesses) == 1 else "they are left alone until it is back"
        return f"{'; '.join(excesses.values())}, {limit_s:g} s after the server had stopped: {left}"

    def _settled(self, limit_s: float, waiting: Callable[[str], None]) -> dict[Gpu, str]:
        deadline_s = time.monotonic() + limit_s
        told = False
        while self._locks and (excesses := self._excesses()):
            if time.monotonic() >= deadline_s:
                return excesses
            if not told:
                told = True
                waiting(f"waiting for memory to come back: {'; '.join(excesses.values())}")
            time.sleep(_MEMORY_POLL_S)
        return {}

    def _excesses(self) -> dict[Gpu, str]:
        if not self._before:
            return {}
        now = self._usages()
        found = {
            gpu: quarantine.excess(gpu, before=self._before.get(gpu.uuid, Usage()), now=now.get(gpu.uuid, Usage()))
            for gpu in self.gpus
        }
        return {gpu: text for gpu, text in found.items() if text is not None}

    def _close(self, excesses: dict[Gpu, str]) -> None:
        while self._locks:
            gpu, lock = self._locks.popitem()
            reason = excesses.get(gpu)
            lock.write(b"" if reason is None else quarantine.mark(reason, before=self._before[gpu.uuid]))
            lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


class _Wait:
    """The wait for one request, with a hand for each kind: a limit for all of it, and a sentence about each obstacle."""

    def __init__(self, hands: list[_Hand], *, text: str, timeout_s: float, waiting: Callable[[str], None]) -> None:
        self.hands = hands
        self.text = text
        self.timeout_s = timeout_s
        self.waiting = waiting
        self.started_s = time.monotonic()
        self.told: str | None = None
        self.tell_s = self.started_s

    def until_leased(self) -> GpuLease:
        with ExitStack() as queues:
            tickets = [queues.enter_context(Ticket(hand.host.path(f"gpu queue {hand.kind}"))) for hand in self.hands]
            while True:
                for ticket, hand in zip(tickets, self.hands, strict=True):
                    lease = hand.attempt() if ticket.is_first() else None
                    if lease is not None:
                        return lease
                if time.monotonic() - self.started_s >= self.timeout_s:
                    raise DeviceError(
                        f"{self.text} were not free within {self.timeout_s:g} s: {self._obstacles() or _OTHERS}; "
                        "wait for them to end, or ask for fewer GPUs"
                    )
                self._tell()
                time.sleep(POLL_S)

    def _tell(self) -> None:
        now_s = time.monotonic()
        if now_s < self.tell_s:
            return
        self.tell_s = now_s + LOOK_S
        obstacles = self._obstacles()
        # Between two holders nothing is in the way for a moment; that is no news.
        if self.told is None or obstacles not in {"", self.told}:
            self.told = obstacles
            self.waiting(f"waiting for {self.text}: {obstacles or _OTHERS}")

    def _obstacles(self) -> str:
        return "; ".join(words for words in (hand.obstacles() for hand in self.hands) if words)


class _Hand:
    """What reaches for the GPUs of one kind: takes all that are needed or none, and knows what is in the way."""

    def __init__(self, inventory: Inventory, wanted: GpusWanted, *, host: Host) -> None:
        self.inventory = inventory
        self.wanted = wanted
        self.host = host
        self.kind = wanted.hardware
        self.pool = inventory.of(self.kind)
        self._usages: Usages = {}
        self._looked_s = 0.0
        self._looked_at: set[Gpu] = set()
        self._left_alone: dict[Gpu, str] = {}

    def attempt(self) -> GpuLease | None:
        """All that is wanted, or None and nothing is held."""
        taken = self._taken()
        keep: dict[Gpu, LockFile] = {}
        try:
            fit = self._fit(taken) if len(taken) >= self.wanted.count else []
            for gpu in choose(fit, self.wanted.count, links=self.inventory.links) or ():
                taken[gpu].write(holder_json(self.wanted.what))
                keep[gpu] = taken[gpu]
        finally:
            for gpu, lock in taken.items():
                if gpu not in keep:
                    lock.close()
        if not keep:
            return None
        before = {gpu.uuid: self._usages[gpu.uuid] for gpu in keep if gpu.uuid in self._usages}
        return GpuLease(locks=keep, before=before, usages=self.host.usages)

    def _taken(self) -> dict[Gpu, LockFile]:
        """The locks of all GPUs that nobody holds."""
        taken: dict[Gpu, LockFile] = {}
        try:
            for gpu in self.pool:
                taken[gpu] = LockFile(self.host.path(gpu.resource))
                if not taken[gpu].try_take():
                    taken.pop(gpu).close()
        except BaseException:
            for lock in taken.values():
                lock.close()
            raise
        return taken

    def _fit(self, taken: dict[Gpu, LockFile]) -> list[Gpu]:
        """Those of the GPUs taken that nobody uses without a lease, and whose memory is back."""
        self._look(set(taken))
        reasons = {gpu: self._reason_against(gpu, lock) for gpu, lock in taken.items()}
        self._left_alone = {gpu: reason for gpu, reason in reasons.items() if reason is not None}
        return [gpu for gpu, reason in reasons.items() if reason is None]

    def _reason_against(self, gpu: Gpu, lock: LockFile) -> str | None:
        if gpu.declared:
            return None
        usage = self._usages.get(gpu.uuid, Usage())
        mark = quarantine.read_mark(lock.read())
        return busy_reason(gpu, usage) or (quarantine.still_holds(mark, usage) if mark else None)

    def _look(self, at: set[Gpu]) -> None:
        """Ask what goes on: anew where a GPU has come free since, whose last reading is that of somebody's server."""
        if self.inventory.declared or (at <= self._looked_at and time.monotonic() - self._looked_s < LOOK_S):
            return
        self._usages = self.host.usages()
        self._looked_at = at
        self._looked_s = time.monotonic()

    def obstacles(self) -> str:
        """What is in the way, in words: who holds which GPUs, and which are left alone; empty: nothing but the queue."""
        found: dict[str, list[str]] = {}
        for gpu in self.pool:
            holder = holder_of(self.host.path(gpu.resource))
            if holder is not None and holder != SOMEBODY:
                found.setdefault(f"held by {holder}", []).append(gpu.label)
            elif gpu in self._left_alone:
                found.setdefault(self._left_alone[gpu], []).append(gpu.label)
        return "; ".join(f"{', '.join(labels)}: {reason}" for reason, labels in found.items())

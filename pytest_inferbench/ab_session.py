"""
What measures two sides in turns: a run folder for each side, one server at a time or two beside each other.

Rule: both sides are measured on the same hardware. Two servers are up at once only on a CPU, as processes, and where the memory
that is free holds a second one; GPUs are given to one server at a time. Then the other side's server is ended before each change
of sides, which is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_inferbench.ab import Side, Slot
from pytest_inferbench.cases.case import Case
from pytest_inferbench.errors import ConfigError, MeasurementInvalid
from pytest_inferbench.experiment import Experiment, Settings, environment
from pytest_inferbench.launch.memory import memory_bytes
from pytest_inferbench.launch.pool import ServerPool, Stay
from pytest_inferbench.load.seeds import Seeds
from pytest_inferbench.records.baselines import Measured
from pytest_inferbench.records.codec import encode
from pytest_inferbench.records.results import write_results
from pytest_inferbench.records.run_directory import RunDirectory, open_run
from pytest_inferbench.reporting.progress import Progress

SPARE_BYTES = 512 * 1024**2
"""What stays free beside a second server."""
ROOM_FACTOR = 1.25
"""A second server may need so much more than the first one takes after its first load."""
_SALTS = 2**32
_AGAIN_SALT = 2**31

Memory = Callable[[int], tuple[int, int] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """
    How a session measures.

    Attributes:
        seeds: those of the first pair; every pair has its own.
        restart: a new server for every run.
        lease_timeout_s: the longest wait for hardware that others hold.
        again: the command that runs it again.
        show: told where a case is.
        waiting: told in a sentence what is waited for.
        memory: what a server takes and what is free beside it, in bytes, by the server's process; None: nobody can tell.
    """

    seeds: Seeds
    restart: bool = False
    lease_timeout_s: float = 3600.0
    again: str = ""
    show: Callable[[Progress], None] = lambda _: None
    waiting: Callable[[str], None] = lambda _: None
    memory: Memory = memory_bytes


@dataclass(slots=True, kw_only=True)
class _Standing:
    """What stands on a side: its cases by their ids, and what measures them."""

    cases: Mapping[str, Case]
    experiment: Experiment


class Session:
    """
    Measures cases of two sides, one run at a time.

    Args:
        run: the folder that the sides' run folders lie in.
        setup: how.

    Attributes:
        notices: what people should know of how it was measured, in sentences.
    """

    def __init__(self, run: RunDirectory, setup: Setup) -> None:
        self._run = run
        self._setup = setup
        self._standing: dict[Side, _Standing] = {}
        self._pool = self._new_pool()
        self._beside: ServerPool | None = None
        self._decided = setup.restart
        self.notices: list[str] = ["a new server was started for every run"] if setup.restart else []

    def put(self, side: Side, cases: Sequence[Case], *, name: str) -> None:
        """
        Let these cases stand on a side from now on; what is measured of them goes to a run folder of that name.

        Raises:
            RecordError: the folder could not be made.
        """
        folder = open_run(f"{self._run.run_id}-{name}", output=self._run.path / name)
        settings = Settings(
            seeds=self._setup.seeds,
            cases=len(cases),
            lease_timeout_s=self._setup.lease_timeout_s,
            # One calibration says how right the clock of this machine is, for all that is measured beside it.
            calibration=not self._standing,
        )
        before = self._standing.get(side)
        if before is not None:
            self._end(before)
        experiment = Experiment(folder, self._pool_of(side), settings, on_progress=self._setup.show)
        self._standing[side] = _Standing(cases={case.id: case for case in cases}, experiment=experiment)

    def case(self, side: Side, case_id: str) -> Case:
        """The case as it stands on a side."""
        return self._standing[side].cases[case_id]

    def measure(self, slot: Slot, case_id: str) -> Measured:
        """
        One run of a case.

        One that the client itself spoiled says nothing of the server and is made once more, which is said.

        Raises:
            InferbenchError: it could not be measured, or was spoiled twice.
        """
        standing = self._standing[slot.side]
        case = self.case(slot.side, case_id)
        pool = standing.experiment.pool = self._pool_for(slot.side, case)
        if self._setup.restart:
            pool.close()
        seeds = seeds_of(self._setup.seeds, slot)
        try:
            return self._measured(standing.experiment, case, seeds)
        except MeasurementInvalid as error:
            first = str(error).partition("\n")[0]
            self.notices.append(f"{slot.side} of {case_id} in block {slot.block + 1} was measured once more: {first}")
        return self._measured(standing.experiment, case, replace(seeds, salt=(seeds.salt + _AGAIN_SALT) % _SALTS))

    def _measured(self, experiment: Experiment, case: Case, seeds: Seeds) -> Measured:
        experiment.settings = replace(experiment.settings, seeds=seeds)
        result = experiment.measure(case, node_id=case.id, again=self._setup.again)
        return Measured(record=result.record, traces=result.traces, environment=encode(environment()))

    def close(self) -> None:
        """Stop all servers and write what each side measured; safe to call twice."""
        for pool in (self._pool, self._beside):
            if pool is not None:
                pool.close()
                self.notices += [*pool.troubles, *pool.notices]
                pool.troubles, pool.notices = [], []
        for standing in self._standing.values():
            self._end(standing)
        self._standing = {}

    def _end(self, standing: _Standing) -> None:
        experiment = standing.experiment
        self.notices += [*experiment.troubles, *experiment.notices]
        if experiment.records:
            write_results(experiment.run.path, experiment.records)

    def _pool_of(self, side: Side) -> ServerPool:
        return self._beside if side is Side.B and self._beside is not None else self._pool

    def _pool_for(self, side: Side, case: Case) -> ServerPool:
        """B's own pool from its first run on, where both servers can be up at once."""
        if side is Side.B and not self._decided and Side.A in self._standing:
            self._decided = True
            reason = self._no_room(case)
            if reason is None:
                self._beside = self._new_pool()
                self.notices.append("both servers were up at once, and each was started once: --restart shows how starts differ")
            else:
                self.notices.append(f"the server was started anew at each change of sides: {reason}")
        return self._pool_of(side)

    def _no_room(self, case: Case) -> str | None:
        """Why a second server must not be up beside the first one; None where it may."""
        if case.gpus:
            return "a GPU is given to one server at a time"
        if case.engine.in_container:
            return "nobody can tell here how much memory a container's server takes"
        standing = self._standing[Side.A]
        last = standing.experiment.last
        # What is up is asked of the pool, which has it under the case as it stands here: its record is without secrets.
        up = None if last is None or last.record.served is None else standing.cases[last.record.case.id]
        pid = None if up is None else self._pool.server_for(up).endpoint.pid
        found = None if pid is None else self._setup.memory(pid)
        if found is None:
            return "nobody can tell here whether there is memory for both servers"
        taken, free = found
        if taken * ROOM_FACTOR + SPARE_BYTES > free:
            return f"{free / 1e9:.1f} GB of memory are free beside a server that takes {taken / 1e9:.1f} GB"
        return None

    def _new_pool(self) -> ServerPool:
        stay = Stay(run_id=self._run.run_id, lease_timeout_s=self._setup.lease_timeout_s)
        return ServerPool(folder=self._run.path / "servers", stay=stay, progress=self._setup.waiting)


def seeds_of(first: Seeds, slot: Slot) -> Seeds:
    """
    The seeds of one run: lengths and instants are those of its pair, and the words of its prompts are nobody else's.

    So both of a pair are asked for the same, and no prompt cache has seen what it is asked.
    """
    salt = first.salt + 2 * slot.pair + (slot.side is Side.B)
    return Seeds(seed=first.seed + slot.pair, salt=salt % _SALTS)


def same_gpus(measured: Sequence[Measured]) -> str:
    """Why runs were not on the same GPUs, in words; empty where they were."""
    sets = {each.record.served.gpus for each in measured if each.record.served is not None}
    if len(sets) < 2:
        return ""
    return (
        f"not all runs were on the same GPUs ({'; '.join(', '.join(gpus) for gpus in sorted(sets))}), which differ by themselves"
    )


def refuse_fixed(cases: Sequence[Case]) -> None:
    """
    Nothing, where a server is started for every case.

    Raises:
        ConfigError: a case has an endpoint that is already there, no level of its own, or another tool's load.
    """
    for case in cases:
        if case.engine.name == "openai":
            raise ConfigError(f"{case.id} is measured at an endpoint that is already there, so A and B cannot differ")
        if case.load.search is not None:
            raise ConfigError(f"{case.id} finds its level by itself: A and B would be measured at different ones; give a level")
        if case.tool is not None:
            raise ConfigError(f"{case.id} is loaded by {case.tool.name}, whose runs have no figures to pair; leave tool out")

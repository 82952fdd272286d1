"""Measuring two sides: which server is up when, which requests are sent, and what is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pytest_inferbench.ab import Side, plan
from pytest_inferbench.ab_session import Session, Setup, refuse_fixed, same_gpus, seeds_of
from pytest_inferbench.cases.case import Case, EngineSpec, Tool
from pytest_inferbench.errors import ConfigError, MeasurementInvalid
from pytest_inferbench.experiment import Experiment
from pytest_inferbench.load.seeds import Seeds
from pytest_inferbench.records.baselines import Measured
from pytest_inferbench.records.run_directory import open_run
from pytest_inferbench.result import Result
from tests.records.example import CASE, SERVED, example_record

GIB = 1024**3
ROOM = (GIB, 64 * GIB)
PAIR = (CASE, replace(CASE, engine=EngineSpec(name="llamacpp", args=(("threads", 1),))))


class Endpoint:
    pid = 1


class Server:
    endpoint = Endpoint()


class Pool:
    """A pool that only writes down which servers it has up."""

    made: ClassVar[list[Pool]] = []

    def __init__(self, **_: Any) -> None:
        self.up: str | None = None
        self.starts = 0
        self.troubles: list[str] = []
        self.notices: list[str] = []
        Pool.made.append(self)

    def server_for(self, case: Case) -> Server:
        if self.up != case.server_key:
            self.up, self.starts = case.server_key, self.starts + 1
        return Server()

    def close(self) -> None:
        self.up = None


Fault = Callable[[Case, int], Exception | None]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., tuple[Session, list[Any]]]]:
    """Makes sessions whose experiments ask for their server and measure nothing; beside each what was measured, in order."""
    Pool.made = []
    monkeypatch.setattr("pytest_inferbench.ab_session.ServerPool", Pool)
    sessions: list[Session] = []

    def make(cases: tuple[Case, Case] = PAIR, *, fault: Fault = lambda *_: None, **setup: Any) -> tuple[Session, list[Any]]:
        taken: list[Any] = []

        def measure(self: Experiment, case: Case, *, node_id: str, again: str) -> Result:
            del node_id, again
            self.pool.server_for(case)
            taken.append((case.engine.args, self.settings.seeds, self.run.run_id))
            self.last = Result(record=replace(example_record(), case=case, served=SERVED), traces=None)
            self.records.append(self.last.record)
            wrong = fault(case, len(taken))
            if wrong is not None:
                raise wrong
            return self.last

        monkeypatch.setattr(Experiment, "measure", measure)
        run = open_run("r1", output=tmp_path / f"run{len(sessions)}")
        session = Session(run, Setup(**{"seeds": Seeds(seed=3, salt=5), "memory": lambda _: ROOM, **setup}))
        for side, case in zip(Side, cases, strict=True):
            session.put(side, [case], name=side.value)
        sessions.append(session)
        return session, taken

    yield make
    for session in sessions:
        session.close()


def blocks(session: Session, count: int = 1) -> list[Measured]:
    return [session.measure(slot, CASE.id) for slot in plan(count)]


def test_with_room_for_both_each_is_started_once(bench: Callable[..., tuple[Session, list[Any]]]) -> None:
    session, taken = bench()
    blocks(session, 2)
    assert [pool.starts for pool in Pool.made] == [1, 1]
    assert [dict(args).get("threads") for args, _, _ in taken] == [None, 1, 1, None, 1, None, None, 1]
    assert session.notices == ["both servers were up at once, and each was started once: --restart shows how starts differ"]


@pytest.mark.parametrize(
    ("memory", "cases", "words"),
    [
        ((4 * GIB, 4 * GIB), PAIR, "4.3 GB of memory are free beside a server that takes 4.3 GB"),
        (None, PAIR, "nobody can tell here whether there is memory for both servers"),
        (ROOM, tuple(replace(case, hardware="h100") for case in PAIR), "a GPU is given to one server at a time"),
        (
            ROOM,
            tuple(replace(case, engine=replace(case.engine, image="a:1")) for case in PAIR),
            "nobody can tell here how much memory a container's server takes",
        ),
    ],
)
def test_without_room_servers_take_turns_and_why_is_said(
    bench: Callable[..., tuple[Session, list[Any]]], memory: tuple[int, int] | None, cases: tuple[Case, Case], words: str
) -> None:
    session, _ = bench(cases, memory=lambda _: memory)
    blocks(session, 2)
    # A | B B | A | B | A A | B
    assert [pool.starts for pool in Pool.made] == [6]
    assert session.notices == [f"the server was started anew at each change of sides: {words}"]


def test_with_restart_every_run_has_a_new_server(bench: Callable[..., tuple[Session, list[Any]]]) -> None:
    session, _ = bench(restart=True)
    blocks(session, 2)
    assert [pool.starts for pool in Pool.made] == [8]
    assert session.notices == ["a new server was started for every run"]


def test_both_of_a_pair_are_asked_for_the_same_in_other_words(bench: Callable[..., tuple[Session, list[Any]]]) -> None:
    session, taken = bench()
    blocks(session, 2)
    assert [seeds.seed for _, seeds, _ in taken] == [3, 3, 4, 4, 5, 5, 6, 6]
    assert len({seeds.salt for _, seeds, _ in taken}) == 8


def test_each_side_has_a_run_folder_of_its_own(bench: Callable[..., tuple[Session, list[Any]]], tmp_path: Path) -> None:
    session, taken = bench()
    blocks(session)
    session.close()
    assert [run_id for _, _, run_id in taken] == ["r1-A", "r1-B", "r1-B", "r1-A"]
    assert {path.parent.name for path in tmp_path.rglob("results.json")} == {"A", "B"}


def test_another_candidate_takes_bs_place_in_a_folder_of_its_own(
    bench: Callable[..., tuple[Session, list[Any]]], tmp_path: Path
) -> None:
    session, taken = bench()
    blocks(session)
    session.put(Side.B, [replace(CASE, engine=EngineSpec(name="llamacpp", args=(("threads", 9),)))], name="B-02")
    blocks(session)
    session.close()
    assert [pool.starts for pool in Pool.made] == [1, 2]
    assert {path.parent.name for path in tmp_path.rglob("results.json")} == {"A", "B", "B-02"}
    assert taken[-2][2] == "r1-B-02"


def test_a_run_that_the_client_spoiled_is_made_once_more_and_said(bench: Callable[..., tuple[Session, list[Any]]]) -> None:
    session, taken = bench(fault=lambda _, count: MeasurementInvalid("sent late\nmore") if count == 2 else None)
    blocks(session)
    assert len(taken) == 5
    assert taken[1][1].seed == taken[2][1].seed
    assert taken[1][1].salt != taken[2][1].salt
    assert session.notices[-1] == f"B of {CASE.id} in block 1 was measured once more: sent late"


def test_one_that_is_spoiled_twice_is_not(bench: Callable[..., tuple[Session, list[Any]]]) -> None:
    session, taken = bench(fault=lambda *_: MeasurementInvalid("sent late"))
    with pytest.raises(MeasurementInvalid):
        session.measure(plan(1)[0], CASE.id)
    assert len(taken) == 2


def test_salts_stay_what_a_plan_takes() -> None:
    last = Seeds(seed=0, salt=2**32 - 1)
    assert [seeds_of(last, slot).salt for slot in plan(1)] == [2**32 - 1, 0, 2, 1]


def test_the_same_gpus_are_nothing_to_say() -> None:
    runs = [Measured(record=replace(example_record(), served=replace(SERVED, gpus=("GPU-1",)))) for _ in range(2)]
    assert same_gpus(runs) == ""


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (replace(CASE, engine=EngineSpec(name="openai")), "at an endpoint that is already there, so A and B cannot differ"),
        (
            replace(CASE, tool=Tool(name="genai-bench", image="a:1", results="/results")),
            "is loaded by genai-bench, whose runs have no figures to pair; leave tool out",
        ),
    ],
)
def test_cases_that_cannot_differ_are_refused(case: Case, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        refuse_fixed([CASE, case])
    assert words in str(error.value)

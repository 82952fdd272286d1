"""Each step says how it went with each server, and removes nothing that it was not asked to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench import steps
from pytest_inferbench.cases.case import Case, HostShare
from pytest_inferbench.devices import inventory
from pytest_inferbench.engines import registry
from pytest_inferbench.engines.engine import ServerSpec
from pytest_inferbench.errors import ConfigError, EngineError
from pytest_inferbench.launch import docker_engine, leftovers, ownership
from pytest_inferbench.launch.ledger import Entry, Kind, Reach
from pytest_inferbench.launch.leftovers import Found, State
from pytest_inferbench.objectives.verdict import Outlook, Verdict
from pytest_inferbench.records.reader import read_run
from pytest_inferbench.records.run_directory import open_run
from pytest_inferbench.records.writer import write_case
from pytest_inferbench.steps import Deployment, chosen, collect, found_lines, look, prepare
from pytest_inferbench.steps_selection import Wanted
from tests.launch.test_process import spec
from tests.load.cases import case_of
from tests.records.example import example_record, example_traces

CASE = case_of(requests=3)
WANTED = Wanted(case=CASE, cases=2)
REACH = Reach(url="http://127.0.0.1:9", engine="tiny", model="m", log="/logs/tiny.log")


class Recipe:
    """An engine whose servers are a test's own."""

    name = "tiny-of-steps"

    def __init__(self) -> None:
        self.wanted: ServerSpec | EngineError = spec()

    def server(self, _case: Case) -> ServerSpec:
        if isinstance(self.wanted, EngineError):
            raise self.wanted
        return self.wanted


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERBENCH_STATE", str(tmp_path / "state"))


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    recipe = Recipe()
    monkeypatch.setattr(registry, "engine", lambda _name: recipe)
    return recipe


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """A deployment of which nothing is left after the test."""
    yield Deployment(run_id="run-1", folder=tmp_path / "logs", progress=lambda _: None)
    leftovers.remove(leftovers.look())


def found(state: State, *, run_id: str = "run-1", kind: Kind = "process", reach: Reach | None = None) -> Found:
    entry = Entry(kind=kind, name="7", token="t", labels={ownership.RUN: run_id}, reach=reach)
    return Found(entry=entry, state=state)


def test_a_server_comes_up_and_is_found_up_the_next_time(recipe: Recipe, deployment: Deployment, tmp_path: Path) -> None:
    first = deployment.up(WANTED)
    assert first.trouble is None
    url, run, log = first.lines
    assert url.startswith("url   http://127.0.0.1:")
    assert (run, log) == ("run   run-1", f"log   {tmp_path / 'logs' / 'tiny-k.log'}")
    again = Deployment(run_id="run-2", folder=tmp_path, progress=lambda _: None).up(WANTED)
    assert again.lines == (url, "run   run-1 (was up already)", log)
    assert [each.state for each in leftovers.look()] == [State.KEPT]


def test_a_server_that_does_not_come_up_leaves_the_others_up(recipe: Recipe, deployment: Deployment) -> None:
    assert deployment.up(WANTED).trouble is None
    recipe.wanted = spec("exits", key="other")
    trouble = deployment.up(WANTED).trouble
    assert trouble is not None
    assert trouble.startswith("tiny ended before it was ready: it exited with code 1")
    (left,) = leftovers.look()
    assert (left.state, left.there, left.entry.key) == (State.KEPT, True, "k")


def test_hardware_that_is_not_here_is_a_trouble(recipe: Recipe, deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "skip_reason", lambda _: "needs 8 x h100; found: cpu (2 cores)")
    assert deployment.up(WANTED).trouble == "needs 8 x h100; found: cpu (2 cores)"
    recipe.wanted = EngineError("the model is not on this machine")
    assert prepare(WANTED, progress=lambda _: None).trouble == (
        "needs 8 x h100; found: cpu (2 cores); the model is not on this machine"
    )


def test_what_is_prepared_is_shown(recipe: Recipe) -> None:
    outcome = prepare(WANTED, progress=lambda _: None)
    assert outcome == steps.Outcome(server=WANTED, lines=("model x", f"start {sys.executable}"))


def test_all_that_is_missing_is_said_at_once(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH", raising=False)
    recipe.wanted = spec(argv=("no-such-program", "{port}"), env=(("A", "${NO_SUCH}"),), share=HostShare(numa=4000))
    assert prepare(WANTED, progress=lambda _: None).trouble == (
        "the engine's env.A refers to ${NO_SUCH}, and the environment variable NO_SUCH is not set; "
        "this machine has no NUMA node 4000, which the server is to use; "
        "the program no-such-program is not on this machine; install it, or give its path"
    )
    recipe.wanted = spec(api_key_env="NO_SUCH")
    assert prepare(WANTED, progress=lambda _: None).trouble == (
        "the environment variable NO_SUCH, which is to hold the server's key, is not set"
    )


def test_an_engine_of_containers_that_does_not_answer_is_said(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect() -> Any:
        raise EngineError("no container engine answers")

    monkeypatch.setattr(docker_engine, "connect", connect)
    recipe.wanted = spec(launcher="docker", image="vllm/vllm-openai")
    assert prepare(WANTED, progress=lambda _: None).trouble == "no container engine answers"
    assert look() == ((), "no container engine answers")


def test_without_a_word_only_what_was_kept_goes() -> None:
    every = [found(State.KEPT), found(State.LEFT), found(State.IN_USE), found(State.ELSEWHERE)]
    assert [each.state for each in chosen(every, run_id=None, every=False)] == [State.KEPT]
    assert [each.state for each in chosen(every, run_id=None, every=True)] == [State.KEPT, State.LEFT]


def test_a_run_that_is_named_goes_in_use_or_not() -> None:
    every = [found(State.IN_USE), found(State.KEPT, run_id="run-2"), found(State.ELSEWHERE)]
    assert chosen(every, run_id="run-1", every=False) == (every[0],)
    with pytest.raises(ConfigError) as error:
        chosen(every, run_id="run-9", every=False)
    assert str(error.value) == "there is nothing of run run-9 here; runs that have something here: run-1, run-2"


def test_what_there_is_is_shown_with_how_to_reach_it() -> None:
    assert found_lines([found(State.KEPT, reach=REACH), replace(found(State.LEFT), there=False)]) == [
        "kept            server process 7 of run run-1",
        "                tiny with m at http://127.0.0.1:9, log /logs/tiny.log",
        "left behind, ended  server process 7 of run run-1",
    ]


def test_results_are_collected_from_the_cases_folders(tmp_path: Path) -> None:
    run = open_run("run-1", output=tmp_path / "run")
    invalid = replace(
        example_record(),
        verdict=Verdict(outlook=Outlook.INVALID, judgements=()),
        started_at="2020-01-01T00:00:00+00:00",
    )
    for record in (invalid, example_record()):
        write_case(run.case_folder("c"), record=record, traces=example_traces())
    (run.path / "report.html").touch()
    (run.path / "broken").mkdir()
    (run.path / "broken" / "summary.json").write_text("{")
    collected = collect(run.path)
    assert [record.verdict.outlook for record in collected.records] == [example_record().verdict.outlook]
    assert collected.files == tuple(run.path / name for name in ("results.json", "results.csv", "report.html"))
    assert collected.notes == (f"{run.path / 'c'} is left out: the case was measured again later",)
    assert len(collected.troubles) == 1
    assert len(read_run(run.path)) == 1


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        collect(tmp_path)
    assert str(error.value) == f"{tmp_path} holds no case with results; give the folder of a run, such as reports/latest"

"""What is known from earlier runs of how long things take."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_inferbench import durations
from pytest_inferbench.durations import NOTHING, Durations
from pytest_inferbench.records.record import Record
from tests.records.example import CASE, broken_record, example_record

KEY = CASE.server_key


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INFERBENCH_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def record(name: str = CASE.id, *, at: int = 0, log: str | None = "servers/a-1.log", wall_s: float = 12.0) -> Record:
    made = example_record(case=replace(CASE, id=name))
    assert made.served is not None
    served = replace(made.served, log=log, started_in_s=10.0)
    return replace(made, served=served, started_at=f"2026-11-22T07:45:{at:02}+00:00", wall_s=wall_s)


def test_the_first_case_of_a_server_waited_for_its_start_and_the_others_did_not() -> None:
    records = [record("b", at=2, wall_s=3.0), record("a", at=1), record("c", at=3, log="servers/a-2.log", wall_s=14.0)]
    assert durations.of_records(records) == Durations(startups_s={KEY: 10.0}, cases_s={"a": 2.0, "b": 3.0, "c": 4.0})


def test_what_broke_is_simulated_or_was_there_before_says_nothing() -> None:
    records = [broken_record(), replace(record(), simulated=True), record(log=None), replace(record(), error="no memory")]
    assert durations.of_records(records) == NOTHING
    assert durations.note(records) is None
    assert durations.read() == NOTHING


def test_what_one_run_has_measured_the_next_one_knows(state: Path) -> None:
    assert durations.note([record("a")]) is None
    assert durations.note([record("b", wall_s=11.0)]) is None
    assert durations.read() == Durations(startups_s={KEY: 10.0}, cases_s={"a": 2.0, "b": 1.0})
    assert durations.note([record("a", wall_s=15.0)]) is None
    assert list(durations.read().cases_s.items()) == [("b", 1.0), ("a", 5.0)]
    assert sorted(path.name for path in state.iterdir()) == ["durations.json", "durations.lock"]


def test_it_does_not_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durations, "ENTRIES_MAX", 3)
    for name in "abcde":
        durations.note([record(name)])
    assert list(durations.read().cases_s) == ["c", "d", "e"]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "5", '{"version": 9, "startups_s": {}, "cases_s": {}}', '{"version": 1, "startups_s": [], "cases_s": {"a": "x"}}'],
)
def test_what_cannot_be_read_is_as_good_as_nothing_and_is_written_anew(text: str, state: Path) -> None:
    state.mkdir(mode=0o700)
    (state / "durations.json").write_text(text)
    assert durations.read() == NOTHING
    assert durations.note([record("a")]) is None
    assert durations.read().cases_s == {"a": 2.0}


def test_figures_that_are_none_are_left_out(state: Path) -> None:
    state.mkdir(mode=0o700)
    value = {"version": 1, "startups_s": {"k": -1}, "cases_s": {"a": float("inf"), "b": 2}}
    (state / "durations.json").write_text(json.dumps(value))
    assert durations.read() == Durations(cases_s={"b": 2.0})


def test_a_state_that_cannot_be_used_is_said_and_read_as_nothing(state: Path) -> None:
    state.mkdir()
    state.chmod(0o777)
    assert durations.read() == NOTHING
    said = durations.note([record()])
    assert said is not None
    assert said.startswith(f"how long things took was not kept for the next run: {state} cannot be used")


def test_somebody_who_holds_the_file_for_ever_is_not_waited_for(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durations, "_LOCK_LIMIT_S", 0.0)
    state.mkdir(mode=0o700)
    with (state / "durations.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = durations.note([record()])
    assert said == f"how long things took was not kept for the next run: others hold {state / 'durations.lock'} for more than 0 s"
    assert durations.note([record()]) is None


NOTES = """
import sys
from tests.test_durations import durations, record
durations._LOCK_LIMIT_S = 120.0
for number in range(20):
    assert durations.note([record(f"{sys.argv[1]}-{number}")]) is None
"""


def test_processes_that_write_at_once_lose_nothing() -> None:
    root = Path(__file__).parents[1]
    env = {**os.environ, "PYTHONPATH": str(root)}
    running = [subprocess.Popen([sys.executable, "-c", NOTES, name], cwd=root, env=env) for name in "abc"]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert len(durations.read().cases_s) == 60

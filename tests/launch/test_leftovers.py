import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch import ledger, leftovers, marked, ownership
from pytest_inferbench.launch.docker_engine import Made
from pytest_inferbench.launch.ledger import Entry, Reach
from pytest_inferbench.launch.leftovers import State, look, reap, remove, state_of

REACH = Reach(url="http://127.0.0.1:9", engine="tiny", model="m")
SLEEPS = "import os, time; os.write(1, b'up'); time.sleep(60)"


class Engine:
    """As much of a container engine as cleaning up uses, with these things in it; what is ``stuck`` cannot be removed."""

    def __init__(self, *things: Made, stuck: str = "") -> None:
        self.things = list(things)
        self.stuck = stuck
        self.closed = 0

    def list_ours(self) -> tuple[Made, ...]:
        return tuple(self.things)

    def remove_container(self, name: str) -> bool:
        if name == self.stuck:
            raise EngineError("the engine has had enough")
        return self._remove(name)

    def remove_network(self, name: str) -> bool:
        return name != self.stuck and self._remove(name)

    def close(self) -> None:
        self.closed += 1

    def _remove(self, name: str) -> bool:
        there = name in [each.name for each in self.things]
        self.things = [each for each in self.things if each.name != name]
        return there

    def connect(self) -> Any:
        return self


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INFERBENCH_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def dead(entry: Entry) -> Entry:
    """The entry with an owner that has ended: the number is this process's, the start is not."""
    entry = replace(entry, labels={**entry.labels, ownership.OWNER_START: "1"})
    ledger._write(entry)
    return entry


def made(kind: Literal["container", "network"], name: str) -> Made:
    labels = {**ownership.labels_for("run-2"), ownership.OWNER_START: "1"}
    return Made(kind=kind, id=f"id of {name}", name=name, labels=labels)


@pytest.fixture
def process() -> Iterator[tuple[subprocess.Popen[bytes], Entry]]:
    """A process that stands in the ledger."""
    entry = ledger.record("process", "", run_id="run-1", key="k")
    env = {**os.environ, **marked.environment(entry.token)}
    with subprocess.Popen([sys.executable, "-c", SLEEPS], env=env, stdout=subprocess.PIPE, start_new_session=True) as started:
        assert started.stdout is not None
        started.stdout.read(2)
        yield started, ledger.found(entry, pid=started.pid)
        started.kill()


def test_what_a_living_owner_has_is_in_use_and_left_alone(process: tuple[subprocess.Popen[bytes], Entry]) -> None:
    started, entry = process
    (found,) = look()
    assert (found.entry, found.state, found.there) == (entry, State.IN_USE, True)
    assert reap() == ()
    assert started.poll() is None
    assert ledger.entries() == (entry,)


def test_what_a_dead_owner_left_goes_and_is_named(process: tuple[subprocess.Popen[bytes], Entry], tmp_path: Path) -> None:
    started, entry = process
    dead(entry)
    folder = tmp_path / "inferbench-0123456789abcdef"
    folder.mkdir()
    (folder / "file").touch()
    dead(ledger.record("folder", str(folder), run_id="run-1"))
    assert reap() == (f"removed what run run-1 had left behind: server process {started.pid}, folder {folder}",)
    assert started.wait() == -15
    assert not folder.exists()
    assert ledger.entries() == ()
    assert reap() == ()


def test_a_process_that_died_before_it_had_a_number_is_found_by_its_mark(
    process: tuple[subprocess.Popen[bytes], Entry],
) -> None:
    started, entry = process
    dead(replace(entry, name="", started=""))
    assert reap() == ("removed what run run-1 had left behind: server process (not yet started)",)
    assert started.wait() == -15


def test_a_number_that_came_again_is_nobody_of_ours(process: tuple[subprocess.Popen[bytes], Entry]) -> None:
    started, entry = process
    dead(replace(entry, token="f" * 16, started="1"))
    ledger.forget(entry)
    assert reap() == ()
    assert started.poll() is None
    assert ledger.entries() == ()


def test_a_kept_server_outlives_its_owner_until_somebody_asks_for_its_end(
    process: tuple[subprocess.Popen[bytes], Entry],
) -> None:
    started, entry = process
    dead(ledger.keep(entry, REACH))
    assert reap() == ()
    (found,) = look()
    assert (found.state, found.there) == (State.KEPT, True)
    cleaned = remove([found])
    assert [each.words for each in cleaned.removed] == [f"server process {started.pid} of run run-1"]
    assert cleaned.troubles == ()
    assert ledger.entries() == ()


def test_a_kept_server_that_has_ended_is_struck_out(process: tuple[subprocess.Popen[bytes], Entry]) -> None:
    started, entry = process
    ledger.keep(entry, REACH)
    started.kill()
    started.wait()
    assert reap() == ()
    assert ledger.entries() == ()


def test_what_another_host_has_is_left_alone() -> None:
    entry = ledger.record("process", "1", run_id="run-1")
    elsewhere = replace(entry, labels={**entry.labels, ownership.HOST: "elsewhere"})
    ledger._write(elsewhere)
    assert state_of(elsewhere) is State.ELSEWHERE
    assert reap() == ()
    assert ledger.entries() == (elsewhere,)


def test_what_ran_before_the_last_boot_is_gone(process: tuple[subprocess.Popen[bytes], Entry]) -> None:
    started, entry = process
    ledger._write(replace(entry, labels={**entry.labels, ownership.BOOT: "another boot"}))
    assert reap() == ()
    assert ledger.entries() == ()
    assert started.poll() is None


def test_a_journal_of_telemetry_goes_with_whoever_wrote_it(tmp_path: Path) -> None:
    journal = tmp_path / ".telemetry-0123abcd.jsonl"
    journal.write_text("[]\n")
    dead(ledger.record("file", str(journal), run_id="run-1"))
    assert reap() == (f"removed what run run-1 had left behind: file {journal}",)
    assert not journal.exists()
    assert ledger.entries() == ()


def test_a_journal_that_is_gone_is_not_spoken_of(tmp_path: Path) -> None:
    dead(ledger.record("file", str(tmp_path / ".telemetry-0123abcd.jsonl"), run_id="run-1"))
    assert (reap(), ledger.entries()) == ((), ())


def test_a_file_that_is_no_journal_is_never_deleted(tmp_path: Path) -> None:
    precious, link = tmp_path / "results.json", tmp_path / ".telemetry-0123abcd.jsonl"
    precious.touch()
    link.symlink_to(precious)
    for path in (precious, link):
        entry = dead(ledger.record("file", str(path), run_id="run-1"))
        assert reap() == (
            f"file {path} of run run-1 could not be removed: it is no journal of this user; look at it, and remove it by hand",
        )
        assert (precious.exists(), link.is_symlink()) == (True, True)
        ledger.forget(entry)


def test_a_folder_that_is_none_of_ours_is_never_deleted(tmp_path: Path) -> None:
    folder = tmp_path / "precious"
    folder.mkdir()
    dead(ledger.record("folder", str(folder), run_id="run-1"))
    (sentence,) = reap()
    assert sentence == (
        f"folder {folder} of run run-1 could not be removed: it is no temporary folder of this user; look at it, "
        "and remove it by hand"
    )
    assert folder.exists()
    assert len(ledger.entries()) == 1


def test_containers_go_before_networks_and_labels_are_enough_to_find_them() -> None:
    dead(ledger.record("network", "net-1", run_id="run-1"))
    dead(ledger.record("container", "box-1", run_id="run-1"))
    engine = Engine(made("network", "net-2"), made("network", "net-1"), made("container", "box-1"), made("container", "box-2"))
    assert reap(containers=True, connect=engine.connect) == (
        "removed what run run-1 had left behind: container box-1, network net-1",
        "removed what run run-2 had left behind: container box-2, network net-2",
    )
    assert engine.things == []
    assert engine.closed == 2
    assert ledger.entries() == ()


def test_a_container_of_a_living_owner_or_of_nobody_known_is_left_alone() -> None:
    mine = replace(made("container", "mine"), labels=ownership.labels_for("run-1"))
    nobodys = replace(made("container", "nobodys"), labels={ownership.RUN: "run-1"})
    kept = ledger.keep(dead(ledger.record("container", "kept", run_id="run-1")), REACH)
    engine = Engine(mine, nobodys, made("container", "kept"))
    assert reap(containers=True, connect=engine.connect) == ()
    assert len(engine.things) == 3
    assert ledger.entries() == (kept,)


def test_no_engine_is_asked_where_there_is_nothing_to_ask_for() -> None:
    def connect() -> Any:
        raise AssertionError("must not be called")

    assert reap(connect=connect) == ()


def test_what_cannot_be_removed_leaves_the_others_and_stays_in_the_ledger() -> None:
    for name in ("box-1", "box-2"):
        dead(ledger.record("container", name, run_id="run-1"))
    cleaned = remove(look(), connect=Engine(stuck="box-1").connect)
    assert cleaned.troubles == ("container box-1 of run run-1 could not be removed: the engine has had enough",)
    assert [entry.name for entry in ledger.entries()] == ["box-1"]


def test_a_network_that_is_in_use_is_not_called_removed() -> None:
    engine = Engine(made("network", "net"), stuck="net")
    assert remove(look(engine.connect()), connect=engine.connect).troubles == (
        "network net of run run-2 could not be removed: a container still uses it",
    )


def test_an_engine_that_does_not_answer_is_said_and_the_rest_is_done(
    process: tuple[subprocess.Popen[bytes], Entry],
) -> None:
    def connect() -> Any:
        raise EngineError("it does not answer")

    started, entry = process
    dead(entry)
    assert reap(containers=True, connect=connect) == (
        "what earlier runs left in containers was not looked for: it does not answer",
        f"removed what run run-1 had left behind: server process {started.pid}",
    )


def test_after_the_end_of_an_owner_its_things_go_and_a_log_says_so(
    process: tuple[subprocess.Popen[bytes], Entry], state: Path
) -> None:
    started, entry = process
    kept = ledger.keep(ledger.record("container", "box", run_id="run-1"), REACH)
    leftovers.clean_after(os.getpid(), started="1")
    assert started.poll() is None, "an owner of the same number that started at another time is another one"
    leftovers.clean_after(os.getpid(), started=entry.labels[ownership.OWNER_START])
    assert started.wait() == -15
    assert ledger.entries() == (kept,)
    line = (state / leftovers.LOG_FILE).read_text(encoding="utf-8").partition(" ")[2]
    assert line == f"removed server process {started.pid} of run run-1, whose owner (process {os.getpid()}) had ended\n"

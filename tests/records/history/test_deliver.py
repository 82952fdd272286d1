from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_inferbench.errors import RecordError
from pytest_inferbench.records.history import deliver, spool, store
from pytest_inferbench.records.history.deliver import record_run, send_waiting
from pytest_inferbench.records.history.frames import load_history
from pytest_inferbench.records.history.rows import RunFacts
from pytest_inferbench.records.results import write_results
from tests.records.history.example_runs import EIGHT, FOUR, KILLED, record_of, rows_from

AWAY = "postgresql+psycopg://me:geheim@127.0.0.1:1/db"
ROOT = Path(__file__).parents[3]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """The folder of a run with two cases."""
    folder = tmp_path / "run"
    folder.mkdir()
    write_results(folder, [record_of(FOUR, "run-1"), record_of(EIGHT, "run-1")])
    return folder


def test_a_run_that_has_ended_is_in_the_history(run_dir: Path, url: str) -> None:
    assert record_run(run_dir, url=url, facts=RunFacts(host="bench-1", command="pytest --key sk-1234567890abcdefgh")) == ()
    found = load_history(url)
    assert list(found["host"]) == ["bench-1", "bench-1"]
    assert spool.waiting(spool.folder_of(url)) == []
    assert b"sk-1234567890" not in Path(url.removeprefix("sqlite:///")).read_bytes()


def test_records_that_are_at_hand_are_not_read_again(tmp_path: Path, url: str) -> None:
    assert record_run(tmp_path / "nowhere", url=url, records=[record_of(FOUR, "run-1")]) == ()
    assert len(load_history(url)) == 1


def test_while_the_database_is_away_a_run_waits_and_is_sent_with_the_next_one(
    run_dir: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_url: str, _rows: object) -> None:
        raise RecordError("the history could not be reached")

    with monkeypatch.context() as patched:
        patched.setattr(store, "keep", away)
        told = record_run(run_dir, url=url)
    folder = spool.folder_of(url)
    assert told == ("the history could not be reached", f"1 run waits for the history in {folder}, sent with the next one")
    assert record_run(run_dir, url=url, records=[record_of(FOUR, "run-2")]) == ()
    assert sorted(set(load_history(url)["run_id"])) == ["run-1", "run-2"]
    assert spool.waiting(folder) == []


def test_a_server_that_is_not_there_is_named_without_the_password(run_dir: Path, data_home: Path) -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    told = " ".join(record_run(run_dir, url=AWAY))
    assert "the history postgresql://REDACTED@127.0.0.1:1/db could not be opened: connection failed" in told
    assert "see that the server is up, that this user may use it, and that the URL is right (--inferbench-store)" in told
    assert "1 run waits for the history" in told
    written = b"".join(path.read_bytes() for path in data_home.rglob("*") if path.is_file())
    assert b"geheim" not in written
    assert "geheim" not in told


def test_without_a_spool_the_database_is_tried(run_dir: Path, url: str, data_home: Path) -> None:
    data_home.write_text("a file where the folder should be")
    (told,) = record_run(run_dir, url=url)
    assert "could not be written" in told
    assert "the run itself is in the history" in told
    assert len(load_history(url)) == 2


def test_whatever_goes_wrong_is_a_sentence(run_dir: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (told,) = record_run(run_dir / "nowhere", url=url)
    assert told.startswith(f"this run is not in the history: {run_dir / 'nowhere'} holds no results")
    assert told.endswith(f"Bring it in later with inferbench history import {run_dir / 'nowhere'}")
    monkeypatch.setattr(deliver, "rows_of_run", lambda *_args, **_facts: 1 / 0)
    (told,) = record_run(run_dir, url=url)
    assert "ZeroDivisionError: division by zero" in told


def test_one_that_cannot_be_read_does_not_stop_the_others(url: str) -> None:
    folder = spool.folder_of(url)
    folder.mkdir(parents=True)
    (folder / "00000000000000000001-run-0.json.gz").write_bytes(b"broken")
    spool.put(folder, rows_from([record_of(FOUR, "run-1")]))
    (told,) = send_waiting(url)
    assert "is no run that could be sent" in told
    assert list(load_history(url)["run_id"]) == ["run-1"]


def test_what_takes_too_long_goes_on_waiting(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = spool.folder_of(url)
    run = rows_from([record_of(FOUR, "run-1")])
    for i in (1, 2):
        spool.put(folder, replace(run, written_us=i))
    monkeypatch.setattr(deliver, "SENDING_LIMIT_S", -1)
    assert send_waiting(url) == (f"2 runs wait for the history in {folder}, sent with the next one",)


def test_a_writer_that_is_killed_leaves_what_was_there_and_loses_nothing(tmp_path: Path, url: str) -> None:
    store.keep(url, rows_from([record_of(FOUR, "run-1")]))
    command = [sys.executable, "-c", KILLED, str(tmp_path), url]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    assert list(load_history(url)["run_id"]) == ["run-1"]
    assert send_waiting(url) == ()
    assert sorted(set(load_history(url)["run_id"])) == ["run-1", "run-2"]

from __future__ import annotations

import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_inferbench.errors import RecordError
from pytest_inferbench.records.history import spool
from tests.records.history.example_runs import FOUR, broken_of, record_of, rows_from


def test_a_run_that_waits_is_what_was_put_there(tmp_path: Path) -> None:
    run = rows_from([record_of(FOUR, "run-1"), broken_of(FOUR, "run-1")])
    path = spool.put(tmp_path, run)
    taken = spool.take(path)
    assert taken == replace(run, results=taken.results if taken else ())
    assert taken is not None
    assert [each.digest for each in taken.results] == [each.digest for each in run.results]


def test_runs_wait_in_the_order_in_which_they_came_and_a_run_may_come_twice(tmp_path: Path) -> None:
    run = rows_from([record_of(FOUR, "run-1")])
    paths = [spool.put(tmp_path, replace(run, written_us=run.written_us + i)) for i in (0, 1, 2)]
    assert spool.waiting(tmp_path) == paths
    spool.done(paths[1])
    spool.done(paths[1])
    assert spool.waiting(tmp_path) == [paths[0], paths[2]]


def test_each_database_has_a_folder_of_its_own_whatever_the_password() -> None:
    told = {"XDG_DATA_HOME": "/data"}
    folders = {spool.folder_of(f"postgresql+psycopg://me:{word}@host/db", told) for word in ("geheim", "other")}
    assert len(folders) == 1
    assert folders != {spool.folder_of("postgresql+psycopg://me:geheim@elsewhere/db", told)}
    (folder,) = folders
    assert folder.parent == Path("/data/pytest-inferbench/spool")


def test_only_the_user_can_read_what_waits(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    spool.put(folder, rows_from([record_of(FOUR, "run-1")]))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_what_somebody_else_has_sent_meanwhile_is_nothing(tmp_path: Path) -> None:
    assert spool.take(tmp_path / "gone.json.gz") is None


@pytest.mark.parametrize("content", [b"", b"no gzip", b"\x1f\x8b\x08\x00"])
def test_what_is_no_run_is_put_aside_and_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "00000000000000000001-run-1.json.gz"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=re.escape(f"{path}.broken is no run that could be sent to the history (")) as told:
        spool.take(path)
    assert "inferbench history import RUN" in str(told.value)
    assert spool.waiting(tmp_path) == []
    assert Path(f"{path}.broken").read_bytes() == content


def test_a_file_that_is_half_of_one_is_put_aside(tmp_path: Path) -> None:
    path = spool.put(tmp_path, rows_from([record_of(FOUR, "run-1")]))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(RecordError, match="is no run that could be sent"):
        spool.take(path)


def test_it_takes_no_more_than_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "RUNS_MAX", 2)
    run = rows_from([record_of(FOUR, "run-1")])
    for i in (1, 2):
        spool.put(tmp_path, replace(run, written_us=i))
    with pytest.raises(
        RecordError, match=re.escape(f"{tmp_path} is full: 2 runs wait there for the history, 2 or 256 MiB at most")
    ):
        spool.put(tmp_path, run)
    monkeypatch.setattr(spool, "RUNS_MAX", 9)
    monkeypatch.setattr(spool, "BYTES_MAX", 1)
    with pytest.raises(RecordError, match="is full"):
        spool.put(tmp_path, run)


def test_where_it_cannot_be_written_the_reason_is_said(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(RecordError, match=r"run-1\.json\.gz could not be written: (Not a directory|File exists)"):
        spool.put(blocked, rows_from([record_of(FOUR, "run-1")]))


def test_a_run_that_is_forgotten_waits_no_more(tmp_path: Path) -> None:
    for run_id in ("run-1", "run-1-2"):
        spool.put(tmp_path, rows_from([record_of(FOUR, run_id)]))
    assert spool.forget(tmp_path, "run-1") == 1
    (left,) = spool.waiting(tmp_path)
    assert left.name.endswith("-run-1-2.json.gz")

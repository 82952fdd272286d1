from __future__ import annotations

import re
import sqlite3
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from pytest_inferbench.errors import ConfigError, RecordError
from pytest_inferbench.records.history import database
from pytest_inferbench.records.history.database import NewerSchema, columns_of, reading, writing
from pytest_inferbench.records.history.rows import figure_columns
from tests.records.history.example_runs import fill


def _file(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def _value(url: str, statement: str) -> object:
    with reading(url) as connection:
        return connection.execute(sa.text(statement)).scalar()


def test_a_new_database_has_a_column_for_every_figure(url: str) -> None:
    fill(url, days=1)
    with reading(url) as connection:
        assert sorted(columns_of(connection)) == sorted(figure_columns())


def test_a_figure_that_is_new_is_added_and_old_results_lack_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(url, days=1)
    monkeypatch.setattr(database, "figure_columns", lambda: (*figure_columns(), "brand_new_ms"))
    with reading(url) as connection:
        assert "brand_new_ms" in columns_of(connection)
        assert connection.execute(sa.text("SELECT count(*) FROM inferbench_figures WHERE brand_new_ms IS NULL")).scalar() == 2


def test_readers_and_writers_of_sqlite_do_not_wait_for_each_other(url: str) -> None:
    fill(url, days=1)
    assert _value(url, "PRAGMA journal_mode") == "wal"
    with reading(url) as reader:
        before = reader.execute(sa.text("SELECT count(*) FROM inferbench_runs")).scalar()
        fill(url, days=2)
        assert reader.execute(sa.text("SELECT count(*) FROM inferbench_runs")).scalar() == before == 1
    assert _value(url, "SELECT count(*) FROM inferbench_runs") == 2


def test_a_database_of_a_newer_version_is_refused_and_left_alone(url: str) -> None:
    fill(url, days=1)
    with sqlite3.connect(_file(url)) as connection:
        connection.execute("UPDATE inferbench_version SET version_num = '0007'")
    connection.close()
    words = (
        f"the history {_file(url)} was written by a newer version of pytest-inferbench: its tables are of revision 0007,"
        " this version knows them up to 0002; bring this one up to date: pip install -U pytest-inferbench"
    )
    with pytest.raises(NewerSchema, match=re.escape(words)), reading(url):
        pass
    with pytest.raises(NewerSchema):
        writing(url, lambda _connection: None)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"x" * 4096, "file is not a database; move it away, or choose another one with --inferbench-store")],
)
def test_a_file_that_is_none_of_ours_is_named(url: str, content: bytes, words: str) -> None:
    _file(url).write_bytes(content)
    with pytest.raises(RecordError, match=re.escape(f"the history {_file(url)} could not be opened: {words}")), reading(url):
        pass
    assert _file(url).read_bytes() == content


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match=r"history\.sqlite could not be opened: (File exists|Not a directory); choose another"):
        writing(f"sqlite:///{tmp_path / 'file' / 'history.sqlite'}", lambda _connection: None)


def test_a_lock_that_is_held_for_too_long_is_said(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(url, days=1)
    monkeypatch.setattr(database, "_BUSY_LIMIT_S", 0.05)
    other = sqlite3.connect(_file(url), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(RecordError, match="could not be written: database is locked; others have been writing it for more than"):
        writing(url, lambda _connection: None)
    other.close()


def test_what_fails_half_way_is_as_if_it_had_never_begun(url: str) -> None:
    fill(url, days=1)

    def half(connection: sa.Connection) -> None:
        connection.execute(sa.text("DELETE FROM inferbench_figures"))
        connection.execute(sa.text("DELETE FROM nowhere"))

    with pytest.raises(RecordError, match="could not be written: no such table: nowhere"):
        writing(url, half)
    assert _value(url, "SELECT count(*) FROM inferbench_figures") == 2


class _Deadlock(Exception):
    sqlstate = "40P01"


@pytest.mark.parametrize(("failures", "calls"), [(2, 3), (99, 4)])
def test_what_the_database_wants_again_is_tried_again(
    url: str, failures: int, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_RETRY_S", 0)
    seen: list[int] = []

    def write(_connection: sa.Connection) -> str:
        seen.append(1)
        if len(seen) <= failures:
            raise exc.OperationalError("statement", {}, _Deadlock("deadlock detected"))
        return "done"

    if failures < 4:
        assert writing(url, write) == "done"
    else:
        with pytest.raises(RecordError, match="deadlock detected"):
            writing(url, write)
    assert len(seen) == calls


def test_without_the_driver_of_postgresql_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with (
        pytest.raises(ConfigError, match=re.escape("pip install 'pytest-inferbench[postgres]'")),
        reading("postgresql+psycopg://h/d"),
    ):
        pass


def test_a_url_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match="--inferbench-store: postgresql://host:port/db is no URL of a database"):
        writing("postgresql+psycopg://host:port/db", lambda _connection: None)

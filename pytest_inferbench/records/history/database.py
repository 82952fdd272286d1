"""
The one door to the database: opened, brought up to the schema of now, and its troubles in words for people.

Rule: SQLAlchemy's own errors end here, since they quote statements and values. Whoever writes holds the only write lock of
SQLite from the beginning, so that no two writers ever wait for each other.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.pool import NullPool

from pytest_inferbench.errors import ConfigError, RecordError
from pytest_inferbench.records.history.place import file_of, shown
from pytest_inferbench.records.history.rows import figure_columns
from pytest_inferbench.records.history.schema import FIGURES, REVISION, VERSION_TABLE
from pytest_inferbench.redaction import redact_text

Connection = sa.Connection
"""What questions are asked of; for those who do not know the library behind it."""

_BUSY_LIMIT_S = 20
_CONNECT_LIMIT_S = 5
_STATEMENT_LIMIT_S = 60
_TRIES = 4
_RETRY_S = 0.1
# What PostgreSQL says of two transactions of which one is to try again: serialization_failure, deadlock_detected.
_TRY_AGAIN = ("40001", "40P01")
# Held while tables are made or changed; any number that nobody else uses.
_MIGRATION_LOCK = 0x1F_BE_4C
_MISSING_DRIVER = "the driver of PostgreSQL is missing: pip install 'pytest-inferbench[postgres]'"


_ADVICE = {
    "database is locked": f"others have been writing it for more than {_BUSY_LIMIT_S} s; try again",
    "disk is full": "free some space",
    "readonly database": "change its permissions, or choose another one with --inferbench-store",
    "unable to open": "change the permissions of its folder, or choose another one with --inferbench-store",
    "malformed": "it is damaged: move it away, and bring runs back with inferbench history import RUN",
    "not a database": "move it away, or choose another one with --inferbench-store",
}
_SERVER_ADVICE = "see that the server is up, that this user may use it, and that the URL is right (--inferbench-store)"
Answer = TypeVar("Answer")


class NewerSchema(RecordError):
    """A newer version of the plugin has been here."""


@contextmanager
def reading(url: str) -> Iterator[sa.Connection]:
    """
    A transaction that only reads.

    Raises:
        ConfigError: the driver is missing, or the URL is wrong.
        RecordError: there is no history yet, it cannot be reached, or a newer version has written it.
    """
    file = file_of(url)
    if file is not None and not file.exists():
        raise RecordError(f"there is no history yet at {file}: run a suite, or bring runs in with inferbench history import RUN")
    with _opened(url) as engine, _in_words(url, "could not be read"), _begun(engine, writing=False) as connection:
        yield connection


def writing(url: str, write: Callable[[sa.Connection], Answer]) -> Answer:
    """
    What ``write`` returns, called in a transaction of its own; again where the database asks for it.

    Raises:
        ConfigError: the driver is missing, or the URL is wrong.
        RecordError: the database cannot be reached or written, or a newer version has written it.
    """
    with _opened(url) as engine, _in_words(url, "could not be written"):
        for attempt in range(_TRIES):
            try:
                with _begun(engine, writing=True) as connection:
                    return write(connection)
            except exc.OperationalError as error:
                if getattr(error.orig, "sqlstate", None) not in _TRY_AGAIN or attempt == _TRIES - 1:
                    raise
            time.sleep(_RETRY_S * 2**attempt)
    raise AssertionError("unreachable")


def columns_of(connection: sa.Connection) -> tuple[str, ...]:
    """The figures that this database has a column for."""
    found = sa.inspect(connection).get_columns(FIGURES)
    return tuple(each["name"] for each in found if each["name"] != "result_id")


@contextmanager
def _opened(url: str) -> Iterator[sa.Engine]:
    """The database, with the tables of now."""
    file = file_of(url)
    with _in_words(url, "could not be opened"):
        if file is not None:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        engine = _engine(url)
        try:
            _bring_up(engine, url)
        except BaseException:
            engine.dispose()
            raise
    try:
        yield engine
    finally:
        engine.dispose()


def _engine(url: str) -> sa.Engine:
    try:
        sa.make_url(url)
    except (exc.ArgumentError, ValueError) as error:
        raise ConfigError(f"{shown(url)} is no URL of a database", file="--inferbench-store") from error
    if file_of(url) is None:
        # A server that went away is noticed, rather than waited for.
        alive = {"keepalives_idle": 5, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000}
        engine = sa.create_engine(
            url, poolclass=NullPool, hide_parameters=True, connect_args={"connect_timeout": _CONNECT_LIMIT_S, **alive}
        )
        sa.event.listen(engine, "connect", _begin_postgres)
    else:
        engine = sa.create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": _BUSY_LIMIT_S})
        sa.event.listen(engine, "connect", _begin_sqlite)
        sa.event.listen(engine, "begin", _begin_transaction)
    return engine


def _begin_postgres(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET statement_timeout = '{_STATEMENT_LIMIT_S}s'")
    connection.commit()


def _begin_sqlite(connection: Any, _record: object) -> None:
    # Transactions are begun by ourselves, below; the driver would begin them late, and none for a table.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    # Others may hold the file just now; whoever opens it next turns it on.
    with suppress(sqlite3.OperationalError):
        cursor.execute("PRAGMA journal_mode = WAL")
    # What was committed is on the disk even where the power goes: only then may the spool forget it.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def _begin_transaction(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writing") else "BEGIN")


@contextmanager
def _begun(engine: sa.Engine, *, writing: bool) -> Iterator[sa.Connection]:
    with engine.connect().execution_options(writing=writing) as connection, connection.begin():
        yield connection


# --- the schema ---------------------------------------------------------------------------------------------------------------


def _bring_up(engine: sa.Engine, url: str) -> None:
    with _begun(engine, writing=False) as connection:
        if _revision(connection, url) == REVISION and not _missing_figures(connection):
            return
    with _begun(engine, writing=True) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        # Another process may have been faster.
        if _revision(connection, url) != REVISION:
            upgrade(connection, "head")
        kind = sa.Double().compile(dialect=engine.dialect)
        for name in _missing_figures(connection):
            connection.exec_driver_sql(f'ALTER TABLE {FIGURES} ADD COLUMN "{name}" {kind}')


def upgrade(connection: sa.Connection, revision: str) -> None:
    """Run the revisions up to ``revision``, in the transaction of the connection."""
    from alembic import command  # noqa: PLC0415 - only a new or an old database needs it
    from alembic.config import Config  # noqa: PLC0415 - as above

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _revision(connection: sa.Connection, url: str) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.execute(sa.select(sa.column("version_num")).select_from(sa.table(VERSION_TABLE))).scalar()
    if found is not None and found > REVISION:
        raise NewerSchema(
            f"the history {shown(url)} was written by a newer version of pytest-inferbench: its tables are of revision {found},"
            f" this version knows them up to {REVISION}; bring this one up to date: pip install -U pytest-inferbench"
        )
    return None if found is None else str(found)


def _missing_figures(connection: sa.Connection) -> tuple[str, ...]:
    known = columns_of(connection) if sa.inspect(connection).has_table(FIGURES) else ()
    return tuple(name for name in figure_columns() if name not in known)


# --- in words -----------------------------------------------------------------------------------------------------------------


@contextmanager
def _in_words(url: str, what: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise ConfigError(_MISSING_DRIVER if file_of(url) is None else f"SQLite is missing in this Python: {error}") from error
    except exc.SQLAlchemyError as error:
        words = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        advice = next((advice for part, advice in _ADVICE.items() if part in words), None)
        advice = advice or (
            _SERVER_ADVICE if file_of(url) is None else "move it away, or choose another one with --inferbench-store"
        )
        raise RecordError(f"the history {shown(url)} {what}: {redact_text(words)}; {advice}") from error
    except OSError as error:
        raise RecordError(
            f"the history {shown(url)} {what}: {error.strerror or error}; choose another one with --inferbench-store"
        ) from error

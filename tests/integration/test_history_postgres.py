"""The history in a PostgreSQL server of its own, started here; the checks are those that SQLite passes, too."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from pytest_inferbench.errors import RecordError
from pytest_inferbench.records.history import spool, store
from pytest_inferbench.records.history.database import reading, writing
from pytest_inferbench.records.history.deliver import record_run, send_waiting
from pytest_inferbench.records.history.frames import load_history
from pytest_inferbench.records.history.place import store_url
from tests.records.history.example_runs import EIGHT, FOUR, KILLED, fill, record_of, rows_from
from tests.records.history.store_checks import CHECKS

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'pytest-inferbench[postgres]'")
ROOT = Path(__file__).parents[2]
START_LIMIT_S = 120
_PROGRAMS = ("initdb", "pg_ctl", "createdb")


class Server:
    """A PostgreSQL server that listens at a socket in a folder of its own and lets everybody in."""

    def __init__(self, programs: Path, folder: Path, user: str | None) -> None:
        self._programs = programs
        self._folder = folder
        self._user = user
        self._databases = 0
        self._run("initdb", "-D", self._data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync")

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def start(self) -> None:
        options = f"-k {self._folder} -c listen_addresses= -c fsync=off"
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", self._data, "-w", "-t", str(START_LIMIT_S), "-l", log, "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")

    def new_database(self) -> str:
        """The URL of a database that nobody has used."""
        self._databases += 1
        name = f"history_{self._databases}"
        self._run("createdb", "-h", str(self._folder), "-U", "postgres", name)
        found = store_url(f"postgresql://postgres:geheim@/{name}?host={self._folder}")
        assert found is not None
        return found

    def _run(self, program: str, *arguments: str) -> None:
        # Its programs refuse to run as root. What is left running must not hold a pipe of ours open.
        output = self._folder / "output"
        with output.open("w") as file:
            done = subprocess.run(
                [str(self._programs / program), *arguments],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                check=False,
                user=self._user,
                group=pwd.getpwnam(self._user).pw_gid if self._user else None,
                extra_groups=[] if self._user else None,
            )
        assert done.returncode == 0, f"{program}: {output.read_text()}"


def _programs() -> Path | None:
    """The folder of PostgreSQL's programs, which Debian keeps out of the path."""
    found = shutil.which("initdb")
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), *([Path(found).resolve().parent] if found else [])]
    return next((folder for folder in folders if all((folder / each).exists() for each in _PROGRAMS)), None)


def _other_user() -> str | None:
    """Who runs the server: this user, or somebody else where this one is root."""
    if os.geteuid() != 0:
        return None
    known = {each.pw_name for each in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in known:
            return name
    pytest.skip("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    programs = _programs()
    if programs is None:
        pytest.skip("there is no PostgreSQL: apt-get install postgresql")
    user = _other_user()
    # A socket's path is short, and pytest's own folders are closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="inferbench-pg-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        running = Server(programs, folder, user)
        running.start()
        yield running
        running.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def url(server: Server) -> str:
    return server.new_database()


@pytest.fixture(autouse=True)
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_in_postgresql(check: Callable[[str], None], url: str) -> None:
    check(url)


def test_a_database_that_nobody_has_used_has_no_rows(url: str) -> None:
    assert len(load_history(url)) == 0


def test_a_newer_one_is_refused(url: str) -> None:
    fill(url, days=1)
    writing(url, lambda connection: connection.execute(sa.text("UPDATE inferbench_version SET version_num = '0007'")))
    with pytest.raises(RecordError, match="was written by a newer version of pytest-inferbench") as told, reading(url):
        pass
    assert "geheim" not in str(told.value)


def test_what_fails_half_way_is_as_if_it_had_never_begun(url: str) -> None:
    fill(url, days=1)

    def half(connection: sa.Connection) -> None:
        connection.execute(sa.text("DELETE FROM inferbench_figures"))
        connection.execute(sa.text("DELETE FROM nowhere"))

    with pytest.raises(RecordError, match='relation "nowhere" does not exist'):
        writing(url, half)
    assert len(load_history(url)) == 2


def test_a_writer_that_is_killed_loses_nothing(url: str, tmp_path: Path) -> None:
    store.keep(url, rows_from([record_of(FOUR, "run-1")]))
    command = [sys.executable, "-c", KILLED, str(tmp_path), url]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert list(load_history(url)["run_id"]) == ["run-1"]
    assert send_waiting(url) == ()
    assert sorted(set(load_history(url)["run_id"])) == ["run-1", "run-2"]


def test_runs_wait_while_the_server_is_away_and_are_sent_when_it_is_back(server: Server, url: str, tmp_path: Path) -> None:
    store.keep(url, rows_from([record_of(FOUR, "run-1")]))
    server.stop()
    try:
        told = " ".join(record_run(tmp_path, url=url, records=[record_of(FOUR, "run-2"), record_of(EIGHT, "run-2")]))
    finally:
        server.start()
    assert "could not be opened" in told
    assert "1 run waits for the history" in told
    assert "geheim" not in told
    (file,) = spool.waiting(spool.folder_of(url))
    assert record_run(tmp_path, url=url, records=[record_of(FOUR, "run-3")]) == ()
    assert sorted(load_history(url)["run_id"]) == ["run-1", "run-2", "run-2", "run-3"]
    assert not file.exists()

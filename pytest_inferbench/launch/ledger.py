"""
What was started and not yet ended: one small file an entry, in a folder of the user, for whoever outlives those who started it.

Rule: standard library only, since the watchdog reads it in an interpreter of its own. An entry is written before the thing is
there and goes when the thing is gone, so it may name something that never came to be; it never misses something that did. It
holds no secret: no environment, and a command line only as it may be shown.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch import ownership

Kind = Literal["process", "container", "network", "folder", "file"]
STATE_VARIABLE = "INFERBENCH_STATE"
TEMPORARY = re.compile(r"inferbench-[0-9a-f]{16}")
"""What temporary folders are called."""
JOURNAL = re.compile(r"\.telemetry-[0-9a-f]{8}\.jsonl")
"""What the files are called in which a load's telemetry is kept until the load is over."""
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """
    How a server that was kept is reached, and what is known of it.

    ``command`` and ``image_digest`` are as in `Endpoint`, secrets taken out; ``ready_path`` answers 200 while it is up; ``gpus``
    are uuids.
    """

    url: str
    engine: str
    model: str
    engine_version: str | None = None
    command: tuple[str, ...] = ()
    log: str | None = None
    ready_path: str = "/health"
    started_in_s: float | None = None
    gpus: tuple[str, ...] = ()
    image_digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    One thing that was started.

    Attributes:
        kind: what it is.
        name: the number of a process (empty before it has one), the name or id of a container or network, the path of a folder or
            file.
        started: of a process, `ownership.start_time`: with its number, its name.
        token: unique; the mark in a process's environment, too.
        labels: whose it is, as `ownership.labels_for` says it.
        reach: of a server that is to outlive its run; None for what is to end with it.
    """

    kind: Kind
    name: str
    token: str
    labels: Mapping[str, str]
    started: str = ""
    reach: Reach | None = None

    @property
    def run_id(self) -> str:
        """The run that started it; empty where there was none."""
        return self.labels.get(ownership.RUN, "")

    @property
    def key(self) -> str:
        """The server's key; empty for what is no server's."""
        return self.labels.get(ownership.KEY, "")

    @property
    def owner_pid(self) -> int:
        """The process that started it."""
        text = self.labels.get(ownership.OWNER, "")
        return int(text) if text.isdecimal() else 0


def record(kind: Kind, name: str, *, run_id: str, key: str = "") -> Entry:
    """
    Note down something that is about to be started by this process.

    Raises:
        EngineError: it cannot be written; without a note nobody could clean up, so nothing is to be started.
    """
    entry = Entry(kind=kind, name=name, token=secrets.token_hex(8), labels=ownership.labels_for(run_id, key))
    _write(entry)
    return entry


def found(entry: Entry, *, pid: int) -> Entry:
    """
    The entry of a process that has its number by now.

    Raises:
        EngineError: it cannot be written.
    """
    entry = replace(entry, name=str(pid), started=ownership.start_time(pid) or "")
    _write(entry)
    return entry


def keep(entry: Entry, reach: Reach) -> Entry:
    """
    Let a server outlive this process: from now on only `inferbench down` ends it.

    Raises:
        EngineError: it cannot be written.
    """
    entry = replace(entry, reach=reach)
    _write(entry)
    return entry


def forget(entry: Entry) -> None:
    """Strike an entry out: the thing is gone. Safe to call twice."""
    with suppress(OSError):
        _path(entry).unlink()


def entries() -> tuple[Entry, ...]:
    """All entries of this user, whoever's they are, those of one run together; what is no entry is passed over."""
    every = (_read(path) for path in _files())
    return tuple(sorted((entry for entry in every if entry is not None), key=lambda each: (each.run_id, each.token)))


def kept(key: str) -> tuple[Entry, ...]:
    """The servers of this key on this host that were kept; whether one still answers is another question."""
    host = ownership.this_place().host
    return tuple(entry for entry in entries() if entry.reach and entry.key == key and entry.labels.get(ownership.HOST) == host)


@contextmanager
def temporary_folder(run_id: str) -> Iterator[Path]:
    """A folder for the length of a block, which goes even when this process is killed in it."""
    path = Path(tempfile.gettempdir(), f"inferbench-{secrets.token_hex(8)}")
    entry = record("folder", str(path), run_id=run_id)
    try:
        path.mkdir(mode=0o700)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            forget(entry)


@contextmanager
def passing_file(path: Path) -> Iterator[None]:
    """Let a file that is somebody's for the length of a block go, even when this process is killed in it."""
    entry = None
    # Nothing is lost where no note can be made: then the file stays behind after a kill, and harms nobody.
    with suppress(EngineError):
        entry = record("file", str(path.absolute()), run_id="")
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        if entry is not None and not path.exists():
            forget(entry)


def folder() -> Path:
    """
    Where the entries are: ``$INFERBENCH_STATE``, else ``pytest-inferbench`` in ``$XDG_STATE_HOME`` (default: ``~/.local/state``),
    else, where that cannot be written, a folder of the user in ``/tmp``.

    Raises:
        EngineError: there is no such place that this user alone can write to.
    """
    asked = os.environ.get(STATE_VARIABLE)
    if asked:
        return _usable(Path(asked).expanduser().absolute())
    try:
        return _usable(_home())
    except EngineError:
        return _usable(Path(tempfile.gettempdir(), f"pytest-inferbench-{os.getuid()}"))


def _home() -> Path:
    base = os.environ.get("XDG_STATE_HOME", "")
    # A relative path there is to be ignored, says the XDG Base Directory Specification.
    root = Path(base) if Path(base).is_absolute() else Path(os.path.expanduser("~"), ".local", "state")  # noqa: PTH111 - never raises
    return root / "pytest-inferbench"


def _usable(path: Path) -> Path:
    if not path.is_absolute():
        raise EngineError(_unusable(path, "this user has no home"))
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.lstat()
    except OSError as error:
        raise EngineError(_unusable(path, error.strerror or str(error))) from error
    # Whoever can write here can have processes ended in this user's name.
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise EngineError(_unusable(path, "it is not a folder that this user alone can write to"))
    if not os.access(path, os.W_OK | os.X_OK):
        raise EngineError(_unusable(path, "it cannot be written"))
    return path


def _unusable(path: Path, why: str) -> str:
    return (
        f"{path} cannot be used to note down what is started, so that it can be ended whatever happens: {why}; "
        f"name another folder in the environment variable {STATE_VARIABLE}"
    )


def _files() -> Iterator[Path]:
    try:
        place = folder()
    except EngineError:
        return  # then nothing was ever noted down
    yield from place.glob("*-*.json")


def _path(entry: Entry) -> Path:
    # The owner's number first: a watchdog sees by names alone whether there is anything to do.
    return folder() / f"{entry.owner_pid}-{entry.token}.json"


def _write(entry: Entry) -> None:
    path = _path(entry)
    temporary = path.with_suffix(".part")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"version": _VERSION, **asdict(entry)}, file)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise EngineError(_unusable(path.parent, error.strerror or str(error))) from error


def _read(path: Path) -> Entry | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return _entry(value) if value["version"] == _VERSION else None
    except (OSError, ValueError, TypeError, KeyError):
        return None  # it has just gone, or was written by nobody of us


def _entry(value: dict[str, Any]) -> Entry:
    kind, reach = value["kind"], value["reach"]
    if kind not in get_args(Kind):
        raise ValueError(kind)
    return Entry(
        kind=cast("Kind", kind),
        name=str(value["name"]),
        token=str(value["token"]),
        labels={str(name): str(text) for name, text in value["labels"].items()},
        started=str(value["started"]),
        reach=None if reach is None else Reach(**{**reach, "command": tuple(reach["command"]), "gpus": tuple(reach["gpus"])}),
    )

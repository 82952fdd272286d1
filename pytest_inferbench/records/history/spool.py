"""
Runs on their way to the history: a file each, until the database has them.

Rule: a file is written whole, never changed, and gone only when the database has answered. Files of one database lie in one
folder, whose name follows from its URL without secrets.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pytest_inferbench.errors import RecordError
from pytest_inferbench.records.files import replacing
from pytest_inferbench.records.history.place import data_folder, shown
from pytest_inferbench.records.history.rows import RunRows, from_text, to_text
from pytest_inferbench.records.run_directory import safe_name

RUNS_MAX = 1_000
BYTES_MAX = 256 * 2**20
_ENDING = ".json.gz"
_BROKEN = ".broken"


def folder_of(url: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Where runs wait for the database of this URL."""
    name = hashlib.sha256(shown(url).encode()).hexdigest()[:16]
    return data_folder(environment) / "spool" / name


def put(folder: Path, rows: RunRows) -> Path:
    """
    Have a run wait; it is on the disk when this returns.

    Raises:
        RecordError: there is no room for it, or it cannot be written; says what to do.
    """
    there = waiting(folder)
    if len(there) >= RUNS_MAX or sum(map(_size, there)) >= BYTES_MAX:
        raise RecordError(
            f"{folder} is full: {len(there)} runs wait there for the history, {RUNS_MAX} or {BYTES_MAX // 2**20} MiB at most"
        )
    path = folder / f"{rows.written_us:020d}-{safe_name(rows.run_id)}{_ENDING}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(gzip.compress(to_text(rows).encode(), compresslevel=1))
    except (RecordError, OSError) as error:
        # What `replacing` advises is about the folder of a run, and this is another one.
        cause = error.__cause__ or error
        raise RecordError(f"{path} could not be written: {getattr(cause, 'strerror', None) or cause}") from error
    return path


def waiting(folder: Path) -> list[Path]:
    """The runs that wait, oldest first."""
    return sorted(folder.glob(f"*{_ENDING}"))


def take(path: Path) -> RunRows | None:
    """
    A run that waits; None where somebody else has sent it meanwhile.

    Raises:
        RecordError: it cannot be read; it is out of the way then, under a name that says so.
    """
    try:
        return from_text(gzip.decompress(path.read_bytes()).decode())
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError) as error:
        aside = path.with_name(path.name + _BROKEN)
        with suppress(OSError):
            path.replace(aside)
        raise RecordError(
            f"{aside} is no run that could be sent to the history ({error}); bring it in with inferbench history import RUN"
        ) from error


def done(path: Path) -> None:
    """The database has it."""
    path.unlink(missing_ok=True)


def forget(folder: Path, run_id: str) -> int:
    """Take a run out of those that wait; how many files that were."""
    name = safe_name(run_id)
    files = [path for path in waiting(folder) if path.name.partition("-")[2] == f"{name}{_ENDING}"]
    for path in files:
        done(path)
    return len(files)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # sent meanwhile

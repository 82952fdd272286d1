"""
How files of a run are written: whole or not at all.

Rule: nothing in records opens a file for writing except through this module. Content goes to a temporary neighbour, to the disk,
and then takes its name, so that a reader (or a run that was killed) never sees half a file.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pytest_inferbench.errors import RecordError

_ADVICE = {
    errno.ENOSPC: "the disk is full: free some space, or choose another folder with --inferbench-output",
    errno.EDQUOT: "the disk quota is used up: free some space, or choose another folder with --inferbench-output",
    errno.EACCES: "it may not be written: choose another folder with --inferbench-output, or change its permissions",
    errno.EPERM: "it may not be written: choose another folder with --inferbench-output, or change its permissions",
    errno.EROFS: "it is on a read-only file system: choose another folder with --inferbench-output",
    errno.ENOTDIR: "a part of its path is a file: choose another folder with --inferbench-output",
    errno.ENAMETOOLONG: "its path is too long: choose a shorter one with --inferbench-output",
}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """
    A temporary file to write, which becomes ``path`` when the block ends well and is gone when it does not.

    Raises:
        RecordError: the disk is full, the folder cannot be written, or the like; names the path and what to do.
    """
    temporary = _neighbour(path)
    with writing(path):
        try:
            yield temporary
            _to_disk(temporary)
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        _to_disk(path.parent)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the operating system says while ``path`` is written into a `RecordError` that says what to do."""
    try:
        yield
    except OSError as error:
        words = _ADVICE.get(error.errno or 0, f"{error.strerror or error}; choose another folder with --inferbench-output")
        raise RecordError(f"{path} could not be written: {words}") from error


def write_text(path: Path, text: str) -> None:
    """
    Write a text file in UTF-8, whole or not at all.

    Raises:
        RecordError: it could not be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, value: Any) -> None:
    """
    Write valid JSON for people and programs, whole or not at all.

    Raises:
        RecordError: it could not be written.
        ValueError: it holds NaN or an infinity, which JSON has no word for.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_json_once(path: Path, value: Any) -> None:
    """
    Write JSON that is never to change: a file that is there already is left as it is.

    Raises:
        RecordError: there is such a file already, or it could not be written.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    temporary = _neighbour(path)
    with writing(path):
        try:
            temporary.write_text(text, encoding="utf-8")
            _to_disk(temporary)
            temporary.chmod(0o444)
            # A link fails where a rename would overwrite.
            os.link(temporary, path)
        except FileExistsError as error:
            raise RecordError(f"{path} is there already and is never written twice; choose another folder") from error
        finally:
            with suppress(OSError):
                temporary.unlink()


def read_json(path: Path) -> Any:
    """
    Read a JSON file of a run.

    Raises:
        RecordError: it is not there or not JSON; names the path.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordError(f"{path} could not be read: {error.strerror or error}") from error
    except ValueError as error:
        raise RecordError(f"{path} is not JSON ({error}); was it written by pytest-inferbench, and whole?") from error


def _neighbour(path: Path) -> Path:
    """A new name beside ``path``: two writers of one file of a run never share it, and the last one wins whole."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

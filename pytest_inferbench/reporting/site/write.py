"""
Puts a site into its folder.

Rule: a reader never sees half a site. Files are written under temporary names and take their names whole; data and assets, whose
names hold a hash of their content, come first, then the pages that name them; what only the site before the last one needed is
removed at the end. Files that this did not write are never touched.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pytest_inferbench.errors import RecordError

MANIFEST = "inferbench-site.json"
_WRITTEN_BY = "inferbench site"
# What the list of an earlier site may make this remove; its text may have been changed by anybody.
_REMOVABLE = re.compile(r"(data|assets)/[a-z0-9-]+\.(js|css)")
_NAMED_MAX = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """What is in a folder by its manifest: of the last site, and what the one before it needed."""

    files: frozenset[str] = frozenset()
    previous: frozenset[str] = frozenset()


def write_site(folder: Path, *, files: Mapping[str, bytes], pages: Mapping[str, bytes]) -> None:
    """
    Put ``files``, and then the ``pages`` that name them, into the folder, which is made where it is not there.

    Those of the site before stay beside them until the next time, for people who have it open.

    Raises:
        RecordError: the folder holds files that this did not write, or it cannot be written.
    """
    before = check_folder(folder)
    new = frozenset({*files, *pages})
    with _saying(folder):
        for part in (folder, *(folder / each for each in ("data", "assets"))):
            part.mkdir(parents=True, exist_ok=True)
        # First of all, so that a folder in which this was killed is known again.
        _manifest(folder, _Written(files=new | before.files, previous=before.previous))
        for name, content in files.items():
            if not (folder / name).is_file():
                _replace(folder / name, content)
        for name, content in pages.items():
            _replace(folder / name, content)
        for name in (before.files | before.previous) - new - before.files:
            _remove(folder, name)
        _manifest(folder, _Written(files=new, previous=before.files - new))


def check_folder(folder: Path) -> _Written:
    """
    What this wrote into the folder before; nothing for one that is empty or not there.

    Raises:
        RecordError: it holds files, and this did not write them.
    """
    manifest = folder / MANIFEST
    with _saying(folder):
        if manifest.is_file() and (written := _read(manifest)) is not None:
            return written
        if folder.exists() and (others := sorted(each.name for each in folder.iterdir())):
            raise RecordError(
                f"{folder} holds files that inferbench site did not write ({_some(others)}) and is left as it is;"
                " name a folder that is new, empty, or was written by it before"
            )
    return _Written()


def _read(manifest: Path) -> _Written | None:
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
        if content["written_by"] != _WRITTEN_BY:
            return None
        return _Written(files=frozenset(map(str, content["files"])), previous=frozenset(map(str, content["previous"])))
    except (ValueError, KeyError, TypeError):
        return None


def _manifest(folder: Path, written: _Written) -> None:
    content = {"written_by": _WRITTEN_BY, "files": sorted(written.files), "previous": sorted(written.previous)}
    _replace(folder / MANIFEST, (json.dumps(content, indent=1) + "\n").encode())


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_NAMED_MAX])
    return shown if len(names) <= _NAMED_MAX else f"{shown} and {len(names) - _NAMED_MAX} more"


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def _remove(folder: Path, name: str) -> None:
    if _REMOVABLE.fullmatch(name) and not (folder / name).parent.is_symlink():
        (folder / name).unlink(missing_ok=True)


@contextmanager
def _saying(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RecordError(
            f"the site could not be written to {folder}: {error.strerror or error}; name another folder, or make room in it"
        ) from error

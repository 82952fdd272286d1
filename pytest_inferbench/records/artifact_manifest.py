"""
What is in an uploaded run: every file with its size and SHA-256, as ``artifact.json`` beside them.

Rule: it is uploaded last, so a run that has one is there completely. Whoever fetches trusts no word of it before it was checked
here: paths stay inside the run's folder, and sizes are within limits.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_inferbench.errors import RecordError
from pytest_inferbench.records.files import read_json
from pytest_inferbench.records.run_directory import RUN_FILE

ARTIFACT_FILE = "artifact.json"
SCHEMA_VERSION = 1
FILES_MAX = 500_000
MANIFEST_BYTES_MAX = 256 * 1024 * 1024
CHUNK_BYTES = 1024 * 1024
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,149}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PART_BYTES_MAX = 255
_PATH_BYTES_MAX = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file: ``path`` is relative to the run's folder, with ``/`` between its parts."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactManifest:
    """All files of a run, by path."""

    run_id: str
    files: tuple[Entry, ...]

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(each.size_bytes for each in self.files)


def run_id_of(run_dir: Path) -> str:
    """
    Which run a folder holds.

    Raises:
        RecordError: it does not say, or its name cannot be one of a folder.
    """
    path = run_dir / RUN_FILE
    holder = read_json(path)
    found = holder.get("run_id") if isinstance(holder, dict) else None
    if not isinstance(found, str) or not _RUN_ID.fullmatch(found):
        raise RecordError(f"{path} does not say which run it is; was it written by pytest-inferbench?")
    return found


def manifest_of(run_dir: Path) -> ArtifactManifest:
    """
    What a run's folder holds now; files that are just being written, and links, are left out.

    Raises:
        RecordError: it is no run's folder, or a file cannot be read or cannot have its name elsewhere.
    """
    run_id = run_id_of(run_dir)
    files = tuple(entry_of(run_dir, path) for path in files_in(run_dir))
    return _checked(ArtifactManifest(run_id=run_id, files=files), str(run_dir))


def files_in(folder: Path) -> list[Path]:
    """The files below a folder that belong to a run, sorted; no links, and nothing that is still being written."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink() and not _unfinished(path))


def entry_of(run_dir: Path, path: Path) -> Entry:
    """
    One file of a run, read from its beginning to its end.

    Raises:
        RecordError: it cannot be read.
    """
    digest, size_bytes = hashlib.sha256(), 0
    try:
        for chunk in chunks_of(path):
            digest.update(chunk)
            size_bytes += len(chunk)
    except OSError as error:
        raise RecordError(f"{path} could not be read: {error.strerror or error}") from error
    return Entry(path=path.relative_to(run_dir).as_posix(), size_bytes=size_bytes, sha256=digest.hexdigest())


def chunks_of(path: Path) -> Iterator[bytes]:
    """A file in pieces."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def manifest_text(manifest: ArtifactManifest) -> str:
    """The text of ``artifact.json``; the same files give the same text."""
    files = [{"path": each.path, "size_bytes": each.size_bytes, "sha256": each.sha256} for each in manifest.files]
    value = {"schema_version": SCHEMA_VERSION, "run_id": manifest.run_id, "files": files}
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def parse_manifest(data: bytes, where: str) -> ArtifactManifest:
    """
    The manifest of an uploaded run.

    Raises:
        RecordError: it is none, of another version, or names files that must not be written; ``where`` names it.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{where} is not JSON ({error}); the run must be uploaded again, with --overwrite") from error
    version = value.get("schema_version") if isinstance(value, dict) else None
    if version != SCHEMA_VERSION:
        raise RecordError(f"{where} has schema version {version}, and this version of pytest-inferbench reads {SCHEMA_VERSION}")
    run_id, files = value.get("run_id"), value.get("files")
    if not isinstance(run_id, str) or not _RUN_ID.fullmatch(run_id):
        raise RecordError(f"{where} names no run that could be a folder; it is refused")
    if not isinstance(files, list) or not files:
        raise RecordError(f"{where} lists no files; it is refused")
    return _checked(ArtifactManifest(run_id=run_id, files=tuple(_entry(each, where) for each in files)), where)


def path_trouble(path: str) -> str | None:
    """Why a path must not be used below a run's folder, in a few words; None where it may."""
    parts = path.split("/")
    troubles = (
        (not path or path.startswith("/"), "it is not a path below the run's folder"),
        (any(part in {"", ".", ".."} for part in parts), "it leads through '.', '..' or nothing"),
        ("\\" in path or not path.isprintable(), "it holds a backslash, or a character that cannot be shown"),
        (len(_bytes(path)) > _PATH_BYTES_MAX, f"it is longer than {_PATH_BYTES_MAX} bytes"),
        (any(len(_bytes(part)) > _PART_BYTES_MAX for part in parts), f"a part of it is longer than {_PART_BYTES_MAX} bytes"),
        (path == ARTIFACT_FILE, "it has the name of the manifest itself"),
    )
    return next((words for wrong, words in troubles if wrong), None)


def _bytes(text: str) -> bytes:
    # A lone surrogate is not printable, which is said; here it only has to have a length.
    return text.encode(errors="replace")


def _unfinished(path: Path) -> bool:
    return (path.name.startswith(".") and path.name.endswith(".part")) or path.name == ARTIFACT_FILE


def _entry(value: Any, where: str) -> Entry:
    fields = value if isinstance(value, dict) else {}
    path, size_bytes, sha256 = (fields.get(name) for name in ("path", "size_bytes", "sha256"))
    if not isinstance(path, str) or type(size_bytes) is not int or size_bytes < 0:
        raise RecordError(f"{where} has an entry without a path and a size; it is refused")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise RecordError(f"{where} has no SHA-256 of {path!r}; it is refused")
    return Entry(path=path, size_bytes=size_bytes, sha256=sha256)


def _checked(manifest: ArtifactManifest, where: str) -> ArtifactManifest:
    paths = [each.path for each in manifest.files]
    for path in paths:
        if trouble := path_trouble(path):
            raise RecordError(f"{where} names the file {path!r}, which is refused: {trouble}")
    if len(paths) > FILES_MAX:
        raise RecordError(f"{where} has {len(paths)} files, more than {FILES_MAX}; it is refused")
    if both := _claimed_twice(paths):
        raise RecordError(f"{where} names the file {both!r} twice, or as a folder as well; it is refused")
    if RUN_FILE not in paths:
        raise RecordError(f"{where} has no {RUN_FILE}, so it is no run")
    return manifest


def _claimed_twice(paths: Sequence[str]) -> str | None:
    """A path that stands there twice, or that is a folder of another one."""
    seen: set[str] = set()
    for path in paths:
        if path in seen:
            return path
        seen.add(path)
    folders = {path[:i] for path in seen for i, letter in enumerate(path) if letter == "/"}
    return next((path for path in paths if path in folders), None)

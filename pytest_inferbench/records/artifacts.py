"""
Runs that are sent to a bucket or a folder, and brought back.

Rule: a run is there when its manifest is, which is sent last; what is there is not changed unless somebody says so. What was
interrupted is gone on with: a file whose content is there is not sent again, and a run that is fetched gets its name when every
file of it is whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_inferbench.errors import ConfigError, RecordError
from pytest_inferbench.records.artifact_manifest import (
    ARTIFACT_FILE,
    MANIFEST_BYTES_MAX,
    ArtifactManifest,
    Entry,
    entry_of,
    manifest_of,
    manifest_text,
    parse_manifest,
    run_id_of,
)
from pytest_inferbench.records.artifact_store import NotThere, Store
from pytest_inferbench.records.files import replacing, writing
from pytest_inferbench.records.run_directory import RUNS

FETCH_BYTES_MAX: Final = 100 * 10**9
"""How large a run may be to be fetched, where nobody says."""
# What one connection does is mostly waiting; more of them hardly help, and a small store has others to serve.
_SENDERS = 4
_ROUNDS = 3

Progress = Callable[[int, int, str], None]
"""Called after each file with the bytes done, those to do in all, and the file's path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """A run that is in a store now: ``files`` it has there, and how many of them, and bytes, had to be sent."""

    run_id: str
    url: str
    files: int
    sent_files: int
    sent_bytes: int

    @property
    def words(self) -> str:
        """What was done, in a sentence."""
        if not self.sent_files:
            return f"run {self.run_id} is in {self.url} already, with the same {self.files} files: nothing to do"
        return f"run {self.run_id} is in {self.url}: {self.sent_files} of {self.files} files sent, {size(self.sent_bytes)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A run that was brought back: its folder, and how many of its files, and bytes, had to be fetched."""

    run_id: str
    path: Path
    files: int
    fetched_files: int
    fetched_bytes: int

    @property
    def words(self) -> str:
        """What was done, in a sentence."""
        if not self.fetched_files:
            return f"run {self.run_id} is in {self.path} already, with the same {self.files} files: nothing to do"
        return (
            f"run {self.run_id} is in {self.path}: {self.fetched_files} of {self.files} files fetched,"
            f" {size(self.fetched_bytes)}, every SHA-256 as in its manifest"
        )


def upload_run(
    run_dir: Path, url: str, *, overwrite: bool = False, progress: Progress | None = None, store: Store | None = None
) -> Uploaded:
    """
    Send a run to ``url/<run id>``; what an interrupted upload left there is gone on with.

    ``store`` stands for the one at ``url``, for tests.

    Raises:
        ConfigError: the URL is none, holds credentials, or needs a library that is not installed.
        RecordError: it could not be sent, it changed meanwhile, or another state of the run is there and ``overwrite`` is False.
    """
    run_id = run_id_of(run_dir)
    place = (store or Store(url)).below(run_id)
    manifest = manifest_of(run_dir)
    there = _there(place, overwrite=overwrite)
    if there is not None and there != manifest:
        _may_change(there, manifest, place.url, overwrite=overwrite)
        # From here on the run is not complete, and nobody fetches half of the one and half of the other.
        place.remove(ARTIFACT_FILE)
    sent = _send(manifest, run_dir, place, progress=progress)
    if overwrite:
        _remove_strays(manifest, place)
    if there != manifest:
        place.send_whole(manifest_text(manifest).encode(), ARTIFACT_FILE)
    return Uploaded(
        run_id=run_id,
        url=place.url,
        files=len(manifest.files),
        sent_files=len(sent),
        sent_bytes=sum(each.size_bytes for each in sent),
    )


def fetch_run(
    url: str,
    folder: Path | None = None,
    *,
    root: Path | None = None,
    bytes_max: int = FETCH_BYTES_MAX,
    progress: Progress | None = None,
) -> Fetched:
    """
    Bring a run back, every file held against its SHA-256: from ``url``, or from the only run below it.

    It gets ``folder`` for its own, by default ``reports/runs/<run id>`` under ``root``.

    Raises:
        ConfigError: the URL is none, holds credentials, needs a library that is not installed, or several runs are below it.
        RecordError: there is no complete run, a file of it is damaged or must not be written, it is too large, or something else
            lies where it would go.
    """
    place, manifest = _found_run(Store(url))
    target = folder if folder is not None else (root or Path()) / RUNS / manifest.run_id
    if manifest.size_bytes > bytes_max:
        raise RecordError(
            f"{place.url} says it is {size(manifest.size_bytes)}, more than the {size(bytes_max)} that are fetched;"
            " allow more with --max-gb"
        )
    if _is_there(target, manifest):
        return _fetched(manifest, target, ())
    partial = target.with_name(f".{target.name}.fetching")
    _make_room(partial, manifest)
    got = tuple(_fetch(manifest, place, partial, progress=progress))
    _keep_only(manifest, partial)
    if run_id_of(partial) != manifest.run_id:
        raise RecordError(f"{place.url} says it is run {manifest.run_id}, and its files are of run {run_id_of(partial)}")
    with writing(target):
        partial.replace(target)
    return _fetched(manifest, target, got)


def size(size_bytes: int) -> str:
    """A size for people."""
    return f"{size_bytes / 1e6:,.1f} MB" if size_bytes >= 100_000 else f"{size_bytes:,} bytes"


# --- sending ----------------------------------------------------------------------------------------------------------------


def send_files(entries: Sequence[Entry], run_dir: Path, place: Store, *, sent: Callable[[Entry], None]) -> None:
    """
    Send files of a run, several at a time; ``sent`` is called with each that was.

    Raises:
        RecordError: one could not be sent; the others that were under way are.
    """
    with ThreadPoolExecutor(_SENDERS, "inferbench-upload") as senders:
        under_way = [(each, senders.submit(place.send, run_dir / each.path, each.path)) for each in entries]
        try:
            for entry, sending in under_way:
                sending.result()
                sent(entry)
        except BaseException:
            senders.shutdown(wait=False, cancel_futures=True)
            raise


def _there(place: Store, *, overwrite: bool) -> ArtifactManifest | None:
    """What is there completely; None where nothing is."""
    try:
        data = place.read(ARTIFACT_FILE, bytes_max=MANIFEST_BYTES_MAX)
    except NotThere:
        return None
    try:
        return parse_manifest(data, f"{place.url}/{ARTIFACT_FILE}")
    except RecordError:
        if not overwrite:
            raise
        place.remove(ARTIFACT_FILE)
        return None


def _may_change(there: ArtifactManifest, new: ArtifactManifest, url: str, *, overwrite: bool) -> None:
    if overwrite:
        return
    before, after = set(there.files), set(new.files)
    differing = sorted({each.path for each in before ^ after})
    raise RecordError(
        f"{url} holds another state of run {new.run_id}: {len(differing)} files differ, such as {differing[0]}; a run that is"
        " there is never changed unless you say so with --overwrite"
    )


def _send(manifest: ArtifactManifest, run_dir: Path, place: Store, *, progress: Progress | None) -> tuple[Entry, ...]:
    """Send what is not there, and look again until all of it is; what was sent."""
    sent: list[Entry] = []
    proven: set[str] = set()
    for round_number in range(_ROUNDS):
        missing = _missing(manifest, run_dir, place, proven)
        if not missing:
            return tuple(dict.fromkeys(sent))
        if round_number == _ROUNDS - 1:
            break
        _unchanged(missing, run_dir, was_sent=bool(sent))
        count = _Count(total_bytes=sum(each.size_bytes for each in missing), progress=progress)
        send_files(missing, run_dir, place, sent=count.add)
        sent += missing
    raise RecordError(f"{place.url}/{missing[0].path} did not arrive as it was sent, {_ROUNDS - 1} times over; try again later")


def _missing(manifest: ArtifactManifest, run_dir: Path, place: Store, proven: set[str]) -> list[Entry]:
    """What is not there with its content; what is becomes ``proven``."""
    listing = place.listing()
    for entry in manifest.files:
        found = listing.get(entry.path)
        if entry.path not in proven and found is not None and place.holds(entry, found, run_dir / entry.path):
            proven.add(entry.path)
    return [entry for entry in manifest.files if entry.path not in proven]


def _unchanged(missing: Sequence[Entry], run_dir: Path, *, was_sent: bool) -> None:
    """What did not arrive as it was may have changed here."""
    for entry in missing if was_sent else ():
        if entry_of(run_dir, run_dir / entry.path) != entry:
            raise RecordError(
                f"{run_dir / entry.path} changed while it was uploaded; upload again when nothing writes into the run any more"
            )


def _remove_strays(manifest: ArtifactManifest, place: Store) -> None:
    """What an earlier state of the run had and this one has not."""
    for path in place.listing().keys() - {each.path for each in manifest.files} - {ARTIFACT_FILE}:
        place.remove(path)


class _Count:
    """Bytes that are done."""

    def __init__(self, *, total_bytes: int, progress: Progress | None) -> None:
        self._total_bytes = total_bytes
        self._done_bytes = 0
        self._progress = progress

    def add(self, entry: Entry) -> None:
        """One more file is done."""
        self._done_bytes += entry.size_bytes
        if self._progress is not None:
            self._progress(self._done_bytes, self._total_bytes, entry.path)


# --- fetching ---------------------------------------------------------------------------------------------------------------


def _found_run(store: Store) -> tuple[Store, ArtifactManifest]:
    place = store
    try:
        data = place.read(ARTIFACT_FILE, bytes_max=MANIFEST_BYTES_MAX)
    except NotThere:
        runs = store.names_with(ARTIFACT_FILE)
        if len(runs) > 1:
            newest = ", ".join(reversed(runs[-5:]))
            raise ConfigError(f"{store.url} holds {len(runs)} runs; say which: {store.url}/RUN_ID ({newest})") from None
        if not runs:
            words = f"{store.url} holds no complete run: there is no {ARTIFACT_FILE}, which is uploaded last"
            raise RecordError(f"{words}; finish the upload with inferbench upload") from None
        place = store.below(runs[0])
        data = place.read(ARTIFACT_FILE, bytes_max=MANIFEST_BYTES_MAX)
    return place, parse_manifest(data, f"{place.url}/{ARTIFACT_FILE}")


def _fetched(manifest: ArtifactManifest, target: Path, got: Collection[Entry]) -> Fetched:
    return Fetched(
        run_id=manifest.run_id,
        path=target,
        files=len(manifest.files),
        fetched_files=len(got),
        fetched_bytes=sum(each.size_bytes for each in got),
    )


def _is_there(target: Path, manifest: ArtifactManifest) -> bool:
    """Whether the run lies there already; something else there is an error, and an empty folder is nothing."""
    if target.is_dir() and not any(target.iterdir()):
        return False
    if not target.exists() and not target.is_symlink():
        return False
    try:
        same = target.is_dir() and manifest_of(target) == manifest
    except RecordError:
        same = False
    if not same:
        raise RecordError(f"{target} is there, and is not the run as it was uploaded; nothing is overwritten: give another DIR")
    return True


def _make_room(partial: Path, manifest: ArtifactManifest) -> None:
    with writing(partial):
        partial.mkdir(parents=True, exist_ok=True)
        links = [path for path in (partial, *partial.rglob("*")) if path.is_symlink()]
        if links:
            raise RecordError(f"{links[0]} is a link, through which a fetched file could land anywhere; remove {partial}")
        free_bytes = shutil.disk_usage(partial).free
    if manifest.size_bytes > free_bytes:
        raise RecordError(
            f"run {manifest.run_id} has {size(manifest.size_bytes)}, and {partial.parent} has {size(free_bytes)} free;"
            " free some space, or give another DIR"
        )


def _fetch(manifest: ArtifactManifest, place: Store, partial: Path, *, progress: Progress | None) -> Iterator[Entry]:
    """Fetch what is not there yet, and yield it."""
    count = _Count(total_bytes=manifest.size_bytes, progress=progress)
    for entry in manifest.files:
        path = partial / entry.path
        if not (path.is_file() and entry_of(partial, path) == entry):
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                found = place.fetch(entry.path, temporary, bytes_max=entry.size_bytes)
                _hold(entry, found, place.url)
            yield entry
        count.add(entry)


def _hold(entry: Entry, found: tuple[int, str], url: str) -> None:
    if found != (entry.size_bytes, entry.sha256):
        raise RecordError(
            f"{url}/{entry.path} is damaged where it lies: {found[0]} bytes with SHA-256 {found[1][:12]}..., where"
            f" {entry.size_bytes} with {entry.sha256[:12]}... were uploaded; upload the run again from where it was measured"
        )


def _keep_only(manifest: ArtifactManifest, partial: Path) -> None:
    """Take away what an earlier attempt left of another state of the run."""
    wanted = {each.path for each in manifest.files}
    for path in partial.rglob("*"):
        if path.is_file() and path.relative_to(partial).as_posix() not in wanted:
            path.unlink()

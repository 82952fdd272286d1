"""
What runs have left behind or keep: found in the ledger and by the labels of containers, shown, and removed.

Rule: nothing is removed that may still be in use. Somebody else's, another host's, and what cannot be told are left alone, and
a server that was kept goes only when a person asks for it.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from pathlib import Path

from pytest_inferbench.errors import InferbenchError
from pytest_inferbench.launch import docker_engine, ledger, marked, ownership
from pytest_inferbench.launch.docker_engine import ContainerEngine, Made
from pytest_inferbench.launch.ledger import JOURNAL, TEMPORARY, Entry

LOG_FILE = "watchdog.log"
_LOG_BYTES_MAX = 64 * 1024
_TERMINATE_S = 10.0
_KILL_S = 5.0
# What uses something goes before what is used.
_ORDER = ("process", "container", "network", "folder", "file")


class State(StrEnum):
    """Whether something may be removed."""

    IN_USE = "in use"
    KEPT = "kept"
    LEFT = "left behind"
    ELSEWHERE = "on another host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Something of ours, and whether it is in use; ``there`` is False for an entry whose thing is gone, or never came to be."""

    entry: Entry
    state: State
    there: bool = True

    @property
    def words(self) -> str:
        """What it is, in a few words: ``server process 4711 of run 20261122-074501-3f9c``."""
        entry = self.entry
        thing = "server process" if entry.kind == "process" else entry.kind
        run = f" of run {entry.run_id}" if entry.run_id else ""
        return f"{thing} {entry.name or '(not yet started)'}{run}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """What came of removing: what is gone, and a sentence for each thing that is not."""

    removed: tuple[Found, ...] = ()
    troubles: tuple[str, ...] = ()


def state_of(entry: Entry) -> State:
    """Whether a thing may be removed."""
    if entry.labels.get(ownership.HOST) != ownership.this_place().host:
        return State.ELSEWHERE
    if entry.reach is not None:
        return State.KEPT
    return State.IN_USE if ownership.owner_alive(entry.labels) else State.LEFT


def look(engine: ContainerEngine | None = None) -> tuple[Found, ...]:
    """
    Everything of this user that runs have left, keep or use, in the order in which it should go.

    Args:
        engine: asked for containers and networks that no entry names; None: the ledger alone is read, which costs nothing.

    Raises:
        EngineError: the container engine does not answer.
    """
    entries = ledger.entries()
    found = [Found(entry=entry, state=state_of(entry), there=_is_there(entry)) for entry in entries]
    if engine is not None:
        named = {entry.name for entry in entries if entry.kind in {"container", "network"}}
        others = [_entry_of(made) for made in engine.list_ours() if not named & {made.name, made.id}]
        found += [Found(entry=entry, state=state_of(entry)) for entry in others]
    return tuple(sorted(found, key=lambda each: _ORDER.index(each.entry.kind)))


def remove(found: Iterable[Found], *, connect: Callable[[], ContainerEngine] = docker_engine.connect) -> Cleaned:
    """
    Remove things, whoever uses them, and strike them out of the ledger; one that cannot be removed leaves the others.

    Args:
        found: what to remove.
        connect: reaches the container engine; called only where there is a container or a network.
    """
    wanted = sorted(found, key=lambda each: _ORDER.index(each.entry.kind))
    _end_processes([each.entry for each in wanted if each.entry.kind == "process"])
    removed: list[Found] = []
    troubles: list[str] = []
    with ExitStack() as stack:
        reached = cache(lambda: stack.enter_context(closing(connect())))
        for each in wanted:
            trouble = _removed(each.entry, reached)
            if trouble is None:
                ledger.forget(each.entry)
                removed.append(each)
            else:
                troubles.append(f"{each.words} could not be removed: {trouble}")
    return Cleaned(removed=tuple(removed), troubles=tuple(troubles))


def reap(*, containers: bool = False, connect: Callable[[], ContainerEngine] = docker_engine.connect) -> tuple[str, ...]:
    """
    Remove what dead owners left on this host; for the beginning of a session.

    Args:
        containers: ask the container engine as well, for what no entry names; else it is asked only where an entry names some.
        connect: reaches the container engine.

    Returns:
        A sentence for each run that had left something, and for what could not be removed.
    """
    silent: tuple[str, ...] = ()
    with ExitStack() as stack:
        try:
            found = look(stack.enter_context(closing(connect())) if containers else None)
        except InferbenchError as error:
            found, silent = look(), (f"what earlier runs left in containers was not looked for: {error}",)
    for each in found:
        if each.state is State.KEPT and not each.there and _can_tell(each.entry):
            ledger.forget(each.entry)  # it has ended by itself
    cleaned = remove([each for each in found if each.state is State.LEFT], connect=connect)
    gone = [each for each in cleaned.removed if each.there]
    runs = dict.fromkeys(each.entry.run_id for each in gone)
    sentences = [_left_sentence(run, [each for each in gone if each.entry.run_id == run]) for run in runs]
    return (*silent, *sentences, *cleaned.troubles)


def clean_after(owner_pid: int, *, started: str) -> None:
    """
    Remove what a process has noted down and not kept, since it has ended; what was done goes into `LOG_FILE`.

    Args:
        owner_pid: that process.
        started: when it was started, as `ownership.start_time` says it.
    """
    mine = [
        Found(entry=entry, state=State.LEFT, there=_is_there(entry))
        for entry in ledger.entries()
        if entry.owner_pid == owner_pid and entry.labels.get(ownership.OWNER_START) == started
        if entry.reach is None and _can_tell(entry)
    ]
    cleaned = remove(mine)
    lines = [f"removed {each.words}, whose owner (process {owner_pid}) had ended" for each in cleaned.removed if each.there]
    if lines or cleaned.troubles:
        _log([*lines, *cleaned.troubles])


def _left_sentence(run: str, gone: Sequence[Found]) -> str:
    what = ", ".join(each.words.partition(" of run ")[0] for each in gone)
    return f"removed what {f'run {run}' if run else 'an earlier run'} had left behind: {what}"


def _entry_of(made: Made) -> Entry:
    return Entry(kind=made.kind, name=made.name or made.id, token="", labels=made.labels)


def _can_tell(entry: Entry) -> bool:
    """Whether the numbers in an entry mean here what they meant to whoever wrote it."""
    here, labels = ownership.this_place(), entry.labels
    return (labels.get(ownership.HOST), labels.get(ownership.PID_NAMESPACE)) == (here.host, here.pid_namespace)


def _processes(entry: Entry) -> frozenset[int]:
    here = ownership.this_place()
    if not _can_tell(entry) or entry.labels.get(ownership.BOOT) != here.boot:
        return frozenset()  # no process outlives a boot
    return marked.belonging(entry.token, leader=int(entry.name) if entry.name.isdecimal() else 0, started=entry.started)


def _is_there(entry: Entry) -> bool:
    if entry.kind == "process":
        return bool(_processes(entry))
    return entry.kind not in {"folder", "file"} or Path(entry.name).exists()


def _end_processes(entries: Sequence[Entry]) -> None:
    """End them all at once, so that the slow ones wait together."""
    marked.end(
        lambda: frozenset[int]().union(*(_processes(entry) for entry in entries)), terminate_s=_TERMINATE_S, kill_s=_KILL_S
    )


def _removed(entry: Entry, reached: Callable[[], ContainerEngine]) -> str | None:
    """None where the thing is gone now, else why it is not."""
    if entry.kind == "process":
        left = _processes(entry)
        return f"{', '.join(map(str, sorted(left)))} runs {_KILL_S:g} s after SIGKILL" if left else None
    if entry.kind == "folder":
        return _folder_removed(Path(entry.name))
    if entry.kind == "file":
        return _file_removed(Path(entry.name))
    try:
        engine = reached()
        if entry.kind == "container":
            engine.remove_container(entry.name)
        elif not engine.remove_network(entry.name) and any(made.name == entry.name for made in engine.list_ours()):
            return "a container still uses it"
    except InferbenchError as error:
        return str(error)
    return None


def _folder_removed(path: Path) -> str | None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return error.strerror or str(error)
    # The ledger is only a file: whatever stands in it, nothing but a temporary folder of ours is ever deleted.
    if not (TEMPORARY.fullmatch(path.name) and stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()):
        return "it is no temporary folder of this user; look at it, and remove it by hand"
    shutil.rmtree(path, ignore_errors=True)
    return "something in it cannot be deleted" if path.exists() else None


def _file_removed(path: Path) -> str | None:
    try:
        status = path.lstat()
        # As above: nothing but a journal of ours is ever deleted.
        if not (JOURNAL.fullmatch(path.name) and stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid()):
            return "it is no journal of this user; look at it, and remove it by hand"
        path.unlink()
    except FileNotFoundError:
        return None
    except OSError as error:
        return error.strerror or str(error)
    return None


def _log(lines: Sequence[str]) -> None:
    path = ledger.folder() / LOG_FILE
    before = path.read_text(encoding="utf-8", errors="replace")[-_LOG_BYTES_MAX:] if path.exists() else ""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    path.write_text(before + "".join(f"{now} {line}\n" for line in lines), encoding="utf-8")

"""
How long servers took to start and cases to run, from run to run of this user: better estimates for the order of the next run.

Rule: nothing depends on it. What cannot be read is as good as nothing, and a figure in it only ever moves a case in the order.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch import ledger

if TYPE_CHECKING:
    from pytest_inferbench.records.record import Record

FILE = "durations.json"
ENTRIES_MAX = 2000
"""Of servers and of cases each; those that were measured longest ago go first."""
_VERSION = 1
_LOCK_LIMIT_S = 5.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """Seconds that it took the last time: to start a server, by its key; a case on a server that is up, by its id."""

    startups_s: Mapping[str, float] = field(default_factory=dict)
    cases_s: Mapping[str, float] = field(default_factory=dict)


NOTHING = Durations()


def read() -> Durations:
    """What is known; nothing where nothing can be read."""
    try:
        return _read(ledger.folder() / FILE)
    except EngineError:
        return NOTHING


def of_records(records: Iterable[Record]) -> Durations:
    """
    What a run has measured; cases that are simulated or broke, and servers that were there before, say nothing.

    The first case of a server (each start has a log of its own) waited for its start, which is none of the case's time.
    """
    startups_s: dict[str, float] = {}
    cases_s: dict[str, float] = {}
    seen: set[str] = set()
    for record in sorted(records, key=lambda each: each.started_at):
        served = record.served
        if record.simulated or record.error is not None or served is None or served.log is None or served.started_in_s is None:
            continue
        first = served.log not in seen
        seen.add(served.log)
        startups_s[record.case.server_key] = served.started_in_s
        waited_s = served.started_in_s if first and record.wall_s > served.started_in_s else 0.0
        cases_s[record.case.id] = record.wall_s - waited_s
    return Durations(startups_s=startups_s, cases_s=cases_s)


def note(records: Iterable[Record]) -> str | None:
    """
    Keep what a run has measured, for the next one; safe beside other processes.

    Returns:
        Why it could not be kept, in a sentence; None where all is well.
    """
    measured = of_records(records)
    if not measured.cases_s:
        return None
    try:
        path = ledger.folder() / FILE
        with _locked(path.with_suffix(".lock")):
            _write(path, _over(_read(path), measured))
    except (EngineError, OSError) as error:
        return f"how long things took was not kept for the next run: {error}"
    return None


def _over(before: Durations, now: Durations) -> Durations:
    return Durations(startups_s=_newest(before.startups_s, now.startups_s), cases_s=_newest(before.cases_s, now.cases_s))


def _newest(before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    merged = [*((key, value) for key, value in before.items() if key not in now), *now.items()]
    return dict(merged[-ENTRIES_MAX:])


def _read(path: Path) -> Durations:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if value["version"] != _VERSION:
            return NOTHING
        return Durations(startups_s=_seconds(value["startups_s"]), cases_s=_seconds(value["cases_s"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return NOTHING  # there is none yet, or it was written by nobody of us


def _seconds(value: Mapping[str, Any]) -> dict[str, float]:
    return {str(key): float(each) for key, each in value.items() if isfinite(float(each)) and float(each) >= 0}


def _write(path: Path, durations: Durations) -> None:
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    value = {"version": _VERSION, "startups_s": dict(durations.startups_s), "cases_s": dict(durations.cases_s)}
    unfinished.write_text(json.dumps(value), encoding="utf-8")
    unfinished.replace(path)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Alone with the file; the kernel frees it when this process dies."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        deadline_s = time.monotonic() + _LOCK_LIMIT_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline_s:
                    raise OSError(f"others hold {path} for more than {_LOCK_LIMIT_S:g} s") from None
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(descriptor)

"""
How a run gets into the history at the end of a session: first into the spool, then into the database.

Rule: whatever happens here is a sentence for people, and never the end of a session. A run that is in the spool is not lost,
whenever this process dies.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from pytest_inferbench.errors import InferbenchError, RecordError
from pytest_inferbench.records.history import spool, store
from pytest_inferbench.records.history.place import shown
from pytest_inferbench.records.history.rows import RunFacts, RunRows, rows_of_run
from pytest_inferbench.records.record import Record

SENDING_LIMIT_S = 20
"""How long runs that waited are sent before the rest waits on; the run that has just ended is always tried."""


def record_run(
    run_dir: Path, *, url: str, records: Sequence[Record] | None = None, facts: RunFacts | None = None
) -> tuple[str, ...]:
    """
    Bring a run that has ended into the history, and those that have waited.

    Args:
        run_dir: its folder.
        url: the database, as `place.store_url` gives it.
        records: all of its records, where they are at hand; they are read from its folder otherwise.
        facts: what its folder does not say: who measured, the command, how pytest ended.

    Returns:
        What people should know, in sentences; empty where all is well.
    """
    try:
        return _record(rows_of_run(run_dir, records=records, facts=facts), url)
    except InferbenchError as error:
        problem = str(error)
    except Exception as error:  # noqa: BLE001 - the history stands beside the run, whose results must not go down with it
        problem = f"{type(error).__name__}: {error}"
    return (f"this run is not in the history: {problem}. Bring it in later with inferbench history import {run_dir}",)


def send_waiting(url: str, *, first: Path | None = None) -> tuple[str, ...]:
    """
    Send the runs that wait for a database, ``first`` before the others.

    Returns:
        What people should know, in sentences.
    """
    folder = spool.folder_of(url)
    notices = []
    end_s = time.monotonic() + SENDING_LIMIT_S
    for path in sorted(spool.waiting(folder), key=lambda each: each != first):
        if time.monotonic() > end_s:
            break
        try:
            rows = spool.take(path)
        except RecordError as error:
            notices.append(str(error))
            continue
        try:
            if rows is not None:
                store.keep(url, rows)
        except InferbenchError as error:
            notices.append(str(error))
            break
        spool.done(path)
    left = len(spool.waiting(folder))
    if left:
        notices.append(f"{left} {'run waits' if left == 1 else 'runs wait'} for the history in {folder}, sent with the next one")
    return tuple(notices)


def forget(url: str, run_ids: Sequence[str]) -> None:
    """
    Take runs out of the history and out of what waits for it.

    Raises:
        ConfigError: the driver is missing, or the URL is wrong.
        RecordError: the database cannot be reached or written, or a newer version has written it.
    """
    for run_id in run_ids:
        spool.forget(spool.folder_of(url), run_id)
    store.forget(url, run_ids)


def _record(rows: RunRows, url: str) -> tuple[str, ...]:
    try:
        path = spool.put(spool.folder_of(url), rows)
    except RecordError as error:
        # Without a spool, the database is the only chance.
        store.keep(url, rows)
        return (f"{error}; the run itself is in the history {shown(url)}",)
    return send_waiting(url, first=path)

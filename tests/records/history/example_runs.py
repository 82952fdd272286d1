"""Runs for tests of the history: real records, of several runs of the same cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pytest_inferbench.cases.case import Case
from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.records.baselines import Measured
from pytest_inferbench.records.history import store
from pytest_inferbench.records.history.rows import RunFacts, RunRows, rows_of
from pytest_inferbench.records.record import Record
from tests.records.example import CASE, broken_record, example_record
from tests.traces import streamed, traces_of

FIRST = datetime(2026, 11, 1, 6, 0, tzinfo=UTC)
FOUR = CASE
EIGHT = replace(CASE, id=CASE.id.replace("-c4", "-c8"), load=replace(CASE.load, concurrency=8), hardware="h100")
ENVIRONMENT = {"cpu_model": "Some CPU", "cores": 8}


def record_of(case: Case, run_id: str, *, day: int = 0, ttft_ms: int = 100) -> Record:
    """A record of a case; ``ttft_ms`` is the time to first token of each of its requests; over 500 ms it fails."""
    traces = traces_of([streamed(ttft_ms, sent_ns=i * 10**9) for i in range(4)])
    record = example_record(traces, case=case)
    outlook = Outlook.FAIL if ttft_ms > 500 else Outlook.PASS
    # Decided here, and not by the judge: four requests are too few to be sure of anything.
    judgements = tuple(
        replace(each, outlook=outlook if each.objective.metric == "ttft" else Outlook.PASS) for each in record.verdict.judgements
    )
    verdict = replace(record.verdict, outlook=outlook, judgements=judgements)
    started = (FIRST + timedelta(days=day)).isoformat()
    return replace(record, run_id=run_id, verdict=verdict, started_at=started)


def broken_of(case: Case, run_id: str, *, day: int = 0) -> Record:
    """A record of a case whose server never came up."""
    started = (FIRST + timedelta(days=day)).isoformat()
    return replace(broken_record(), run_id=run_id, case=case, folder=case.id, started_at=started)


def rows_from(records: Sequence[Record], **facts: Any) -> RunRows:
    """Records of one run as rows, on a machine of tests."""
    told: dict[str, Any] = {
        "commit": "c0ffee",
        "branch": "main",
        "dirty": False,
        "host": "bench-1",
        "plugin_version": "0.1.0",
        **facts,
    }
    measured = [Measured(record=record, environment=ENVIRONMENT) for record in records]
    return rows_of(measured, facts=RunFacts(**told))


def fill(url: str, days: int = 3, *, ttft_ms: Sequence[int] = ()) -> list[str]:
    """
    A history of a run a day, with two cases each; ids of the runs, oldest first.

    ``ttft_ms`` is the time to first token of each run (default: 100, 110, 120 ...).
    """
    run_ids = []
    for day in range(days):
        run_id = f"run-{day + 1}"
        value = ttft_ms[day] if ttft_ms else 100 + 10 * day
        records = [record_of(case, run_id, day=day, ttft_ms=value) for case in (FOUR, EIGHT)]
        store.keep(url, rows_from(records, commit=f"commit{day + 1}"))
        run_ids.append(run_id)
    return run_ids


def sqlite_in(folder: Path) -> str:
    """The URL of a history in a folder of a test."""
    return f"sqlite:///{folder / 'history.sqlite'}"


KILLED = """
import os, signal, sys
from pathlib import Path
from pytest_inferbench.records.history import deliver, store
from tests.records.history.example_runs import EIGHT, FOUR, record_of

def dying(connection, rows, real=store.write_run):
    real(connection, rows)
    os.kill(os.getpid(), signal.SIGKILL)

store.write_run = dying
deliver.record_run(Path(sys.argv[1]), url=sys.argv[2], records=[record_of(FOUR, "run-2"), record_of(EIGHT, "run-2")])
"""
"""A program that writes a run into a database and is killed before it is done: its folder, and the URL."""

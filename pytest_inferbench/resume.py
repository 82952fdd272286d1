"""
Going on with a run that was not finished: which of its cases have a result that counts, and which are to be measured again.

Rule: nothing is reused silently. A result counts where it has figures that can be believed and its case is what it was; for a
case that is not, it is said what changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pytest_inferbench.cases.case import Case
from pytest_inferbench.errors import RecordError
from pytest_inferbench.objectives.judge import NO_ERRORS
from pytest_inferbench.objectives.slo import parse_objective
from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.records.files import read_json
from pytest_inferbench.records.reader import read_record, read_traces
from pytest_inferbench.records.record import Record
from pytest_inferbench.records.redact import redact_case
from pytest_inferbench.records.run_directory import RUN_FILE, RunDirectory
from pytest_inferbench.records.writer import SUMMARY_FILE
from pytest_inferbench.redaction import redact_url
from pytest_inferbench.result import Result

# Where a case was written says nothing of what is measured, and its objectives are compared as they were judged.
_NOT_COMPARED = ("origin", "slo")
_SHOWN_CHARACTERS_MAX = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """
    What holds for every case of the run that goes on, beside what the cases say.

    Attributes:
        slo: objectives for every case.
        seed: the one that was asked for; None: any will do.
        endpoint: the URL of the server that is already there; None: servers are started.
    """

    slo: tuple[str, ...] = ()
    seed: int | None = None
    endpoint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What a run has of a case: its newest result that counts, else its newest one; ``folder`` is where it lies."""

    record: Record
    folder: Path

    @property
    def invalid(self) -> str | None:
        """Why it has no result that counts, in a few words; None where it has one."""
        record = self.record
        if record.error is not None:
            return f"it broke: {record.error.partition(chr(10))[0]}"
        if record.summary is None:
            return "it has no figures"
        if record.verdict.outlook not in {Outlook.PASS, Outlook.FAIL}:
            return f"it was {record.verdict.outlook}"
        return None

    @property
    def valid(self) -> bool:
        """It passed, or missed its objectives, with figures that can be believed."""
        return self.invalid is None

    def changed(self, case: Case, asked: Asked | None = None) -> tuple[str, ...]:
        """
        What is different now, each as ``load.concurrency: 4 -> 8``; empty where the stored result is this case's.

        Raises:
            ConfigError: an objective of now cannot be read.
        """
        asked = asked or Asked()
        return (*_field_changes(self.record.case, case), *self._asked_changes(case, asked), *self._file_changes(case))

    def result(self) -> Result:
        """
        The stored result, as measuring the case would have given it.

        Raises:
            RecordError: its requests cannot be read.
        """
        return Result(record=self.record, traces=read_traces(self.folder))

    def _asked_changes(self, case: Case, asked: Asked) -> Iterator[str]:
        record = self.record
        then = {judgement.objective.text for judgement in record.verdict.judgements}
        now = _objectives((*case.slo, *asked.slo))
        if then != now:
            yield _change("objectives", ", ".join(sorted(then)), ", ".join(sorted(now)))
        if asked.seed is not None and record.planned is not None and record.planned.seed != asked.seed:
            yield _change("seed", record.planned.seed, asked.seed)
        there_then = None if record.served is None or record.served.command else record.served.url.rstrip("/")
        there_now = None if asked.endpoint is None else redact_url(asked.endpoint).rstrip("/").removesuffix("/v1")
        if there_then != there_now:
            yield _change("server", there_then or "started for the run", there_now or "started for the run")

    def _file_changes(self, case: Case) -> Iterator[str]:
        """Files that the case names and that were written since; what is in them is not on record."""
        dataset = case.traffic.dataset
        named = {"load.trace": case.load.trace, "traffic.dataset": dataset.path if dataset else None, "model": case.model}
        then_s = datetime.fromisoformat(self.record.started_at).timestamp()
        for name, text in named.items():
            path = Path(text).expanduser() if text else None
            if path is not None and path.is_file() and path.stat().st_mtime > then_s:
                yield f"{name}: {path} was written after it was measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    What is there of a run.

    Attributes:
        stored: by suite and case id.
        troubles: of folders that cannot be read, in sentences; their cases are measured again.
    """

    stored: Mapping[tuple[str, str], Stored]
    troubles: tuple[str, ...] = ()

    def of(self, case: Case) -> Stored | None:
        """What is there of a case; None where it was never measured."""
        return self.stored.get((case.suite, case.id))


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """A run to go on with: what is there of it, and what is asked for now."""

    plan: Plan
    asked: Asked

    def find(self, case: Case) -> Result | str | None:
        """
        The stored result of a case where it counts; else why it is measured again, in a sentence; None where it never was.

        Raises:
            ConfigError: an objective of now cannot be read.
            RecordError: its requests cannot be read.
        """
        stored = self.plan.of(case)
        if stored is None:
            return None
        why = stored.invalid or "; ".join(stored.changed(case, self.asked))
        return f"{case.id} is measured again: {why}" if why else stored.result()


def plan(run_dir: Path) -> Plan:
    """What is there of a run, from its cases' folders; a run that was killed has no other files."""
    stored: dict[tuple[str, str], Stored] = {}
    every, troubles = records_in(run_dir)
    for each in sorted(every, key=lambda stored: (stored.valid, stored.record.started_at)):
        case = each.record.case
        stored[case.suite, case.id] = each
    return Plan(stored=stored, troubles=troubles)


def records_in(run_dir: Path) -> tuple[tuple[Stored, ...], tuple[str, ...]]:
    """Every measurement of a run that can be read, the oldest first, and a sentence for each that cannot."""
    found: list[Stored] = []
    troubles: list[str] = []
    for summary in sorted(run_dir.glob(f"*/{SUMMARY_FILE}")):
        try:
            found.append(Stored(record=read_record(summary.parent), folder=summary.parent))
        except RecordError as error:
            troubles.append(str(error))
    return tuple(sorted(found, key=lambda each: each.record.started_at)), tuple(troubles)


def current(measured: Sequence[Stored]) -> tuple[Stored, ...]:
    """
    Those that stand for their run: without each that did not count, or whose case was another, and that a later one replaced.

    Two that count of the same case, as a test that measures twice leaves them, are both kept.
    """
    newest = {_place(each): each for each in measured}
    return tuple(
        each
        for each in measured
        if each is newest[_place(each)]
        or (each.valid and not tuple(_field_changes(each.record.case, newest[_place(each)].record.case)))
    )


def run_at(folder: Path) -> RunDirectory:
    """
    The run in a folder, to be gone on with under its own id.

    Raises:
        RecordError: there is none in it.
    """
    holder = read_json(folder / RUN_FILE)
    run_id = holder.get("run_id") if isinstance(holder, dict) else None
    if not isinstance(run_id, str) or not run_id:
        raise RecordError(f"{folder / RUN_FILE} does not say which run it is; was it written by pytest-inferbench?")
    return RunDirectory(path=folder, run_id=run_id)


def _place(stored: Stored) -> tuple[str, str, str]:
    record = stored.record
    return record.node_id, record.case.suite, record.case.id


def _objectives(texts: Sequence[str]) -> set[str]:
    """Objectives in their canonical form, with the one that `judge` adds where none is about errors."""
    objectives = [parse_objective(text) for text in texts]
    unasked = [] if any(each.metric == NO_ERRORS.metric for each in objectives) else [NO_ERRORS]
    return {objective.text for objective in (*objectives, *unasked)}


def _field_changes(then: Case, now: Case) -> Iterator[str]:
    """What differs in what is written of a case; secrets in it are masked in both, so a new secret alone is no change."""
    now = redact_case(now)
    if now.load.swept:
        # Its rate was decided by the ends of the sweep while it was measured.
        then = replace(then, load=replace(then.load, rate_per_s=now.load.rate_per_s))
    if now.load.search is not None:
        # Its level was found while it was measured.
        then = replace(then, load=replace(then.load, rate_per_s=now.load.rate_per_s, concurrency=now.load.concurrency))
    for name, before, after in _differences("", then, now):
        if name not in _NOT_COMPARED:
            yield _change(name, before, after)


def _differences(prefix: str, then: Any, now: Any) -> Iterator[tuple[str, Any, Any]]:
    for field in fields(then):
        name, before, after = f"{prefix}{field.name}", getattr(then, field.name), getattr(now, field.name)
        if is_dataclass(before) and type(before) is type(after):
            yield from _differences(f"{name}.", before, after)
        elif before != after:
            yield name, before, after


def _change(name: str, before: object, after: object) -> str:
    return f"{name}: {_shown(before)} -> {_shown(after)}"


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS_MAX else f"{text[:_SHOWN_CHARACTERS_MAX]}..."

"""
A run as rows of the history: decided from its records, without a database.

Rule: a figure has the name and the value that it has in ``results.csv``; it is taken from that very table.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

from pytest_inferbench.errors import RecordError
from pytest_inferbench.records.baselines import Measured, fingerprint
from pytest_inferbench.records.codec import encode
from pytest_inferbench.records.files import read_json
from pytest_inferbench.records.history.schema import AXES_NUMBERS, AXES_TEXTS, AXES_WHOLE
from pytest_inferbench.records.manifest import MANIFEST_FILE
from pytest_inferbench.records.reader import read_run
from pytest_inferbench.records.record import Record
from pytest_inferbench.records.redact import redact_record
from pytest_inferbench.records.results import column_dtypes, results_frame
from pytest_inferbench.redaction import redact_text

TEXTS = ("node_id", "folder", "verdict", "missed", "reasons", "error")
_ELSEWHERE = ("case", "simulated", "engine_version", "started_at", "run_id")
_AXES = (*AXES_TEXTS, *AXES_WHOLE, *AXES_NUMBERS)
_NUMBERS = ("Int64", "float64")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """
    What is known of a run beside its cases; None where nobody knows.

    ``host`` is the machine that measured, ``command`` what was typed, ``exit_code`` what pytest ended with.
    """

    commit: str | None = None
    branch: str | None = None
    dirty: bool | None = None
    host: str | None = None
    plugin_version: str | None = None
    command: str | None = None
    exit_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRow:
    """
    One case of a run.

    Attributes:
        place: what tells it from other results of the run.
        series: case id, axes and ``simulated``: what makes results of several runs comparable over time.
        conditions: the fields of its `Fingerprint`.
        started_us: microseconds since the epoch.
        texts: columns of ``results.csv`` that are words.
        figures: columns of ``results.csv`` that are numbers, without those that it lacks.
        more: other columns of ``results.csv``.
        judgements: its objectives and what came of each, as plain JSON types.
    """

    place: str
    series: Mapping[str, Any]
    conditions: Mapping[str, str | None]
    started_us: int
    texts: Mapping[str, str | None]
    figures: Mapping[str, float]
    more: Mapping[str, str]
    judgements: Sequence[Any]

    @property
    def digest(self) -> str:
        """The same for a result that is the same."""
        return digest_of(encode(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRows:
    """
    A run with all its results; ``written_us`` is when these rows were made, and the newest ones count.

    Of two results of one place the last one is kept.
    """

    run_id: str
    facts: RunFacts
    written_us: int
    results: Sequence[ResultRow] = field(default_factory=tuple)

    @property
    def started_us(self) -> int:
        """When the first of its cases began."""
        return min((each.started_us for each in self.results), default=self.written_us)


@cache
def figure_columns() -> tuple[str, ...]:
    """The columns of ``results.csv`` that are figures, in order."""
    return tuple(name for name, kind in column_dtypes().items() if kind in _NUMBERS and name not in _AXES)


@cache
def other_columns() -> tuple[str, ...]:
    """The columns of ``results.csv`` that no table has a column for; they are kept as text."""
    known = {*TEXTS, *_ELSEWHERE, *_AXES, *figure_columns()}
    return tuple(name for name in column_dtypes() if name not in known)


def rows_of_run(run_dir: Path, *, records: Sequence[Record] | None = None, facts: RunFacts | None = None) -> RunRows:
    """
    The rows of a run, from its folder; ``records`` where they are at hand, ``facts`` what its folder does not say.

    Raises:
        RecordError: there is no case in it, it holds cases of several runs, or one cannot be read.
    """
    found = tuple(read_run(run_dir) if records is None else records)
    manifests = [_manifest(run_dir, record) for record in found]
    told = next((manifest for manifest in manifests if manifest), {})
    # A case that broke before its manifest was written ran on the machine of the others.
    environments = [_object((manifest or told).get("environment")) for manifest in manifests]
    measured = [Measured(record=record, environment=environment) for record, environment in zip(found, environments, strict=True)]
    return rows_of(measured, facts=_with_manifest(facts or RunFacts(), told))


def rows_of(measured: Sequence[Measured], *, facts: RunFacts) -> RunRows:
    """
    The rows of records of one run.

    Raises:
        RecordError: there are none, or they are of several runs.
    """
    run_ids = sorted({each.record.run_id for each in measured})
    if len(run_ids) != 1:
        raise RecordError(f"the history takes one run at a time, and these are {len(run_ids)}: {', '.join(run_ids) or 'no case'}")
    rows = {row.place: row for row in map(_row, measured, _table([each.record for each in measured]))}
    command = facts.command
    shown = replace(facts, command=redact_text(command) if command is not None else None)
    return RunRows(run_id=run_ids[0], facts=shown, written_us=microseconds(datetime.now(UTC)), results=tuple(rows.values()))


def to_text(rows: RunRows) -> str:
    """A run as JSON, for the spool."""
    return json.dumps(encode(rows), allow_nan=False)


def from_text(text: str) -> RunRows:
    """
    The run that `to_text` wrote.

    Raises:
        ValueError: it was written by nobody of us.
    """
    try:
        value = json.loads(text)
        results = tuple(ResultRow(**{**each, "figures": _floats(each["figures"])}) for each in value.pop("results"))
        return RunRows(**{**value, "facts": RunFacts(**value["facts"]), "results": results})
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(str(error)) from error


def digest_of(value: Any) -> str:
    """The same 32 characters for the same plain JSON types."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def microseconds(instant: datetime) -> int:
    """Whole microseconds since the epoch."""
    whole = instant.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (whole.days * 86_400 + whole.seconds) * 1_000_000 + whole.microseconds


def _table(records: Sequence[Record]) -> Iterator[dict[str, Any]]:
    """The rows of ``results.csv``, with None for what there is not."""
    frame = results_frame(records)
    # Every step of pandas would copy these.
    frame.attrs = {}
    columns = [
        [None if missing else value for value, missing in zip(frame[name].tolist(), frame[name].isna().tolist(), strict=True)]
        for name in frame
    ]
    for row in zip(*columns, strict=True):
        yield dict(zip(frame.columns, row, strict=True))


def _row(measured: Measured, cells: Mapping[Any, Any]) -> ResultRow:
    record = redact_record(measured.record)
    figures = {name: float(cells[name]) for name in figure_columns() if cells[name] is not None}
    return ResultRow(
        place=record.folder or record.node_id,
        series=_series(cells),
        conditions=_redacted(encode(fingerprint(measured))),
        started_us=microseconds(datetime.fromisoformat(record.started_at)),
        texts={name: cells[name] for name in TEXTS},
        figures=figures,
        more={name: str(cells[name]) for name in other_columns() if cells[name] is not None},
        judgements=cast("list[Any]", encode(record.verdict.judgements)),
    )


def _series(cells: Mapping[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"case_id": cells["case"], "simulated": bool(cells["simulated"])}
    found |= {name: cells[name] for name in AXES_TEXTS}
    found |= {name: None if cells[name] is None else int(cells[name]) for name in AXES_WHOLE}
    return found | {name: None if cells[name] is None else float(cells[name]) for name in AXES_NUMBERS}


def _redacted(words: Mapping[str, str | None]) -> dict[str, str | None]:
    return {name: None if text is None else redact_text(text) for name, text in words.items()}


def _manifest(run_dir: Path, record: Record) -> dict[str, Any]:
    path = run_dir / record.folder / MANIFEST_FILE
    # A record's folder is its own word: what leads out of the run is not followed.
    inside = bool(record.folder) and path.resolve().is_relative_to(run_dir.resolve())
    return _object(read_json(path)) if inside and path.is_file() else {}


def _with_manifest(facts: RunFacts, manifest: Mapping[str, Any]) -> RunFacts:
    git = _object(_object(manifest.get("environment")).get("git"))
    known = {"commit": git.get("commit"), "branch": git.get("branch"), "dirty": git.get("dirty")}
    known["plugin_version"] = manifest.get("client_version")
    return replace(facts, **{name: value for name, value in known.items() if getattr(facts, name) is None})


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _floats(figures: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in figures.items()}

"""
Results of other tools as a run of records, so that later runs can be compared with them.

Rule: an imported record says so, is never judged, and has no figure that was not in the file.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from math import isnan, nan
from pathlib import Path

from pytest_inferbench.cases.case import Case, EngineSpec, Lengths, Load, Traffic
from pytest_inferbench.cases.traffic import parse_traffic
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.metrics.registry import LATENCIES, SCALARS
from pytest_inferbench.metrics.summary import Summary
from pytest_inferbench.objectives.verdict import Outlook, Verdict
from pytest_inferbench.records.export.exportable import SIMULATED
from pytest_inferbench.records.files import write_text
from pytest_inferbench.records.imports.foreign import ForeignResult, distribution
from pytest_inferbench.records.record import Imported, Record, Served
from pytest_inferbench.records.results import write_results
from pytest_inferbench.records.run_directory import RunDirectory, safe_name
from pytest_inferbench.records.writer import write_case
from pytest_inferbench.redaction import redact_text

REQUESTS_CSV = "imported_requests.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A run of imported results."""

    path: Path
    records: tuple[Record, ...]


def store(results: Sequence[ForeignResult], run: RunDirectory) -> Stored:
    """
    Write results as a run: a folder each, and ``results.json`` and ``results.csv`` of all.

    Raises:
        RecordError: they could not be written.
    """
    records = []
    for result in results:
        case = case_of(result)
        folder = run.case_folder(case.id)
        record = record_of(result, run_id=run.run_id, folder=folder.name)
        write_case(folder, record=record, traces=None)
        if result.columns:
            write_text(folder / REQUESTS_CSV, requests_csv(result))
        records.append(record)
    write_results(run.path, records)
    return Stored(path=run.path, records=tuple(records))


def record_of(result: ForeignResult, *, run_id: str, folder: str) -> Record:
    """A record that says where it comes from; what the file did not tell is NaN, None or ``unknown``."""
    case, file = case_of(result), redact_text(result.file)
    return Record(
        run_id=run_id,
        node_id=f"imported::{case.id}",
        case=case,
        simulated=result.simulated,
        verdict=Verdict(
            outlook=Outlook.INCONCLUSIVE,
            judgements=(),
            reasons=(f"not measured here: imported from {file}, a result of {result.tool}",),
        ),
        summary=summary_of(result),
        audit=None,
        findings=(),
        served=Served(
            engine=result.engine,
            engine_version=result.engine_version,
            model=result.model,
            url="",
            command=(),
            log=None,
            started_in_s=None,
        ),
        planned=None,
        folder=folder,
        started_at=_started(result),
        wall_s=result.duration_s,
        error=None,
        again="",
        imported=origin_of(result),
    )


def origin_of(result: ForeignResult) -> Imported:
    """Whose result it is, and what has no name of ours."""
    figures = tuple(sorted(result.figures.items()))
    return Imported(tool=result.tool, version=result.version, file=redact_text(result.file), figures=figures)


def summary_of(result: ForeignResult) -> Summary:
    """Its figures under our names; every other figure of ours is NaN."""
    nothing = distribution({}, count=0)
    return Summary(
        counts=result.counts,
        window_s=result.duration_s,
        prompt_tokens=result.prompt_tokens,
        output_tokens=result.output_tokens,
        distributions={latency.name: result.distributions.get(latency.name, nothing) for latency in LATENCIES},
        scalars={scalar.name: result.scalars.get(scalar.name, nan) for scalar in SCALARS},
    )


def case_of(result: ForeignResult) -> Case:
    """The case that a result seems to be of; its id begins with ``imported-`` and the tool."""
    mark = SIMULATED if result.simulated else ""
    return Case(
        id=f"{mark}imported-{result.tool}-{safe_name(result.name).removeprefix(mark)}",
        suite=f"imported-{result.tool}",
        hardware=result.hardware,
        engine=EngineSpec(name=result.engine),
        model=result.model,
        tensor_parallel=result.tensor_parallel,
        traffic=_traffic(result.traffic),
        load=_load(result),
    )


def requests_csv(result: ForeignResult) -> str:
    """A row a request; an empty cell where a request has no value."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(result.columns)
    writer.writerows(["" if value is None else repr(value) for value in row] for row in zip_longest(*result.columns.values()))
    return text.getvalue()


def _traffic(text: str) -> Traffic:
    try:
        return parse_traffic(text)
    except ConfigError:
        # What another tool calls it; its lengths are not known.
        return Traffic(text=text, input_tokens=Lengths(kind="trace"), output_tokens=Lengths(kind="trace"), kind="dataset")


def _load(result: ForeignResult) -> Load:
    requests = result.counts.attempted or None
    if result.concurrency is not None:
        return Load(concurrency=result.concurrency, requests=requests)
    if result.rate_per_s is None or isnan(result.rate_per_s):
        return Load(trace="unknown", arrival="trace", requests=requests)
    return Load(rate_per_s=result.rate_per_s, arrival="poisson", requests=requests)


def _started(result: ForeignResult) -> str:
    """When it was measured; the epoch where the file does not say, for a date has to stand there and today's would be a lie."""
    try:
        moment = datetime.fromisoformat(result.started_at or "")
    except ValueError:
        return datetime.fromtimestamp(0, UTC).isoformat()
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()

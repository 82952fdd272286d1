"""The results of a whole run: ``results.json`` with everything, ``results.csv`` and ``results.parquet`` with a row a case."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_inferbench.metrics.registry import LATENCIES, SCALARS
from pytest_inferbench.metrics.summary import Summary
from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.records.cells import cell
from pytest_inferbench.records.codec import to_json
from pytest_inferbench.records.files import replacing, write_json, write_text
from pytest_inferbench.records.record import SCHEMA_VERSION, Record
from pytest_inferbench.records.redact import redact_record

if TYPE_CHECKING:
    import pandas as pd

RESULTS_JSON = "results.json"
RESULTS_CSV = "results.csv"
RESULTS_PARQUET = "results.parquet"

_AXES = ("suite", "hardware", "engine", "model", "tp", "traffic", "cache", "api", "concurrency", "rate", "sweep", "time_scale")
_COUNTS = ("attempted", "completed", "failed", "timed_out", "cancelled")
_STATISTICS = ("mean", "p50", "p90", "p95", "p99", "max")
_UNITS = {
    "tp": "GPUs",
    "concurrency": "users",
    "rate": "req/s",
    "time_scale": "number",
    **dict.fromkeys(_COUNTS, "requests"),
    "window_s": "s",
    "prompt_tokens": "tokens",
    "output_tokens": "tokens",
    "wall_s": "s",
    "simulated": "true or false",
    "started_at": "time, UTC",
}
_COUNTED_IN = {"itl": "tokens", "inter_chunk": "gaps"}
_WHOLE = frozenset({"tp", "concurrency", *_COUNTS, "prompt_tokens", "output_tokens"})
_DTYPES = {"text": "string", "true or false": "bool", "time, UTC": "datetime64[us, UTC]"}


def write_results(run_dir: Path, records: Sequence[Record]) -> None:
    """
    Write ``results.json``, ``results.csv`` and ``results.parquet`` of a run, replacing those of the same run.

    Raises:
        RecordError: they could not be written.
    """
    run_id = records[0].run_id if records else None
    verdicts = {outlook.value: sum(each.verdict.outlook is outlook for each in records) for outlook in Outlook}
    write_json(
        run_dir / RESULTS_JSON,
        {
            "schema_version": SCHEMA_VERSION,
            "run_id": run_id,
            "verdicts": verdicts,
            "records": [to_json(record) for record in records],
        },
    )
    write_text(run_dir / RESULTS_CSV, results_csv(records))
    with replacing(run_dir / RESULTS_PARQUET) as path:
        results_frame(records).to_parquet(path, compression="zstd", index=False)


def results_csv(records: Sequence[Record]) -> str:
    """One row a case: what it was, its verdict, and every figure in a column that ends in its unit and statistic."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(column_names()), lineterminator="\n", restval="")
    writer.writeheader()
    for record in records:
        writer.writerow({name: _shown(value) for name, value in _row(redact_record(record)).items()})
    return text.getvalue()


def results_frame(records: Sequence[Record]) -> pd.DataFrame:
    """
    The rows of ``results.csv`` with the types of `column_dtypes`, texts as they are; ``attrs["units"]`` has `column_units`.

    What there is not is missing: NA among whole numbers and texts, NaN among others.
    """
    import pandas as pd  # noqa: PLC0415 - heavy, and reading a record has no use for it

    rows = [_row(redact_record(record)) for record in records]
    frame = pd.DataFrame(rows, columns=list(column_names()))
    frame["simulated"] = frame["simulated"] == "true"
    frame["started_at"] = pd.to_datetime(frame["started_at"], utc=True, format="ISO8601")
    frame = frame.astype(column_dtypes())
    frame.attrs = {"units": column_units()}
    return frame


def column_units() -> dict[str, str]:
    """The unit of each column of ``results.csv``; ``text`` where it has none."""
    units = dict.fromkeys(column_names(), "text") | _UNITS
    units |= {scalar.column: "ratio" if scalar.unit == "1" else scalar.unit for scalar in SCALARS}
    for latency in LATENCIES:
        units[f"{latency.name}_count"] = _COUNTED_IN.get(latency.name, "requests")
        units |= {f"{latency.column}_{statistic}": latency.unit for statistic in _STATISTICS}
    return units


def column_dtypes() -> dict[str, str]:
    """The pandas type of each column of `results_frame`."""
    return {
        name: "Int64" if name in _WHOLE or name.endswith("_count") else _DTYPES.get(unit, "float64")
        for name, unit in column_units().items()
    }


def column_names() -> Iterator[str]:
    """The columns of ``results.csv``, in order."""
    yield from ("node_id", "case", *_AXES, "verdict", "missed", "reasons", "simulated", *_COUNTS)
    yield from ("window_s", "prompt_tokens", "output_tokens")
    yield from (scalar.column for scalar in SCALARS)
    for latency in LATENCIES:
        yield f"{latency.name}_count"
        yield from (f"{latency.column}_{statistic}" for statistic in _STATISTICS)
    yield from ("engine_version", "started_at", "wall_s", "error", "folder", "run_id")


def _row(record: Record) -> dict[str, Any]:
    missed = [each.objective.text for each in record.verdict.judgements if each.outlook is Outlook.FAIL]
    row: dict[str, Any] = {
        "node_id": record.node_id,
        "case": record.case.id,
        **record.case.axes,
        "verdict": record.verdict.outlook.value,
        "missed": "; ".join(missed),
        "reasons": "; ".join(record.verdict.reasons),
        "simulated": str(record.simulated).lower(),
        "engine_version": record.served.engine_version if record.served else None,
        "started_at": record.started_at,
        "wall_s": record.wall_s,
        "error": record.error,
        "folder": record.folder,
        "run_id": record.run_id,
    }
    return row if record.summary is None else {**row, **_figures(record.summary)}


def _figures(summary: Summary) -> dict[str, Any]:
    figures: dict[str, Any] = {name: getattr(summary.counts, name) for name in _COUNTS}
    figures |= {"window_s": summary.window_s, "prompt_tokens": summary.prompt_tokens, "output_tokens": summary.output_tokens}
    figures |= {scalar.column: summary.scalars[scalar.name] for scalar in SCALARS if scalar.name in summary.scalars}
    for latency in LATENCIES:
        distribution = summary.distributions.get(latency.name)
        if distribution is not None:
            figures[f"{latency.name}_count"] = distribution.count
            figures |= {f"{latency.column}_{each}": getattr(distribution, each) for each in _STATISTICS}
    return figures


def _shown(value: Any) -> Any:
    """A cell: empty for what there is not, texts that no spreadsheet takes for a formula."""
    if value is None or (isinstance(value, float) and isnan(value)):
        return ""
    return cell(value) if isinstance(value, str) else value

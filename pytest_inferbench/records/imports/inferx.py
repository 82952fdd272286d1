"""
InferX's ``metrics.csv``: a row a request, from which its figures are computed anew as InferX computes them.

Its times are those of bytes and not of tokens: latencies keep its names. Rates are over the time from the first send to the last
end, as ours are.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from math import isnan, nan

import numpy as np

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.metrics.metric import Samples
from pytest_inferbench.records.imports.foreign import ForeignResult, counts_of, error_rate, own, says_simulated
from pytest_inferbench.records.imports.source import Fields, Source

COLUMNS = ("request_id", "enqueue_time", "send_time", "first_byte_time", "end_time", "prompt_tokens", "resp_tokens", "status")
FACTS = "facts.json"
_DONE = ("ok", "200", "success", "completed")


def recognises(source: Source) -> bool:
    """Whether it is such a file."""
    return source.path.suffix == ".csv" and set(COLUMNS) <= set(source.text.partition("\n")[0].strip().split(","))


def read(source: Source) -> tuple[ForeignResult, ...]:
    """Its one result."""
    file = str(source.path)
    rows = list(csv.DictReader(io.StringIO(source.text)))
    if not rows:
        raise ConfigError("it has no rows", file=file)
    beside = source.sibling(FACTS)
    facts = beside.fields if beside else Fields(file=file, data={})
    done = np.array([(row["status"] or "").strip().lower() in _DONE for row in rows])
    columns = {name: _numbers(rows, name, file) for name in COLUMNS[1:-1]}
    sent, ended = columns["send_time"], columns["end_time"]
    duration_s = float(np.nanmax(ended) - np.nanmin(sent)) if not np.isnan(sent).all() else nan
    counts = counts_of(attempted=len(rows), completed=int(done.sum()))
    tokens = {name: float(np.nansum(columns[name][done])) for name in ("prompt_tokens", "resp_tokens")}
    ttft_ms = (columns["first_byte_time"] - sent)[done] * 1e3
    with np.errstate(divide="ignore", invalid="ignore"):
        tpot_ms = ((ended - columns["first_byte_time"]) / columns["resp_tokens"])[done] * 1e3
    latency_ms = (ended - sent)[done] * 1e3
    figures: dict[str, float] = {}
    for name, values in {"ttft_ms": ttft_ms, "tpot_ms": tpot_ms, "latency_ms": latency_ms}.items():
        figures |= own("inferx", name, _statistics(values))
    concurrency = facts.data.get("concurrency")
    result = ForeignResult(
        tool="inferx",
        version=None,
        file=file,
        name=source.path.parent.name or source.path.stem,
        model=facts.text("model", "unknown"),
        engine=facts.text("engine", "unknown"),
        hardware=facts.text("hardware", "unknown"),
        counts=counts,
        duration_s=duration_s,
        prompt_tokens=int(tokens["prompt_tokens"]),
        output_tokens=int(tokens["resp_tokens"]),
        concurrency=None if concurrency is None else facts.whole("concurrency"),
        rate_per_s=facts.number("rate", nan) if concurrency is None else None,
        started_at=facts.text("started_at", "") or None,
        scalars={
            "request_throughput": counts.completed / duration_s,
            "input_throughput": tokens["prompt_tokens"] / duration_s,
            "output_throughput": tokens["resp_tokens"] / duration_s,
            "total_throughput": sum(tokens.values()) / duration_s,
            "error_rate": error_rate(counts),
        },
        figures=figures,
        columns={
            "inferx_ttft_ms": tuple(ttft_ms.tolist()),
            "inferx_tpot_ms": tuple(None if isnan(value) else value for value in tpot_ms.tolist()),
            "inferx_latency_ms": tuple(latency_ms.tolist()),
        },
        simulated=says_simulated(facts.data.get("simulated")),
    )
    return (result,)


def _numbers(rows: Sequence[Mapping[str, str | None]], name: str, file: str) -> Samples:
    values = []
    for place, row in enumerate(rows):
        text = row.get(name)
        try:
            values.append(float(text) if text else nan)
        except ValueError:
            raise ConfigError(f"{text!r} stands where a number belongs", file=file, line=place + 2, field=name) from None
    return np.array(values)


def _statistics(values: Samples) -> dict[str, float]:
    known = values[np.isfinite(values)]
    if not known.size:
        return {}
    percentiles = {f"p{percent}": float(np.percentile(known, percent)) for percent in (50, 90, 95, 99)}
    return {"mean": float(known.mean()), **percentiles, "max": float(known.max())}

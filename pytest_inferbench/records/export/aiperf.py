"""
aiperf's ``profile_export_aiperf.json`` and ``profile_export.jsonl``, a folder a case.

Rule: milliseconds for latencies, nanoseconds since the epoch for instants. Definitions: ``aiperf/metrics/types/``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pytest_inferbench.load.trace import MISSING, Outcome, Traces
from pytest_inferbench.metrics.metric import Samples
from pytest_inferbench.metrics.totals import window_ns
from pytest_inferbench.records.export import definitions
from pytest_inferbench.records.export.exportable import TOOL, Export, Exportable, ExportFile, iso, own_version, plain
from pytest_inferbench.records.export.spread import Spread

SCHEMA_VERSION = "1.4"
SUMMARY, REQUESTS = "profile_export_aiperf.json", "profile_export.jsonl"
_PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99)
_PER_USER = "tokens/sec/user"


def files(cases: Sequence[Exportable]) -> Export:
    """Summary and requests of each case."""
    found = []
    for case in cases:
        lines = "".join(json.dumps(plain(line), allow_nan=False) + "\n" for line in records(case.traces))
        found += [
            ExportFile(path=f"{case.name}/{SUMMARY}", content=plain(summary(case))),
            ExportFile(path=f"{case.name}/{REQUESTS}", content=lines),
        ]
    return Export(files=tuple(found))


def per_request(traces: Traces) -> Mapping[str, tuple[str, Samples]]:
    """Unit and value of each completed request, by aiperf's tags; NaN where it has none."""
    itl_s, output = definitions.aiperf_itl_s(traces), definitions.output_tokens(traces)
    first_s = definitions.to_first_token_s(traces)
    with np.errstate(divide="ignore", invalid="ignore"):
        user_rate = np.where(itl_s > 0, 1 / itl_s, np.nan)
        prefill = np.where(first_s > 0, definitions.prompt_tokens(traces) / first_s, np.nan)
    found: dict[str, tuple[str, Samples]] = {
        "request_latency": ("ms", definitions.to_last_token_s(traces) * 1e3),
        "time_to_first_token": ("ms", first_s * 1e3),
        "time_to_second_token": ("ms", _second_gap_s(traces) * 1e3),
        "inter_token_latency": ("ms", itl_s * 1e3),
        "output_token_throughput_per_user": (_PER_USER, user_rate),
        "prefill_throughput_per_user": (_PER_USER, prefill),
        "input_sequence_length": ("tokens", definitions.prompt_tokens(traces)),
        "output_sequence_length": ("tokens", output),
    }
    return found


def summary(case: Exportable) -> dict[str, Any]:
    """The summary of a case."""
    traces, counts = case.traces, case.summary.counts
    load = case.record.case.load
    pooled = {"inter_chunk_latency": ("ms", definitions.vllm_itl_s(traces) * 1e3)}
    found: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "aiperf_version": f"{TOOL} {own_version()}",
        "benchmark_id": f"{case.record.run_id}/{case.name}",
        **_scalars(traces),
    }
    for tag, (unit, values) in {**per_request(traces), **pooled}.items():
        if (~np.isnan(values)).any():
            found[tag] = _distribution(unit, Spread.of(values))
    return found | {
        "was_cancelled": bool(counts.cancelled),
        "error_summary": _errors(traces),
        "start_time": iso(case.started),
        "end_time": iso(case.ended),
        "metadata": {
            "tool": TOOL,
            "simulated": case.record.simulated,
            "case": case.name,
            "model": case.model,
            "engine": case.engine,
            "engine_version": case.engine_version,
            "hardware": case.gpu,
            "concurrency": load.concurrency,
            "request_rate": case.rate_per_s,
            "traffic": case.record.case.traffic.text,
        },
    }


def records(traces: Traces) -> list[dict[str, Any]]:
    """A line a request: who and when, and its figures or its error."""
    columns = per_request(traces)
    place = np.cumsum(traces.completed) - 1
    lines = []
    for row in range(len(traces)):
        done = bool(traces.completed[row])
        values = {tag: (unit, float(values[place[row]])) for tag, (unit, values) in columns.items()} if done else {}
        figures: dict[str, Any] = {
            tag: {"value": value, "unit": unit} for tag, (unit, value) in values.items() if not np.isnan(value)
        }
        gaps = traces.event_ns[traces.event_offset[row] : traces.event_offset[row + 1]]
        if done and len(gaps) > 1:
            figures["inter_chunk_latency"] = {"value": (np.diff(gaps) / 1e6).tolist(), "unit": "ms"}
        lines.append({"metadata": _metadata(traces, row), "metrics": figures, "error": _error(traces, row)})
    return lines


def _second_gap_s(traces: Traces) -> Samples:
    done = traces.completed
    starts, sizes = traces.event_offset[:-1][done], np.diff(traces.event_offset)[done]
    gaps = np.full(len(starts), np.nan)
    several = sizes > 1
    gaps[several] = (traces.event_ns[starts[several] + 1] - traces.event_ns[starts[several]]) / 1e9
    return gaps


def _scalars(traces: Traces) -> dict[str, Any]:
    start_ns, end_ns = window_ns(traces) or (0, 0)
    done = traces.completed
    last = np.where(traces.last_token_ns == MISSING, traces.end_ns, traces.last_token_ns)
    # From the first request to the last response of those that completed.
    first_ns = int(traces.send_ns[done].min()) if done.any() else start_ns
    last_ns = int(last[done].max()) if done.any() else end_ns
    duration_s = (last_ns - first_ns) / 1e9
    prompt, output = definitions.prompt_tokens(traces).sum(), definitions.output_tokens(traces).sum()

    def scalar(unit: str, value: float) -> dict[str, Any]:
        return {"unit": unit, "avg": value}

    def rate(unit: str, amount: float) -> dict[str, Any]:
        return scalar(unit, amount / duration_s if duration_s > 0 else float("nan"))

    return {
        "request_count": scalar("requests", int(done.sum())),
        "error_request_count": scalar("requests", int((~done).sum())),
        "request_throughput": rate("requests/sec", float(done.sum())),
        "output_token_throughput": rate("tokens/sec", float(output)),
        "input_token_throughput": rate("tokens/sec", float(prompt)),
        "total_token_throughput": rate("tokens/sec", float(prompt + output)),
        "benchmark_duration": scalar("sec", duration_s),
        "total_isl": scalar("tokens", float(prompt)),
        "total_osl": scalar("tokens", float(output)),
        "min_request_timestamp": scalar("ns", first_ns + traces.wall_offset_ns),
        "max_response_timestamp": scalar("ns", last_ns + traces.wall_offset_ns),
    }


def _distribution(unit: str, spread: Spread) -> dict[str, Any]:
    percentiles = {f"p{percent}": spread.percentile(percent) for percent in _PERCENTILES}
    ends = {"min": spread.least, "max": spread.most, "std": spread.std, "count": spread.count, "sum": spread.total}
    return {"unit": unit, "avg": spread.mean, **percentiles, **ends}


def _metadata(traces: Traces, row: int) -> dict[str, Any]:
    def wall(instant_ns: int) -> int | None:
        return None if instant_ns == MISSING else int(instant_ns + traces.wall_offset_ns)

    cancelled = bool(traces.outcome[row] == Outcome.CANCELLED)
    return {
        "session_num": row,
        "x_request_id": traces.request_id[row],
        "turn_index": 0,
        "credit_issued_ns": wall(int(traces.intended_send_ns[row])),
        "request_start_ns": wall(int(traces.send_ns[row])),
        "request_ack_ns": wall(int(traces.first_byte_ns[row])),
        "request_end_ns": wall(int(traces.end_ns[row])),
        "worker_id": TOOL,
        "record_processor_id": TOOL,
        "benchmark_phase": "profiling",
        "was_cancelled": cancelled,
    }


def _error(traces: Traces, row: int) -> dict[str, Any] | None:
    if traces.completed[row]:
        return None
    kind = Outcome(int(traces.outcome[row])).name.lower()
    return {"code": int(traces.status[row]) or None, "type": kind, "message": traces.errors.get(row, kind)}


def _errors(traces: Traces) -> list[dict[str, Any]]:
    lost = [_error(traces, int(row)) or {} for row in np.flatnonzero(~traces.completed)]
    counted = Counter(json.dumps(each) for each in lost)
    return [{"error_details": json.loads(text), "count": count} for text, count in counted.most_common()]

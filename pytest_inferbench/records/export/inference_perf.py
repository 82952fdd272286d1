"""
inference-perf's reports, a folder a case: summary, stage 0, every request, and ``config.yaml``.

Rule: seconds. Definitions: ``inference_perf/reportgen/base.py``. Texts of requests and answers are left out: they are not kept.
``config.yaml`` is JSON, which is YAML too.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from math import isinf
from typing import Any

import numpy as np

from pytest_inferbench.load.trace import MISSING, Traces
from pytest_inferbench.metrics.metric import Mask, Samples
from pytest_inferbench.metrics.totals import window_s
from pytest_inferbench.records.export import definitions
from pytest_inferbench.records.export.exportable import TOOL, Export, Exportable, ExportFile, own_version, plain
from pytest_inferbench.records.export.spread import Spread

SUMMARY, STAGE, REQUESTS = (
    "summary_lifecycle_metrics.json",
    "stage_0_lifecycle_metrics.json",
    "per_request_lifecycle_metrics.json",
)
CONFIG = "config.yaml"
_PERCENTILES = (0.1, 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9)


def files(cases: Sequence[Exportable]) -> Export:
    """The four files of each case."""
    found = []
    for case in cases:
        contents = {SUMMARY: summary(case), STAGE: stage(case), REQUESTS: requests(case.traces)}
        found += [ExportFile(path=f"{case.name}/{name}", content=plain(content)) for name, content in contents.items()]
        found.append(ExportFile(path=f"{case.name}/{CONFIG}", content=json.dumps(plain(config(case)), indent=2) + "\n"))
    return Export(files=tuple(found))


def summary(case: Exportable) -> dict[str, Any]:
    """The whole run."""
    traces = case.traces
    return {
        "benchmark_time_seconds": window_s(traces),
        "load_summary": {"count": _sent(traces), "schedule_delay": _summarize(_delays_s(traces))},
        "successes": _successes(traces),
        "failures": _failures(traces),
        "tool": TOOL,
        "simulated": case.record.simulated,
    }


def stage(case: Exportable) -> dict[str, Any]:
    """The same as a stage: with the rate that was asked for, and the one that came of it."""
    traces = case.traces
    sent_ns = traces.send_ns[traces.send_ns != MISSING]
    send_s = float(sent_ns.max() - sent_ns.min()) / 1e9 if len(sent_ns) else 0.0
    whole = summary(case)
    asked = {} if isinf(case.rate_per_s) else {"requested_rate": case.rate_per_s}
    achieved = len(sent_ns) / send_s if send_s > 0 else 0.0
    load = {**whole["load_summary"], "send_duration": send_s, **asked, "achieved_rate": achieved}
    if case.record.case.load.concurrency is not None:
        load["concurrency"] = case.record.case.load.concurrency
    return {**whole, "load_summary": load}


def config(case: Exportable) -> dict[str, Any]:
    """What inference-perf would have been told, as far as it has words for the case."""
    of_case, load = case.record.case, case.record.case.load
    stages: dict[str, Any] = {"duration": load.duration_s, "num_requests": load.requests}
    stages |= {"concurrency_level": load.concurrency} if load.concurrency is not None else {"rate": case.rate_per_s}
    return {
        "tool": TOOL,
        "tool_version": own_version(),
        "simulated": case.record.simulated,
        "api": {
            "type": "completion" if of_case.api.startswith("completions") else of_case.api,
            "streaming": of_case.api_options.stream,
        },
        "data": {"type": of_case.traffic.kind, "traffic": of_case.traffic.text},
        "load": {"type": "concurrent" if load.concurrency is not None else load.arrival, "stages": [stages]},
        "server": {"type": case.engine, "model_name": case.model, "hardware": case.gpu},
        "tokenizer": {"pretrained_model_name_or_path": of_case.model},
    }


def requests(traces: Traces) -> list[dict[str, Any]]:
    """A row a request that was sent."""
    columns = {
        "request_latency": definitions.to_end_s(traces),
        "normalized_time_per_output_token": definitions.ntpot_s(traces),
        "time_to_first_token": definitions.inference_perf_ttft_s(traces),
        "time_per_output_token": definitions.inference_perf_tpot_s(traces),
    }
    place = np.cumsum(traces.completed) - 1
    rows = []
    for row in np.flatnonzero(traces.send_ns != MISSING).tolist():
        entry = _entry(traces, row)
        if traces.completed[row]:
            entry["computed_metrics"] = {name: float(values[place[row]]) for name, values in columns.items()}
            entry["computed_metrics"] |= {
                "input_tokens": _prompt(traces)[row],
                "output_tokens": max(int(traces.output_tokens[row]), 0),
            }
        rows.append(entry)
    return rows


def _entry(traces: Traces, row: int) -> dict[str, Any]:
    events = slice(int(traces.event_offset[row]), int(traces.event_offset[row + 1]))
    times_ns = np.repeat(traces.event_ns[events], traces.event_tokens[events])
    info = {
        "request_metrics": {"text": {"input_tokens": int(_prompt(traces)[row])}},
        "response_metrics": {
            "output_tokens": max(int(traces.output_tokens[row]), 0),
            "output_token_times": (times_ns / 1e9).tolist(),
            "chunk_times": (traces.event_ns[events] / 1e9).tolist(),
        },
    }
    error = None if traces.completed[row] else {"error_type": _kind(traces, row), "error_msg": traces.errors.get(row, "")}
    return {
        "start_time": int(traces.send_ns[row]) / 1e9,
        "end_time": int(traces.end_ns[row]) / 1e9,
        "info": info,
        "error": error,
    }


def _prompt(traces: Traces) -> Any:
    return np.where(traces.prompt_tokens == MISSING, traces.prompt_tokens_asked, traces.prompt_tokens)


def _sent(traces: Traces) -> int:
    return int((traces.send_ns != MISSING).sum())


def _delays_s(traces: Traces) -> Samples:
    sent = traces.send_ns != MISSING
    delays: Samples = (traces.send_ns - traces.intended_send_ns)[sent] / 1e9
    return delays


def _successes(traces: Traces) -> dict[str, Any]:
    prompt, output = definitions.prompt_tokens(traces), definitions.output_tokens(traces)
    duration_s = window_s(traces)

    def rate(amount: float) -> float:
        return amount / duration_s if duration_s > 0 else 0.0

    return {
        "count": int(traces.completed.sum()),
        "latency": {
            "request_latency": _summarize(definitions.to_end_s(traces)),
            "normalized_time_per_output_token": _summarize(definitions.ntpot_s(traces)),
            "time_per_output_token": _summarize(definitions.inference_perf_tpot_s(traces)),
            "time_to_first_token": _summarize(definitions.inference_perf_ttft_s(traces)),
            "inter_token_latency": _summarize(definitions.inference_perf_itl_s(traces)),
        },
        "throughput": {
            "input_tokens_per_sec": rate(float(prompt.sum())),
            "output_tokens_per_sec": rate(float(output.sum())),
            "total_tokens_per_sec": rate(float(prompt.sum() + output.sum())),
            "requests_per_sec": rate(int(traces.completed.sum())),
        },
        "prompt_tokens": _tokens(prompt, _cached(traces)),
        "output_len": _summarize(output),
        "output_tokens": {"total": float(output.sum()), **(_summarize(output) or {})},
    }


def _cached(traces: Traces) -> float:
    cached = traces.cached_tokens[traces.completed]
    return float(cached[cached != MISSING].sum())


def _tokens(prompt: Samples, cached: float) -> dict[str, Any]:
    total = float(prompt.sum())
    return {"total": total, "cached": cached, "uncached": max(total - cached, 0.0), **(_summarize(prompt) or {})}


def _failures(traces: Traces) -> dict[str, Any]:
    lost: Mask = ~traces.completed & (traces.send_ns != MISSING)
    labels: dict[str, list[str]] = defaultdict(list)
    for row in np.flatnonzero(lost).tolist():
        labels[_kind(traces, row)].append(traces.errors.get(row, ""))
    by_label = {
        label: {"count": len(texts), "messages": [{"message": text} for text in dict.fromkeys(texts)]}
        for label, texts in sorted(labels.items(), key=lambda pair: -len(pair[1]))
    }
    taken_s: Samples = (traces.end_ns - traces.send_ns)[lost] / 1e9
    return {
        "count": int(lost.sum()),
        "request_latency": _summarize(taken_s),
        "prompt_tokens": _tokens(_prompt(traces)[lost].astype(np.float64), 0.0),
        "by_label": by_label,
    }


def _kind(traces: Traces, row: int) -> str:
    """inference-perf's first word of an error: its HTTP status, else what became of the request."""
    status = int(traces.status[row])
    names = {1: "failed", 2: "Timeout", 3: "cancelled"}
    return f"HTTP Error {status}" if status >= 400 else names.get(int(traces.outcome[row]), "failed")


def _summarize(values: Samples) -> dict[str, float] | None:
    spread = Spread.of(values)
    if not spread.count:
        return None
    found = {"mean": spread.mean, "min": spread.least, "max": spread.most}
    return found | {"median" if percent == 50 else f"p{percent:g}": spread.percentile(percent) for percent in _PERCENTILES}

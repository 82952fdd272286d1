"""
Hugging Face inference-benchmarker's JSON: all cases of a run in one file.

Rule: milliseconds. TTFT and inter-token latency are those of this plugin's definitions from the actual send, for events with text
(``src/results.rs``: inter-token latency is the gap between events, the end-to-end latency ends with the answer).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isinf
from typing import Any

from pytest_inferbench.metrics.metric import Samples
from pytest_inferbench.metrics.totals import window_s
from pytest_inferbench.records.export import definitions
from pytest_inferbench.records.export.exportable import TOOL, Export, Exportable, ExportFile, own_version, plain
from pytest_inferbench.records.export.spread import Spread

_PERCENTILES = (50, 60, 70, 80, 90, 95, 99)


def files(cases: Sequence[Exportable]) -> Export:
    """One file with a result a case."""
    report = {
        "config": {"tool": f"{TOOL} {own_version()}", "simulated": any(case.record.simulated for case in cases)},
        "results": [result(case) for case in cases],
        "start_time": min((case.record.started_at for case in cases), default=""),
        "end_time": max((case.ended.isoformat() for case in cases), default=""),
        "system": {"hardware": sorted({case.gpu for case in cases})},
    }
    return Export(files=(ExportFile(path="inference-benchmarker.json", content=plain(report)),))


def result(case: Exportable) -> dict[str, Any]:
    """One case."""
    traces, counts, load = case.traces, case.summary.counts, case.record.case.load
    duration_s = window_s(traces)
    prompt, output = definitions.prompt_tokens(traces).sum(), definitions.output_tokens(traces).sum()
    return {
        "id": case.name,
        "executor_type": "ConstantVUs" if load.concurrency is not None else "ConstantArrivalRate",
        "config": {
            "max_vus": load.concurrency or load.max_in_flight,
            "duration_secs": load.duration_s,
            "rate": None if isinf(case.rate_per_s) else case.rate_per_s,
            "simulated": case.record.simulated,
            "model": case.model,
        },
        "total_requests": counts.attempted,
        "total_tokens": output,
        "token_throughput_secs": output / duration_s,
        "duration_ms": duration_s * 1e3,
        "time_to_first_token_ms": _latency(definitions.to_first_token_s(traces)),
        "inter_token_latency_ms": _latency(definitions.vllm_itl_s(traces)),
        "e2e_latency_ms": _latency(definitions.to_end_s(traces)),
        "failed_requests": counts.attempted - counts.completed,
        "successful_requests": counts.completed,
        "request_rate": counts.completed / duration_s,
        "total_tokens_sent": prompt,
    }


def _latency(values_s: Samples) -> dict[str, float]:
    spread = Spread.of(values_s * 1e3)
    return {**{f"p{percent}": spread.percentile(percent) for percent in _PERCENTILES}, "avg": spread.mean}

"""
llm-d's Benchmark Report 0.2, a ``.yaml`` file a case (JSON, which is YAML too).

Rule: the schema allows no field of one's own, so that a simulated case is marked in its description, keywords and accelerator.
Latencies are seconds under inference-perf's definitions, which llm-d takes as they are (``native_to_br0_2.py``); the tool of the
load says who measured.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from math import isinf, isnan
from typing import Any

from pytest_inferbench.cases.case import Lengths
from pytest_inferbench.metrics.metric import Samples
from pytest_inferbench.metrics.totals import window_s
from pytest_inferbench.records.codec import encode
from pytest_inferbench.records.export import definitions
from pytest_inferbench.records.export.exportable import TOOL, Export, Exportable, ExportFile, iso, own_version, plain
from pytest_inferbench.records.export.spread import Spread
from pytest_inferbench.records.redact import redact_record

VERSION = "0.2"
_PERCENTILES = {
    "p0p1": 0.1,
    "p1": 1,
    "p5": 5,
    "p10": 10,
    "p25": 25,
    "p50": 50,
    "p75": 75,
    "p90": 90,
    "p95": 95,
    "p99": 99,
    "p99p9": 99.9,
}


def files(cases: Sequence[Exportable]) -> Export:
    """A report a case."""
    return Export(
        files=tuple(
            ExportFile(
                path=f"benchmark_report_v{VERSION}_{case.name}.yaml", content=json.dumps(plain(report(case)), indent=2) + "\n"
            )
            for case in cases
        )
    )


def report(case: Exportable) -> dict[str, Any]:
    """Everything that the schema asks for, and what is known beside it."""
    mark = ["simulated"] if case.record.simulated else []
    say = "Simulated: nothing in this report was measured on real hardware. " if case.record.simulated else ""
    return {
        "version": VERSION,
        "run": {
            "uid": _digest(f"{case.record.run_id}/{case.name}"),
            "eid": case.record.run_id,
            "time": {"start": iso(case.started), "end": iso(case.ended), "duration": f"PT{window_s(case.traces):.6f}S"},
            "description": f"{say}{case.record.node_id}",
            "keywords": [*mark, TOOL, case.record.case.suite],
        },
        "scenario": {"stack": [_server(case)], "load": _load(case)},
        "results": {"request_performance": {"aggregate": _aggregate(case)}},
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _server(case: Exportable) -> dict[str, Any]:
    of_case = redact_record(case.record).case
    arguments = dict(of_case.engine.args)
    return {
        "metadata": {"label": f"{case.engine}-0", "cfg_id": of_case.server_key},
        "standardized": {
            "kind": "inference_engine",
            "tool": case.engine,
            "tool_version": case.engine_version or "unknown",
            "role": "replica",
            "replicas": 1,
            "model": {"name": case.model},
            "accelerator": {
                "model": case.gpu,
                "count": of_case.gpus,
                "parallelism": {"tp": of_case.tensor_parallel, "dp": 1, "dp_local": 1, "workers": 1, "ep": 1, "pp": 1},
            },
        },
        "native": {"args": arguments, "envars": dict(of_case.engine.env)},
    }


def _load(case: Exportable) -> dict[str, Any]:
    record = redact_record(case.record)
    of_case = record.case
    load, traffic = of_case.load, of_case.traffic
    prompt = Spread.of(definitions.prompt_tokens(case.traces)).mean
    standard: dict[str, Any] = {
        "tool": f"simulated-{TOOL}" if case.record.simulated else TOOL,
        "tool_version": own_version(),
        "source": "sampled" if traffic.dataset else "random",
        "input_seq_len": _length(traffic.input_tokens, mean=prompt),
    }
    if traffic.output_tokens.first:
        standard["output_seq_len"] = _length(traffic.output_tokens, mean=0.0)
    if not isinf(case.rate_per_s):
        standard["rate_qps"] = case.rate_per_s
    if load.concurrency is not None:
        standard["concurrency"] = load.concurrency
    if traffic.turns > 1:
        standard["multi_turn"] = {"enabled": True, "max_turns": {"distribution": "fixed", "value": traffic.turns}}
    config = {"traffic": traffic.text, "load": plain(encode(load)), "command": record.again}
    return {
        "metadata": {"cfg_id": _digest(repr((traffic, load))), "description": f"{traffic.text} at {load.label}"},
        "standardized": standard,
        "native": {"config": config},
    }


def _length(lengths: Lengths, *, mean: float) -> dict[str, Any]:
    """A distribution of lengths; the mean of what was sent where the schema has no word for it."""
    if lengths.kind == "fixed":
        return {"distribution": "fixed", "value": lengths.first}
    if lengths.kind == "normal":
        return {"distribution": "gaussian", "value": lengths.first, "std_dev": lengths.second}
    if lengths.kind == "uniform":
        middle = (lengths.first + lengths.second) / 2
        return {"distribution": "uniform", "value": middle, "min": lengths.first, "max": max(lengths.second - 1, 1)}
    return {"distribution": "other", "value": lengths.first or mean}


def _aggregate(case: Exportable) -> dict[str, Any]:
    traces, counts, duration_s = case.traces, case.summary.counts, window_s(case.traces)
    prompt, output = definitions.prompt_tokens(traces), definitions.output_tokens(traces)
    latencies = {
        "time_to_first_token": ("s", definitions.inference_perf_ttft_s(traces)),
        "normalized_time_per_output_token": ("s/token", definitions.ntpot_s(traces)),
        "time_per_output_token": ("s/token", definitions.inference_perf_tpot_s(traces)),
        "inter_token_latency": ("s/token", definitions.inference_perf_itl_s(traces)),
        "request_latency": ("s", definitions.to_end_s(traces)),
    }
    rates = {
        "input_token_rate": ("tokens/s", float(prompt.sum())),
        "output_token_rate": ("tokens/s", float(output.sum())),
        "total_token_rate": ("tokens/s", float((prompt + output).sum())),
        "request_rate": ("queries/s", float(counts.completed)),
    }
    return {
        "requests": {
            "total": counts.attempted,
            "failures": counts.failed + counts.timed_out,
            "incomplete": counts.cancelled,
            "input_length": _statistics("count", prompt),
            "output_length": _statistics("count", output),
        },
        "latency": {name: _statistics(units, values) for name, (units, values) in latencies.items()},
        "throughput": {
            name: {"units": units, "mean": amount / duration_s} for name, (units, amount) in rates.items() if not isnan(amount)
        },
    }


def _statistics(units: str, values: Samples) -> dict[str, Any] | None:
    spread = Spread.of(values)
    if not spread.count:
        return None
    percentiles = {name: spread.percentile(percent) for name, percent in _PERCENTILES.items()}
    ends = {"min": spread.least, "max": spread.most, "stddev": spread.std}
    return {"units": units, "mean": spread.mean, **ends, **percentiles}

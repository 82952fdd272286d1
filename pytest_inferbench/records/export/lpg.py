"""
LPG's result JSON (the load generator of the Gateway API inference extension), one file a case.

Rule: milliseconds. Definitions: LPG ``benchmark_serving.py``. Its ``tpot`` is L / n. Server metrics come from Cloud Monitoring
there, and are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pytest_inferbench.load.trace import Traces
from pytest_inferbench.metrics.metric import Samples
from pytest_inferbench.metrics.totals import window_s
from pytest_inferbench.records.export import definitions
from pytest_inferbench.records.export.exportable import TOOL, Export, Exportable, ExportFile, plain
from pytest_inferbench.records.export.spread import Spread

_PREFIX = "latency-profile"


def files(cases: Sequence[Exportable]) -> Export:
    """A file a case, named as LPG names it; the prefix ends in the case."""
    found = []
    for case in cases:
        model = case.model.replace("/", "-")
        name = f"{_PREFIX}-{case.name}-{case.engine}-{case.rate_per_s}qps-{case.stamp}-{model}.json"
        found.append(ExportFile(path=name, content=plain(result(case))))
    return Export(files=tuple(found))


def samples_ms(traces: Traces) -> Mapping[str, Samples]:
    """What LPG takes statistics of, by its names."""
    found = {
        "latency_ms": definitions.to_end_s(traces) * 1e3,
        "normalized_time_per_output_token_ms": definitions.lpg_tpot_s(traces) * 1e3,
        "input_len": definitions.prompt_tokens(traces),
        "output_len": definitions.output_tokens(traces),
    }
    return found | ({"TTFT_ms": definitions.to_first_token_s(traces) * 1e3} if len(traces.event_ns) else {})


def statistics(values: Samples) -> dict[str, float]:
    """Its statistics; all 0 where there is no value."""
    spread = Spread.of(values) if (~np.isnan(values)).any() else Spread(np.zeros(1))
    ends = {"min": spread.least, "max": spread.most, "p90": spread.percentile(90), "p99": spread.percentile(99)}
    return {"mean": spread.mean, "median": spread.percentile(50), "sd": spread.std, **ends}


def result(case: Exportable) -> dict[str, Any]:
    """Everything that LPG writes."""
    traces, counts = case.traces, case.summary.counts
    duration_s = window_s(traces)
    prompt, output = definitions.prompt_tokens(traces).sum(), definitions.output_tokens(traces).sum()
    metrics: dict[str, Any] = {
        "num_prompts_attempted": counts.attempted,
        "num_prompts_succeeded": counts.completed,
        "request_rate": case.rate_per_s,
        "queries_per_second": counts.attempted / duration_s,
        "throughput_rps": counts.attempted / duration_s,
        "benchmark_time": duration_s,
        "throughput": output / duration_s,
        "total_output_token": output,
        "total_input_tokens": prompt,
        "input_tokens_per_sec": prompt / duration_s,
        "total_tokens": prompt + output,
        "tokens_per_sec": (prompt + output) / duration_s,
        "server_metrics": {},
    }
    every = {name: statistics(values) for name, values in samples_ms(traces).items()}
    for name, figures in every.items():
        metrics |= {f"{'avg' if statistic == 'mean' else statistic}_{name}": value for statistic, value in figures.items()}
    stat = {
        "request_rate": case.rate_per_s,
        "request_latency": every["latency_ms"],
        "throughput": {"mean": output / duration_s},
        "input_length": every["input_len"],
        "output_length": every["output_len"],
        "tpot": every["normalized_time_per_output_token_ms"],
        "model_server_metrics": [],
    }
    if "TTFT_ms" in every:
        stat["ttft"] = every["TTFT_ms"]
    return {
        "metrics": metrics,
        "dimensions": _dimensions(case),
        "config": {
            "model": case.model,
            "num_models": 1,
            "model_server": case.engine,
            "start_time": {"seconds": int(case.started.timestamp()), "nanos": 0},
        },
        "summary_stats": {"stats": [stat]},
    }


def _dimensions(case: Exportable) -> dict[str, str]:
    """Texts of the user's own are allowed here: so users of a closed loop, which LPG has no word for."""
    users = case.record.case.load.concurrency
    return ({} if users is None else {"concurrency": str(users)}) | {
        "date": case.stamp,
        "backend": case.engine,
        "model_id": case.model,
        "tokenizer_id": case.record.case.model,
        "tool": TOOL,
        "simulated": str(case.record.simulated).lower(),
        "hardware": case.gpu,
    }

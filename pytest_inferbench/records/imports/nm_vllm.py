"""
nm-vllm's ``BenchmarkResult`` JSON.

Its latencies begin at the first chunk and its TPOT counts tokens anew: they keep its names.
"""

from __future__ import annotations

import re
from math import nan

from pytest_inferbench.records.imports.foreign import ForeignResult, counts_of, error_rate, says_simulated
from pytest_inferbench.records.imports.source import Source

_RATES = {
    "request_throughput": "request_throughput",
    "input_throughput": "input_throughput",
    "output_throughput": "output_throughput",
}
_LATENCY = re.compile(r"(mean|median|p90|p99)_(ttft_ms|tpot_ms|request_latency)")
_STATISTICS = {"mean": "mean", "median": "p50", "p90": "p90", "p99": "p99"}


def recognises(source: Source) -> bool:
    """Whether it is such a file."""
    return isinstance(source.data, dict) and {"json_schema_version", "script_name", "metrics"} <= set(source.data)


def read(source: Source) -> tuple[ForeignResult, ...]:
    """Its one result."""
    fields = source.fields
    facts, metrics = fields.maybe("metadata"), fields.within("metrics")
    values = {key: metrics.within(key).number("value") for key in metrics.data}
    figures = {}
    for key, value in values.items():
        latency = _LATENCY.fullmatch(key)
        if latency is not None:
            metric = "request_latency_ms" if latency[2] == "request_latency" else latency[2]
            figures[f"nm_vllm_{metric}_{_STATISTICS[latency[1]]}"] = value
        elif key not in _RATES:
            figures[f"nm_vllm_{key}"] = value
    counts = counts_of(attempted=facts.whole("num_prompts", 0), completed=facts.whole("completed", 0))
    users = None if facts.data.get("concurrency") is None else facts.whole("concurrency")
    hardware, _, _ = fields.text("gpu_description", "unknown").rpartition(" x ")
    result = ForeignResult(
        tool="nm-vllm",
        version=fields.text("vllm_version", "") or None,
        file=str(source.path),
        name=fields.text("description", "") or source.path.stem,
        model=fields.text("model"),
        engine="vllm",
        engine_version=fields.text("vllm_version", "") or None,
        hardware=hardware or fields.text("gpu_description", "unknown"),
        tensor_parallel=fields.whole("tensor_parallel_size", 1),
        counts=counts,
        duration_s=facts.number("duration", nan),
        prompt_tokens=int(facts.number("total_input", 0)),
        output_tokens=int(facts.number("total_output", 0)),
        concurrency=users,
        rate_per_s=facts.number("request_rate", float("inf")) if users is None else None,
        scalars={ours: values[theirs] for theirs, ours in _RATES.items() if theirs in values}
        | {"error_rate": error_rate(counts)},
        figures=figures,
        simulated=says_simulated(facts.data.get("simulated")),
    )
    return (result,)

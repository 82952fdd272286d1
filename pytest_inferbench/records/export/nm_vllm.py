"""
nm-vllm's ``BenchmarkResult`` JSON, one file a case: metrics with unit and direction.

Rule: milliseconds. Definitions: nm-vllm ``benchmark_serving.py``; directions: its metric templates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_inferbench.metrics.metric import Samples
from pytest_inferbench.metrics.totals import window_s
from pytest_inferbench.records.export import definitions
from pytest_inferbench.records.export.exportable import TOOL, Export, Exportable, ExportFile, own_version, plain
from pytest_inferbench.records.export.spread import Spread

BIGGER, SMALLER, OBSERVATION = "BiggerIsBetter", "SmallerIsBetter", "Observation"


@dataclass(frozen=True, slots=True, kw_only=True)
class NmMetric:
    """One metric: key, unit, value and direction."""

    key: str
    unit: str
    value: float
    type: str


def files(cases: Sequence[Exportable]) -> Export:
    """A file a case, named as nm-vllm names it, after the case."""
    found = []
    for case in cases:
        model = case.model.replace("/", "_")
        name = f"benchmark_serving-{case.name}-{case.engine}-{case.rate_per_s}qps-{model}-{case.stamp}.json"
        found.append(ExportFile(path=name, content=plain(result(case))))
    return Export(files=tuple(found))


def metrics(case: Exportable) -> Iterator[NmMetric]:
    """All metrics of its templates that have a value here."""
    traces, duration_s = case.traces, window_s(case.traces)
    prompt, output = definitions.prompt_tokens(traces).sum(), definitions.output_tokens(traces).sum()
    rates = {
        "request_throughput": ("prompts/s", case.summary.counts.completed / duration_s),
        "input_throughput": ("tokens/s", prompt / duration_s),
        "output_throughput": ("tokens/s", output / duration_s),
    }
    yield from (NmMetric(key=key, unit=unit, value=float(value), type=BIGGER) for key, (unit, value) in rates.items())
    latency = Spread.of(definitions.to_last_token_s(traces) * 1e3)
    yield NmMetric(key="median_request_latency", unit="ms", value=latency.percentile(50), type=SMALLER)
    for percent in (90, 99):
        yield NmMetric(key=f"p{percent}_request_latency", unit="ms", value=latency.percentile(percent), type=OBSERVATION)
    samples: dict[str, Samples] = {"ttft": definitions.to_first_token_s(traces), "tpot": definitions.vllm_tpot_s(traces)}
    for name, values_s in samples.items():
        spread = Spread.of(values_s * 1e3)
        yield NmMetric(key=f"mean_{name}_ms", unit="ms", value=spread.mean, type=SMALLER)
        yield NmMetric(key=f"median_{name}_ms", unit="ms", value=spread.percentile(50), type=SMALLER)
        for percent in (90, 99):
            yield NmMetric(key=f"p{percent}_{name}_ms", unit="ms", value=spread.percentile(percent), type=OBSERVATION)


def result(case: Exportable) -> dict[str, Any]:
    """Everything that nm-vllm writes."""
    traces, of_case, counts = case.traces, case.record.case, case.summary.counts
    output = definitions.output_tokens(traces).sum()
    found = {
        each.key: {"key": each.key, "unit": each.unit, "value": each.value, "type": each.type}
        for each in metrics(case)
        if not np.isnan(each.value)
    }
    mark = "simulated: " if case.record.simulated else ""
    arguments = {"nr-qps-pair_": [f"{counts.attempted},{case.rate_per_s}"], "dataset": [of_case.traffic.text]}
    return {
        "json_schema_version": "0.0.0",
        "vllm_version": case.engine_version or "unknown",
        "benchmarking_context": {
            "vllm_version": case.engine_version or "unknown",
            "python_version": "unknown",
            "torch_version": "unknown",
            "torch_cuda_version": "unknown",
            "cuda_devices": "unknown",
            "cuda_device_names": [case.gpu] * of_case.gpus,
        },
        "description": f"{mark}{case.name}",
        "gpu_description": f"{case.gpu} x {of_case.tensor_parallel}",
        "date": f"{case.started:%Y-%m-%d %H:%M:%S %Z}",
        "epoch_time": int(case.started.timestamp()),
        "script_name": f"{TOOL} {own_version()}",
        "script_args": arguments,
        "tensor_parallel_size": of_case.tensor_parallel,
        "model": case.model,
        "tokenizer": of_case.model,
        "dataset": "synthetic" if of_case.traffic.dataset is None else of_case.traffic.dataset.path,
        "metadata": {
            "completed": counts.completed,
            "duration": window_s(traces),
            "total_input": definitions.prompt_tokens(traces).sum(),
            "total_output": output,
            "num_prompts": counts.attempted,
            "request_rate": case.rate_per_s,
            "simulated": case.record.simulated,
            # It has no word for a closed loop: without this it would look as if all had been sent at once.
            "concurrency": of_case.load.concurrency,
        },
        "metrics": found,
    }

"""
The Gateway API inference extension's ``benchmark.proto`` with its results filled in, as protobuf text, one file a case.

Rule: milliseconds, LPG's definitions (see `lpg`). Written by hand: the format is fields, braces and quoted text, and needs no
library.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

from pytest_inferbench.metrics.totals import window_s
from pytest_inferbench.records.export import definitions, lpg
from pytest_inferbench.records.export.exportable import Export, Exportable, ExportFile

_SOURCES = {
    "request_latency": "latency_ms",
    "input_length": "input_len",
    "output_length": "output_len",
    "ttft": "TTFT_ms",
    "tpot": "normalized_time_per_output_token_ms",
}


def files(cases: Sequence[Exportable]) -> Export:
    """A ``Benchmarks`` message with one benchmark, for each case."""
    return Export(
        files=tuple(ExportFile(path=f"{case.name}/benchmark.pbtxt", content=textproto(benchmarks(case))) for case in cases)
    )


def benchmarks(case: Exportable) -> dict[str, Any]:
    """The message, as its fields by name."""
    of_case = case.record.case
    output = float(definitions.output_tokens(case.traces).sum())
    every = {name: lpg.statistics(values) for name, values in lpg.samples_ms(case.traces).items()}
    stat: dict[str, Any] = {"request_rate": case.rate_per_s}
    stat |= {field: {"name": field, **every[source]} for field, source in _SOURCES.items() if source in every}
    stat["throughput"] = {"name": "throughput", "mean": output / window_s(case.traces)}
    describe = "simulated: nothing was measured on real hardware" if case.record.simulated else case.record.node_id
    if of_case.load.concurrency is not None:
        # The message has rates only, and an infinite one would mean that all were sent at once.
        describe += f"; closed loop of {of_case.load.concurrency} users"
    benchmark = {
        "name": case.name,
        "benchmark_case": {"name": case.name, "description": describe},
        "config": {
            "model_server": {
                "image": of_case.engine.image or case.engine,
                "accelerator": case.gpu,
                "replicas": 1,
                "vllm": {"tensor_parallelism": str(of_case.tensor_parallel), "model": case.model},
            },
            "benchmark_tool": {"lpg": {"models": case.model, "request_rates": f"{case.rate_per_s:.1f}"}},
        },
        "result": {"stats": stat},
        "start_time": {"seconds": int(case.started.timestamp())},
    }
    return {"benchmarks": benchmark}


def textproto(fields: Mapping[str, Any]) -> str:
    """A message as protobuf text; numbers that are none are left out, an infinite one is ``inf``."""
    return "\n".join(_lines(fields, "")) + "\n"


def _lines(fields: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield f"{indent}{name} {{"
            yield from _lines(value, indent + "  ")
            yield f"{indent}}}"
        elif isinstance(value, str):
            # JSON's escapes are protobuf text's too.
            yield f"{indent}{name}: {json.dumps(value)}"
        elif isinstance(value, int):
            yield f"{indent}{name}: {value}"
        elif isfinite(value):
            yield f"{indent}{name}: {float(value)!r}"
        elif value > 0:
            yield f"{indent}{name}: inf"

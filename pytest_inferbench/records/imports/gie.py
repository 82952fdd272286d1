"""
``benchmark.pbtxt`` of the Gateway API inference extension, where its results are filled in: a result a rate of each benchmark.

Figures are LPG's (see `lpg`).
"""

from __future__ import annotations

import re
from math import nan
from typing import Any

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.metrics.summary import Counts
from pytest_inferbench.records.imports import lpg
from pytest_inferbench.records.imports.foreign import ForeignResult
from pytest_inferbench.records.imports.protobuf_text import parse
from pytest_inferbench.records.imports.source import Fields, Source

_SUFFIXES = (".pbtxt", ".textproto", ".txtpb", ".textpb")


def recognises(source: Source) -> bool:
    """Whether it is such a file, with or without results."""
    return source.path.suffix in _SUFFIXES and re.search(r"^\s*benchmarks\s*:?\s*[{<]", source.text, re.MULTILINE) is not None


def read(source: Source) -> tuple[ForeignResult, ...]:
    """
    A result for each rate of each benchmark.

    Raises:
        ConfigError: it has no results.
    """
    file = str(source.path)
    message = parse(source.text, file)
    results = []
    for place, benchmark in enumerate(message.get("benchmarks", [])):
        fields = Fields(file=file, data=_single(benchmark), place=f"benchmarks[{place}]")
        found = fields.maybe("result").data.get("stats", [])
        stats = found if isinstance(found, list) else [found]
        results += [_result(fields, Fields(file=file, data=stat, place=f"{fields.place}.result.stats")) for stat in stats]
    if not results:
        raise ConfigError("it says what to measure and holds no results (no benchmarks.result.stats)", file=file)
    return tuple(results)


def _single(value: Any) -> Any:
    """Fields that stand once as what they are, and those that are repeated as lists."""
    if not isinstance(value, dict):
        return value
    found = {name: [_single(each) for each in values] for name, values in value.items()}
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _result(benchmark: Fields, stat: Fields) -> ForeignResult:
    server = benchmark.maybe("config").maybe("model_server")
    output, rate = stat.maybe("throughput").number("mean", nan), stat.number("request_rate", nan)
    described = benchmark.maybe("benchmark_case").text("description", "")
    users = re.search(r"; closed loop of (\d+) users$", described)
    name = benchmark.text("name", "") or benchmark.maybe("benchmark_case").text("name", "benchmark")
    return ForeignResult(
        tool="gie",
        version=None,
        file=benchmark.file,
        name=name,
        model=server.maybe("vllm").text("model", "unknown"),
        engine=server.text("image", "unknown"),
        hardware=server.text("accelerator", "unknown"),
        tensor_parallel=int(server.maybe("vllm").number("tensor_parallelism", 1)),
        # The message has no place for counts.
        counts=Counts(attempted=0, completed=0, failed=0, timed_out=0, cancelled=0),
        duration_s=nan,
        concurrency=int(users[1]) if users else None,
        rate_per_s=None if users else rate,
        scalars={"output_throughput": output},
        figures=lpg.figures(stat),
        simulated=described.startswith("simulated") or server.text("accelerator", "").startswith("simulated-"),
    )

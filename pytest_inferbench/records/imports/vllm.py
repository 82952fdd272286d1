"""
vLLM's ``--save-result`` JSON.

Its latencies begin at the first chunk, even an empty one, and end at the last: they are not ours, and keep vLLM's names.
"""

from __future__ import annotations

from math import isinf
from typing import Any

from pytest_inferbench.records.imports.foreign import ForeignResult, counts_of, error_rate, own, says_simulated
from pytest_inferbench.records.imports.source import Fields, Source

_NAMES = {"mean": "mean_{}_ms", "p50": "median_{}_ms", "p90": "p90_{}_ms", "p95": "p95_{}_ms", "p99": "p99_{}_ms"}
_LISTS = {"ttfts": "vllm_ttft_s", "latencies": "vllm_e2el_s", "input_lens": "prompt_tokens", "output_lens": "output_tokens"}


def recognises(source: Source) -> bool:
    """Whether it is such a file."""
    keys = {"model_id", "backend", "request_throughput", "num_prompts", "max_concurrency"}
    return isinstance(source.data, dict) and keys <= set(source.data)


def read(source: Source) -> tuple[ForeignResult, ...]:
    """Its one result."""
    fields = source.fields
    attempted, completed = fields.whole("num_prompts"), fields.whole("completed")
    counts = counts_of(attempted=attempted, completed=completed)
    rate, concurrency = fields.number("request_rate"), fields.data["max_concurrency"]
    closed = concurrency is not None and isinf(rate)
    figures: dict[str, float] = {}
    for metric in ("ttft", "tpot", "itl", "e2el"):
        names = {ours: theirs.format(metric) for ours, theirs in _NAMES.items()}
        figures |= own("vllm", f"{metric}_ms", fields.statistics(names))
    result = ForeignResult(
        tool="vllm",
        version=None,
        file=str(source.path),
        name=fields.text("label", "") or source.path.stem,
        model=fields.text("model_id"),
        engine=fields.text("engine", "vllm"),
        hardware=fields.text("hardware", "unknown"),
        tensor_parallel=fields.whole("tensor_parallel_size", 1),
        counts=counts,
        duration_s=fields.number("duration"),
        prompt_tokens=fields.whole("total_input_tokens", 0),
        output_tokens=fields.whole("total_output_tokens", 0),
        concurrency=fields.whole("max_concurrency") if closed else None,
        rate_per_s=None if closed else rate,
        started_at=_started(fields.text("date", "")),
        scalars=_scalars(fields) | {"error_rate": error_rate(counts)},
        figures=figures,
        columns=_columns(fields),
        simulated=says_simulated(fields.data.get("simulated")),
    )
    return (result,)


def _scalars(fields: Fields) -> dict[str, float]:
    names = {
        "request_throughput": "request_throughput",
        "output_throughput": "output_throughput",
        "total_throughput": "total_token_throughput",
        "goodput": "request_goodput",
    }
    return fields.statistics(names)


def _columns(fields: Fields) -> dict[str, tuple[float | None, ...]]:
    found: dict[str, tuple[float | None, ...]] = {}
    for theirs, ours in _LISTS.items():
        if theirs in fields.data:
            found[ours] = tuple(_value(fields, theirs, value) for value in fields.items(theirs))
    # The plain file keeps some lists and not the others; a table needs all of one length.
    return found if len({len(values) for values in found.values()}) <= 1 else {}


def _value(fields: Fields, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise fields.wrong(name, value, "a number")
    return float(value)


def _started(stamp: str) -> str | None:
    """``20261122-074501`` in the local time of whoever measured; taken for UTC."""
    digits = stamp.replace("-", "")
    if len(digits) != 14 or not digits.isdecimal():
        return None
    day, clock = digits[:8], digits[8:]
    return f"{day[:4]}-{day[4:6]}-{day[6:]}T{clock[:2]}:{clock[2:4]}:{clock[4:]}+00:00"

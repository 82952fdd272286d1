"""
aiperf's ``profile_export_aiperf.json``.

TTFT, request latency and the gaps between chunks mean what ours mean from the send. Its inter-token latency may take more than
one token off for the first chunk, and keeps its name.
"""

from __future__ import annotations

from math import isnan, nan

from pytest_inferbench.records.imports.foreign import ForeignResult, counts_of, distribution, error_rate, own, says_simulated
from pytest_inferbench.records.imports.source import Fields, Source

_NAMES = {"mean": "avg", "p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99", "max": "max"}
_SAME = {"time_to_first_token": "ttft_from_send", "request_latency": "e2e_from_send", "inter_chunk_latency": "inter_chunk"}
_IN_CLOSED_LOOPS = {"ttft_from_send": "ttft", "e2e_from_send": "e2e"}
_OWN = {
    "inter_token_latency": "inter_token_latency_ms",
    "time_to_second_token": "time_to_second_token_ms",
    "output_token_throughput_per_user": "output_token_throughput_per_user_tokens_per_s",
}
_SCALES = {"ms": 1.0, "sec": 1e3, "s": 1e3, "us": 1e-3, "ns": 1e-6}


def recognises(source: Source) -> bool:
    """Whether it is such a file."""
    data = source.data
    return isinstance(data, dict) and "aiperf_version" in data and "schema_version" in data


def read(source: Source) -> tuple[ForeignResult, ...]:
    """Its one result."""
    fields = source.fields
    facts = fields.maybe("metadata")
    completed = _count(fields, "request_count")
    counts = counts_of(attempted=completed + _count(fields, "error_request_count"), completed=completed)
    concurrency, rate = _load(fields)
    same = {
        ours: distribution(_statistics(fields, theirs), count=int(fields.within(theirs).number("count", completed)))
        for theirs, ours in _SAME.items()
        if theirs in fields.data
    }
    if concurrency is not None:
        same |= {ours: same[theirs] for theirs, ours in _IN_CLOSED_LOOPS.items() if theirs in same}
    figures: dict[str, float] = {}
    for theirs, ours in _OWN.items():
        figures |= own("aiperf", ours, _statistics(fields, theirs))
    result = ForeignResult(
        tool="aiperf",
        version=fields.text("aiperf_version"),
        file=str(source.path),
        name=facts.text("case", source.path.parent.name),
        model=facts.text("model", str(fields.found("input_config", "models", "items", 0, "name") or "unknown")),
        engine=facts.text("engine", "unknown"),
        engine_version=facts.text("engine_version", "") or None,
        hardware=facts.text("hardware", "unknown"),
        traffic=facts.text("traffic", "unknown"),
        counts=counts,
        duration_s=fields.within("benchmark_duration").number("avg"),
        prompt_tokens=_count(fields, "total_isl"),
        output_tokens=_count(fields, "total_osl"),
        concurrency=concurrency,
        rate_per_s=None if concurrency is not None else rate,
        started_at=fields.text("start_time", "") or None,
        distributions=same,
        scalars=_scalars(fields) | {"error_rate": error_rate(counts)},
        figures=figures,
        simulated=says_simulated(facts.data.get("simulated")),
    )
    return (result,)


def _load(fields: Fields) -> tuple[int | None, float]:
    """Users and rate: of our own metadata, else of the last phase that aiperf was told; a rate makes it an open loop."""
    facts, phase = fields.maybe("metadata"), fields.found("input_config", "phases", -1)
    told = Fields(file=fields.file, data=phase if isinstance(phase, dict) else {}, place="input_config.phases")
    if facts.data.get("concurrency") is not None:
        return facts.whole("concurrency"), nan
    rate = facts.number("request_rate", told.number("rate", nan))
    if isnan(rate) and told.data.get("concurrency") is not None:
        return told.whole("concurrency"), nan
    return None, rate


def _statistics(fields: Fields, tag: str) -> dict[str, float]:
    """In milliseconds, where it is a time."""
    found = fields.maybe(tag)
    return found.statistics(_NAMES, scale=_SCALES.get(found.text("unit", ""), 1.0))


def _count(fields: Fields, tag: str) -> int:
    return int(fields.maybe(tag).number("avg", 0))


def _scalars(fields: Fields) -> dict[str, float]:
    names = {
        "request_throughput": "request_throughput",
        "input_throughput": "input_token_throughput",
        "output_throughput": "output_token_throughput",
        "total_throughput": "total_token_throughput",
    }
    return {ours: fields.within(theirs).number("avg") for ours, theirs in names.items() if theirs in fields.data}

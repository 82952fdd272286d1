"""
inference-perf's summary and stage reports, with the ``config.yaml`` beside them.

Its TTFT and TPOT mean what ours mean from the send, for requests with more than one token. Its request latency ends with the
stream, and its ITL counts tokens of one chunk as gaps of nothing: these keep its names.
"""

from __future__ import annotations

from math import nan

from pytest_inferbench.records.imports.foreign import ForeignResult, counts_of, distribution, error_rate, own, says_simulated
from pytest_inferbench.records.imports.source import Fields, Source

SUMMARY, CONFIG = "summary_lifecycle_metrics.json", "config.yaml"
_NAMES = {"mean": "mean", "p50": "median", "p90": "p90", "p95": "p95", "p99": "p99", "max": "max"}
_OWN = {
    "request_latency": "request_latency_ms",
    "normalized_time_per_output_token": "ntpot_ms",
    "inter_token_latency": "itl_ms",
}


def recognises(source: Source) -> bool:
    """Whether it is such a report."""
    return isinstance(source.data, dict) and {"successes", "failures", "load_summary"} <= set(source.data)


def read(source: Source) -> tuple[ForeignResult, ...]:
    """Its one result."""
    fields = source.fields
    beside = source.sibling(CONFIG)
    config = beside.fields if beside else Fields(file=str(source.path), data={})
    successes, load = fields.within("successes"), fields.within("load_summary")
    latency, completed = successes.within("latency"), successes.whole("count")
    counts = counts_of(attempted=completed + fields.within("failures").whole("count"), completed=completed)
    concurrency = load.whole("concurrency") if load.data.get("concurrency") is not None else None
    ttft = distribution(latency.maybe("time_to_first_token").statistics(_NAMES, scale=1e3), count=completed)
    tpot = distribution(latency.maybe("time_per_output_token").statistics(_NAMES, scale=1e3), count=completed)
    figures: dict[str, float] = {}
    for theirs, ours in _OWN.items():
        figures |= own("inference-perf", ours, latency.maybe(theirs).statistics(_NAMES, scale=1e3))
    rates = {
        "request_throughput": "requests_per_sec",
        "input_throughput": "input_tokens_per_sec",
        "output_throughput": "output_tokens_per_sec",
        "total_throughput": "total_tokens_per_sec",
    }
    server = config.maybe("server")
    result = ForeignResult(
        tool="inference-perf",
        version=config.text("tool_version", "") or None,
        file=str(source.path),
        name=source.path.parent.name or source.path.stem,
        model=server.text("model_name", "unknown"),
        engine=server.text("type", "unknown"),
        hardware=server.text("hardware", "unknown"),
        traffic=config.maybe("data").text("traffic", "unknown"),
        counts=counts,
        duration_s=fields.number("benchmark_time_seconds", nan),
        prompt_tokens=int(successes.maybe("prompt_tokens").number("total", 0)),
        output_tokens=int(successes.maybe("output_tokens").number("total", 0)),
        concurrency=concurrency,
        rate_per_s=None if concurrency is not None or "requested_rate" not in load.data else load.number("requested_rate"),
        distributions={"ttft_from_send": ttft, "tpot": tpot} | ({} if concurrency is None else {"ttft": ttft}),
        scalars=successes.within("throughput").statistics(rates) | {"error_rate": error_rate(counts)},
        figures=figures,
        simulated=says_simulated(fields.data.get("simulated")),
    )
    return (result,)

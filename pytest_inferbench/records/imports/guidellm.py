"""
guidellm's report: a result a benchmark.

Its TTFT counts from the send to the first text, as ours from the send does. Its other latencies keep its names: TPOT has the
first token in it, ITL is weighted, latency ends with the stream; and its percentiles are values, never between two.
"""

from __future__ import annotations

from pytest_inferbench.records.imports.foreign import ForeignResult, counts_of, distribution, error_rate, own, says_simulated
from pytest_inferbench.records.imports.source import Fields, Source

_OWN = {
    "time_per_output_token_ms": ("tpot_ms", 1.0),
    "inter_token_latency_ms": ("itl_ms", 1.0),
    "request_latency": ("request_latency_ms", 1e3),
    "requests_per_second": ("requests_per_s", 1.0),
    "output_tokens_per_second": ("output_tokens_per_s", 1.0),
    "request_concurrency": ("request_concurrency", 1.0),
}


def recognises(source: Source) -> bool:
    """Whether it is such a report."""
    data = source.data
    return isinstance(data, dict) and "benchmarks" in data and "guidellm_version" in (data.get("metadata") or {})


def read(source: Source) -> tuple[ForeignResult, ...]:
    """A result for each benchmark."""
    version = source.fields.within("metadata").text("guidellm_version")
    return tuple(_result(source, each, version) for each in source.fields.each("benchmarks"))


def _statistics(fields: Fields, scale: float = 1.0) -> dict[str, float]:
    found = fields.statistics({"mean": "mean", "max": "max"}, scale=scale)
    return found | fields.maybe("percentiles").statistics({name: name for name in ("p50", "p90", "p95", "p99")}, scale=scale)


def _result(source: Source, fields: Fields, version: str) -> ForeignResult:
    config, metrics = fields.within("config"), fields.within("metrics")
    totals = metrics.within("request_totals")
    counts = counts_of(
        attempted=totals.whole("total"), completed=totals.whole("successful"), cancelled=totals.whole("incomplete", 0)
    )
    duration_s = fields.number("duration")
    ttft = metrics.within("time_to_first_token_ms").within("successful")
    strategy = config.maybe("strategy")
    concurrency = strategy.whole("streams") if strategy.data.get("streams") else None
    if strategy.data.get("type_") == "synchronous":
        concurrency = 1
    from_send = distribution(_statistics(ttft), count=ttft.whole("count"))
    figures: dict[str, float] = {}
    for theirs, (ours, scale) in _OWN.items():
        figures |= own("guidellm", ours, _statistics(metrics.maybe(theirs).maybe("successful"), scale))
    tokens = {
        name: metrics.maybe(f"{name}_token_count").maybe("successful").number("total_sum", 0) for name in ("prompt", "output")
    }
    environment, backend = config.maybe("environment"), config.maybe("backend")
    return ForeignResult(
        tool="guidellm",
        version=version,
        file=str(source.path),
        name=config.text("id_", source.path.stem),
        model=backend.text("model", _model(source.fields)),
        engine=backend.text("engine", "unknown"),
        engine_version=backend.text("engine_version", "") or None,
        hardware=environment.text("hardware", "unknown"),
        counts=counts,
        duration_s=duration_s,
        prompt_tokens=round(tokens["prompt"]),
        output_tokens=round(tokens["output"]),
        concurrency=concurrency,
        rate_per_s=None if concurrency else strategy.number("rate", float("inf")),
        distributions={"ttft_from_send": from_send} | ({"ttft": from_send} if concurrency else {}),
        scalars=_scalars(counts.completed, tokens, duration_s) | {"error_rate": error_rate(counts)},
        figures=figures,
        columns=_columns(fields),
        simulated=says_simulated(environment.data.get("simulated")),
    )


def _model(report: Fields) -> str:
    """Of the report's own configuration, where the benchmark does not tell."""
    return report.maybe("config").maybe("spec").maybe("backend").text("model", "unknown")


def _scalars(completed: int, tokens: dict[str, float], duration_s: float) -> dict[str, float]:
    """Over the benchmark's duration: its own rates are of another definition."""
    amounts = {
        "request_throughput": completed,
        "input_throughput": tokens["prompt"],
        "output_throughput": tokens["output"],
        "total_throughput": tokens["prompt"] + tokens["output"],
    }
    return {name: amount / duration_s for name, amount in amounts.items()} if duration_s > 0 else {}


def _columns(fields: Fields) -> dict[str, tuple[float | None, ...]]:
    requests = fields.maybe("requests")
    if not requests.data.get("successful"):
        return {}
    rows = list(requests.each("successful"))
    names = {
        "time_to_first_token_ms": "ttft_from_send_ms",
        "time_per_output_token_ms": "guidellm_tpot_ms",
        "inter_token_latency_ms": "guidellm_itl_ms",
        "prompt_tokens": "prompt_tokens",
        "output_tokens": "output_tokens",
    }
    return {
        ours: tuple(None if row.data.get(theirs) is None else row.number(theirs) for row in rows)
        for theirs, ours in names.items()
    }

"""
llm-d's Benchmark Report 0.2.

Its latencies are those of the tool that drove the load, whose definition the report does not tell: all keep names of llm-d. Rates
are requests and tokens over the time of the run, as ours are.
"""

from __future__ import annotations

import re
from math import nan

from pytest_inferbench.records.imports.foreign import ForeignResult, counts_of, error_rate, own
from pytest_inferbench.records.imports.source import Fields, Source

_NAMES = {"mean": "mean", "p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99", "max": "max"}
_LATENCIES = {
    "time_to_first_token": "ttft_ms",
    "time_per_output_token": "tpot_ms",
    "normalized_time_per_output_token": "ntpot_ms",
    "inter_token_latency": "itl_ms",
    "request_latency": "request_latency_ms",
}
_RATES = {
    "request_rate": "request_throughput",
    "input_token_rate": "input_throughput",
    "output_token_rate": "output_throughput",
    "total_token_rate": "total_throughput",
}
_DURATION = re.compile(r"PT(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?")


def recognises(source: Source) -> bool:
    """Whether it is such a report."""
    data = source.data
    return isinstance(data, dict) and {"run", "results"} <= set(data) and "request_performance" in (data["results"] or {})


def read(source: Source) -> tuple[ForeignResult, ...]:
    """Its one result."""
    fields = source.fields
    run, scenario = fields.within("run"), fields.maybe("scenario")
    aggregate = fields.within("results").within("request_performance").within("aggregate")
    requests = aggregate.within("requests")
    attempted, cancelled = requests.whole("total"), requests.whole("incomplete", 0)
    counts = counts_of(attempted=attempted, completed=attempted - requests.whole("failures", 0) - cancelled, cancelled=cancelled)
    latency, figures = aggregate.maybe("latency"), dict[str, float]()
    for theirs, ours in _LATENCIES.items():
        found = latency.maybe(theirs)
        scale = 1.0 if found.text("units", "s").startswith("ms") else 1e3
        figures |= own("llm-d", ours, found.statistics(_NAMES, scale=scale))
    rates = aggregate.maybe("throughput")
    scalars = {ours: rates.within(theirs).number("mean") for theirs, ours in _RATES.items() if rates.data.get(theirs)}
    load = scenario.maybe("load")
    standard, engine = load.maybe("standardized"), _engine(scenario)
    lengths = {name: requests.maybe(f"{name}_length").number("mean", 0.0) for name in ("input", "output")}
    accelerator = engine.maybe("accelerator")
    concurrency = standard.number("concurrency", nan)
    result = ForeignResult(
        tool="llm-d",
        version=f"{fields.text('version', '0.2')}, by {standard.text('tool', 'unknown')}",
        file=str(source.path),
        name=run.text("uid"),
        model=engine.maybe("model").text("name", "unknown"),
        engine=engine.text("tool", "unknown"),
        engine_version=engine.text("tool_version", "") or None,
        hardware=accelerator.text("model", "unknown"),
        tensor_parallel=accelerator.maybe("parallelism").whole("tp", 1),
        traffic=_traffic(load),
        counts=counts,
        duration_s=_duration_s(run.maybe("time").text("duration", "")),
        prompt_tokens=round(lengths["input"] * counts.completed),
        output_tokens=round(lengths["output"] * counts.completed),
        concurrency=int(concurrency) if concurrency < float("inf") else None,
        rate_per_s=standard.number("rate_qps", nan) if not concurrency < float("inf") else None,
        started_at=run.maybe("time").text("start", "") or None,
        scalars=scalars | {"error_rate": error_rate(counts)},
        figures=figures,
        simulated=standard.text("tool", "").startswith("simulated-") or "simulated" in (run.data.get("keywords") or []),
    )
    return (result,)


def _engine(scenario: Fields) -> Fields:
    """The first server in the stack."""
    if scenario.data.get("stack"):
        for component in scenario.each("stack"):
            standard = component.maybe("standardized")
            if standard.data.get("kind") == "inference_engine":
                return standard
    return Fields(file=scenario.file, data={}, place=scenario.place)


def _traffic(load: Fields) -> str:
    config = load.maybe("native").data.get("config")
    found = config.get("traffic") if isinstance(config, dict) else None
    return found if isinstance(found, str) else "unknown"


def _duration_s(text: str) -> float:
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        return nan
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds

"""
LPG's result JSON: a result for each rate.

Its ``tpot`` is the whole time over the tokens, its latencies end with the answer, and its TTFT begins at the first chunk: all
keep its names. Of rates only that of output tokens is ours: its requests a second are those attempted.
"""

from __future__ import annotations

from pytest_inferbench.records.imports.foreign import ForeignResult, counts_of, error_rate, own, says_simulated
from pytest_inferbench.records.imports.source import Fields, Source

NAMES = {"mean": "mean", "p50": "median", "p90": "p90", "p99": "p99", "max": "max"}
OWN = {"request_latency": "latency_ms", "tpot": "tpot_ms", "ttft": "ttft_ms"}


def recognises(source: Source) -> bool:
    """Whether it is such a file."""
    return isinstance(source.data, dict) and {"metrics", "dimensions", "summary_stats"} <= set(source.data)


def read(source: Source) -> tuple[ForeignResult, ...]:
    """A result for each of its rates; most files have one."""
    fields = source.fields
    metrics, dimensions = fields.within("metrics"), fields.within("dimensions")
    attempted = metrics.whole("num_prompts_attempted")
    counts = counts_of(attempted=attempted, completed=metrics.whole("num_prompts_succeeded"))
    stats = list(fields.within("summary_stats").each("stats"))
    users = None if dimensions.data.get("concurrency") is None else int(dimensions.number("concurrency"))
    results = []
    for stat in stats:
        output = stat.maybe("throughput").number("mean", metrics.number("throughput"))
        results.append(
            ForeignResult(
                tool="lpg",
                version=None,
                file=str(source.path),
                name=source.path.stem,
                model=dimensions.text("model_id"),
                engine=dimensions.text("backend", "unknown"),
                hardware=dimensions.text("hardware", "unknown"),
                counts=counts,
                duration_s=metrics.number("benchmark_time", 0.0) or _duration_s(metrics),
                prompt_tokens=int(metrics.number("total_input_tokens", 0)),
                output_tokens=int(metrics.number("total_output_token", 0)),
                concurrency=users,
                rate_per_s=stat.number("request_rate", float("inf")) if users is None else None,
                scalars={"output_throughput": output, "error_rate": error_rate(counts)},
                figures=figures(stat),
                simulated=says_simulated(dimensions.data.get("simulated")),
            )
        )
    return tuple(results)


def figures(stat: Fields) -> dict[str, float]:
    """LPG's figures of one rate, under its own names."""
    found: dict[str, float] = {}
    for theirs, ours in OWN.items():
        found |= own("lpg", ours, stat.maybe(theirs).statistics(NAMES))
    return found


def _duration_s(metrics: Fields) -> float:
    """Older files do not tell it, but requests attempted and those a second."""
    rate = metrics.number("queries_per_second", 0.0)
    return metrics.number("num_prompts_attempted") / rate if rate > 0 else float("nan")

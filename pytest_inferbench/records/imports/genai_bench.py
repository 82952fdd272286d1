"""
genai-bench's run files, with the ``experiment_metadata.json`` beside them.

Its TTFT counts from the send to the first text, as ours from the send does; its loads are closed loops, where ours counts from
the send as well. Its other latencies end with the stream, and keep its names.
"""

from __future__ import annotations

from pytest_inferbench.records.imports.foreign import ForeignResult, counts_of, distribution, error_rate, own, says_simulated
from pytest_inferbench.records.imports.source import Fields, Source

_NAMES = {"mean": "mean", "p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99", "max": "max"}
_OWN = {"tpot": "tpot_ms", "e2e_latency": "e2e_latency_ms", "output_latency": "output_latency_ms"}
_SPEEDS = ("output_inference_speed", "input_throughput", "output_throughput")
METADATA = "experiment_metadata.json"


def recognises(source: Source) -> bool:
    """Whether it is a run file."""
    return isinstance(source.data, dict) and "aggregated_metrics" in source.data


def read(source: Source) -> tuple[ForeignResult, ...]:
    """Its one result."""
    beside = source.sibling(METADATA)
    facts = beside.fields if beside else Fields(file=str(source.path), data={})
    fields = source.fields.within("aggregated_metrics")
    stats = fields.within("stats")
    # Files may be in either unit; only times have one.
    scale = 1.0 if source.fields.text("_time_unit", "s") == "ms" else 1e3
    counts = counts_of(attempted=fields.whole("num_requests"), completed=fields.whole("num_completed_requests"))
    ttft = distribution(stats.maybe("ttft").statistics(_NAMES, scale=scale), count=counts.completed)
    figures: dict[str, float] = {}
    for theirs, ours in _OWN.items():
        figures |= own("genai-bench", ours, stats.maybe(theirs).statistics(_NAMES, scale=scale))
    for name in _SPEEDS:
        figures |= own("genai-bench", f"{name}_tokens_per_s", stats.maybe(name).statistics(_NAMES))
    scalars = {
        "request_throughput": "requests_per_second",
        "input_throughput": "mean_input_throughput_tokens_per_s",
        "output_throughput": "mean_output_throughput_tokens_per_s",
        "total_throughput": "mean_total_tokens_throughput_tokens_per_s",
    }
    result = ForeignResult(
        tool="genai-bench",
        version=facts.text("benchmark_version", "") or None,
        file=str(source.path),
        name=source.path.stem,
        model=facts.text("api_model_name", "unknown"),
        engine=facts.text("server_engine", "unknown"),
        engine_version=facts.text("server_version", "") or None,
        hardware=facts.text("server_gpu_type", "unknown"),
        tensor_parallel=int(facts.number("server_gpu_count", 1) or 1),
        traffic=fields.text("scenario", "unknown"),
        counts=counts,
        duration_s=fields.number("run_duration"),
        prompt_tokens=int(stats.maybe("num_input_tokens").number("sum", 0)),
        output_tokens=int(stats.maybe("num_output_tokens").number("sum", 0)),
        concurrency=fields.whole("num_concurrency", 1),
        distributions={"ttft": ttft, "ttft_from_send": ttft},
        scalars=fields.statistics(scalars) | {"error_rate": error_rate(counts)},
        figures=figures,
        columns=_columns(source.fields, scale),
        simulated=says_simulated(facts.maybe("additional_request_params").data.get("simulated")),
    )
    return (result,)


def _columns(fields: Fields, scale: float) -> dict[str, tuple[float | None, ...]]:
    if not fields.data.get("individual_request_metrics"):
        return {}
    rows = list(fields.each("individual_request_metrics"))
    times = {"ttft": "ttft_ms", "tpot": "genai_bench_tpot_ms", "e2e_latency": "genai_bench_e2e_latency_ms"}
    found = {ours: tuple(_optional(row, theirs, scale) for row in rows) for theirs, ours in times.items()}
    return found | {
        "prompt_tokens": tuple(_optional(row, "num_input_tokens", 1) for row in rows),
        "output_tokens": tuple(_optional(row, "num_output_tokens", 1) for row in rows),
    }


def _optional(row: Fields, name: str, scale: float) -> float | None:
    return None if row.data.get(name) is None else row.number(name) * scale

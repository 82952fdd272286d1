"""
``/metrics``: the server's own series, and the engine's under the names that its telemetry goes by.

Rule: pure text in Prometheus's format, version 0.0.4. Every answer begins with a series that says that nothing here is measured.
Names as each engine documents them; a series is there only where the simulation has the thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pytest_inferbench.simulator.batching import Batcher
from pytest_inferbench.simulator.server.figures import Figures, Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "inferbench_simulator"

Lines = Iterator[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is told: counts so far and the batch as it is."""

    figures: Figures
    batcher: Batcher
    info: Mapping[str, str]
    model: str


def exposition(engine: str, state: State) -> str:
    """The whole answer for an engine; those without names of their own have the simulator's."""
    dialect = _DIALECTS.get(engine)
    lines = [*_own(state), *(dialect(state) if dialect else ())]
    return "\n".join(lines) + "\n"


def _own(state: State) -> Lines:
    figures = state.figures
    yield from _series(f"{PREFIX}_info", "gauge", "Nothing here is measured: a step model makes it up", {**state.info}, 1)
    counts = {
        "steps": (figures.steps, "Steps whose tokens were handed out"),
        "late_steps": (figures.late_steps, "Steps that ended late, or one of whose tokens was late"),
        "tokens": (figures.tokens, "Tokens handed out"),
        "late_tokens": (figures.late_tokens, "Tokens that left more than 2 ms after they were due"),
        "requests": (figures.requests, "Requests that came"),
    }
    for name, (value, text) in counts.items():
        yield from _counter(f"{PREFIX}_{name}", text, {}, value)
    yield from _histogram(f"{PREFIX}_lateness_seconds", "From when a token was due to its write", {}, figures.lateness)
    after = figures.after_step_end
    yield from _histogram(f"{PREFIX}_after_step_end_seconds", "From the end of a step to the write of its token", {}, after)


def _vllm(state: State) -> Lines:
    figures, batcher = state.figures, state.batcher
    labels = {"engine": "0", "model_name": state.model}
    gauges = {
        "num_requests_running": (batcher.running, "Requests in the batch"),
        "num_requests_waiting": (batcher.waiting, "Requests in the queue"),
        "kv_cache_usage_perc": (batcher.kv_usage, "Share of the cache in use, 0 to 1"),
    }
    counters = {
        "num_preemptions": (batcher.preemptions, "Requests sent back to the queue"),
        "prefix_cache_queries": (batcher.prefix_queries, "Prompt tokens looked for in the prefix cache"),
        "prefix_cache_hits": (batcher.prefix_hits, "Prompt tokens found in the prefix cache"),
        "prompt_tokens": (batcher.prompt_tokens, "Prompt tokens computed"),
        "generation_tokens": (figures.tokens, "Tokens of answers"),
    }
    histograms = {
        "time_to_first_token_seconds": figures.first_token,
        "inter_token_latency_seconds": figures.between_tokens,
        "request_time_per_output_token_seconds": figures.per_output_token,
        "e2e_request_latency_seconds": figures.end_to_end,
        "request_queue_time_seconds": figures.queue,
        "request_inference_time_seconds": figures.inference,
        "request_prompt_tokens": figures.prompt_sizes,
        "request_generation_tokens": figures.output_sizes,
    }
    yield from _all("vllm:", labels, gauges, counters, histograms)
    reasons = ({"finished_reason": reason, **labels} for reason in ("stop", "length", "abort", "error"))
    yield from _counters("vllm:request_success", "Requests by how they ended", reasons, "finished_reason", figures.finished)


def _sglang(state: State) -> Lines:
    figures, batcher = state.figures, state.batcher
    labels = {"model_name": state.model}
    gauges = {
        "num_running_reqs": (batcher.running, "Requests in the batch"),
        "num_queue_reqs": (batcher.waiting, "Requests in the queue"),
        "token_usage": (batcher.kv_usage, "Share of the cache in use, 0 to 1"),
    }
    counters = {
        "num_retracted_requests": (batcher.preemptions, "Requests sent back to the queue"),
        "cached_tokens": (batcher.prefix_hits, "Prompt tokens found in the prefix cache"),
        "prompt_tokens": (figures.prompt_sizes.sum, "Prompt tokens of finished requests"),
        "generation_tokens": (figures.tokens, "Tokens of answers"),
        "num_requests": (figures.requests, "Requests that came"),
    }
    histograms = {
        "time_to_first_token_seconds": figures.first_token,
        "inter_token_latency_seconds": figures.between_tokens,
        "e2e_request_latency_seconds": figures.end_to_end,
        "queue_time_seconds": figures.queue,
    }
    yield from _all("sglang:", labels, gauges, counters, histograms)


def _tgi(state: State) -> Lines:
    figures, batcher = state.figures, state.batcher
    gauges = {
        "batch_current_size": (batcher.running, "Requests in the batch"),
        "queue_size": (batcher.waiting, "Requests in the queue"),
    }
    counters = {"request_count": (figures.requests, "Requests that came")}
    histograms = {
        "request_duration": figures.end_to_end,
        "request_queue_duration": figures.queue,
        "request_inference_duration": figures.inference,
        "request_mean_time_per_token_duration": figures.per_output_token,
        "request_input_length": figures.prompt_sizes,
        "request_generated_tokens": figures.output_sizes,
    }
    yield from _all("tgi_", {}, gauges, {}, histograms)
    for name, (value, text) in counters.items():
        yield from _series(f"tgi_{name}", "counter", text, {}, value)


def _llamacpp(state: State) -> Lines:
    figures, batcher = state.figures, state.batcher
    gauges = {
        "requests_processing": (batcher.running, "Requests in the batch"),
        "requests_deferred": (batcher.waiting, "Requests in the queue"),
    }
    counters = {
        "prompt_tokens": (batcher.prompt_tokens, "Prompt tokens computed"),
        "prompt_tokens_cached": (batcher.prefix_hits, "Prompt tokens found in the prefix cache"),
        "tokens_predicted": (figures.tokens, "Tokens of answers"),
        "n_decode": (batcher.steps, "Steps"),
    }
    yield from _all("llamacpp:", {}, gauges, counters, {})


def _lmdeploy(state: State) -> Lines:
    figures, batcher = state.figures, state.batcher
    labels = {"engine": "0", "model_name": state.model}
    gauges = {
        "num_requests_running": (batcher.running, "Requests in the batch"),
        "num_requests_waiting": (batcher.waiting, "Requests in the queue"),
        "gpu_cache_usage_perc": (batcher.kv_usage, "Share of the cache in use, 0 to 1"),
    }
    histograms = {
        "time_to_first_token_seconds": figures.first_token,
        "time_per_output_token_seconds": figures.between_tokens,
        "e2e_request_latency_seconds": figures.end_to_end,
    }
    yield from _all("lmdeploy:", labels, gauges, {}, histograms)


def _nim(state: State) -> Lines:
    figures, batcher = state.figures, state.batcher
    gauges = {
        "num_requests_running": (batcher.running, "Requests in the batch"),
        "num_requests_waiting": (batcher.waiting, "Requests in the queue"),
        "gpu_cache_usage_perc": (batcher.kv_usage, "Share of the cache in use, 0 to 1"),
    }
    histograms = {
        "time_to_first_token_seconds": figures.first_token,
        "time_per_output_token_seconds": figures.between_tokens,
        "e2e_request_latency_seconds": figures.end_to_end,
    }
    yield from _all("", {"model_name": state.model}, gauges, {}, histograms)


def _trtllm(state: State) -> Lines:
    figures = state.figures
    gauges = {"kv_cache_utilization": (state.batcher.kv_usage, "Share of the cache in use, 0 to 1")}
    histograms = {
        "time_to_first_token_seconds": figures.first_token,
        "time_per_output_token_seconds": figures.per_output_token,
        "e2e_request_latency_seconds": figures.end_to_end,
        "request_queue_time_seconds": figures.queue,
    }
    yield from _all("trtllm_", {"model_name": state.model, "engine_type": "simulated"}, gauges, {}, histograms)


_DIALECTS = {
    "vllm": _vllm,
    "sglang": _sglang,
    "tgi": _tgi,
    "llamacpp": _llamacpp,
    "lmdeploy": _lmdeploy,
    "nim": _nim,
    "trtllm": _trtllm,
}


# --- the format -------------------------------------------------------------------------------------------------------------


def _all(
    prefix: str,
    labels: Mapping[str, str],
    gauges: Mapping[str, tuple[float, str]],
    counters: Mapping[str, tuple[float, str]],
    histograms: Mapping[str, Histogram],
) -> Lines:
    for name, (value, text) in gauges.items():
        yield from _series(f"{prefix}{name}", "gauge", text, labels, value)
    for name, (value, text) in counters.items():
        yield from _counter(f"{prefix}{name}", text, labels, value)
    for name, histogram in histograms.items():
        yield from _histogram(f"{prefix}{name}", "Simulated", labels, histogram)


def _counter(name: str, text: str, labels: Mapping[str, str], value: float) -> Lines:
    yield from _series(f"{name}_total", "counter", text, labels, value)


def _series(name: str, kind: str, text: str, labels: Mapping[str, str], value: float) -> Lines:
    yield from _head(name, kind, text)
    yield f"{name}{_labels(labels)} {float(value)!r}"


def _counters(name: str, text: str, each: Iterable[Mapping[str, str]], by: str, counts: Mapping[str, int]) -> Lines:
    yield from _head(f"{name}_total", "counter", text)
    for labels in each:
        yield f"{name}_total{_labels(labels)} {float(counts.get(labels[by], 0))!r}"


def _histogram(name: str, text: str, labels: Mapping[str, str], histogram: Histogram) -> Lines:
    yield from _head(name, "histogram", text)
    so_far = 0
    for bound, count in zip((*map(float, histogram.bounds), "+Inf"), histogram.counts, strict=True):
        so_far += count
        yield f"{name}_bucket{_labels({'le': str(bound), **labels})} {float(so_far)!r}"
    yield f"{name}_sum{_labels(labels)} {histogram.sum!r}"
    yield f"{name}_count{_labels(labels)} {float(so_far)!r}"


def _head(name: str, kind: str, text: str) -> Lines:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

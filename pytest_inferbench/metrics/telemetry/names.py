"""
What servers call the same things.

Rule: one word of ours for each thing, whatever an engine calls it, and nothing that an engine does not say. An engine's newest
name comes first; of a counter that was renamed only one is ever there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

PREFIX = "inferbench:"
"""Stands before our own names where they are stored beside a server's."""


class Sample(NamedTuple):
    """One line of a server's metrics; labels are pairs, sorted by name."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


# Every way to come by a figure: names of which all must be there, whose values are added.
Ways = tuple[tuple[str, ...], ...]

GAUGES = ("running", "waiting", "kv_cache_usage")
COUNTERS = (
    "preemptions",
    "prefix_cache_hits",
    "prefix_cache_queries",
    "first_token_seconds_sum",
    "first_token_seconds_count",
    "output_token_seconds_sum",
    "output_token_seconds_count",
)
SERIES = (*GAUGES, *COUNTERS)
# Shares: the fullest counts, they do not add up.
_LARGEST = frozenset({"kv_cache_usage"})
# Ranks of one tensor- or pipeline-parallel group each tell of the same requests.
_SAME_REQUESTS = frozenset({"tp_rank", "pp_rank", "moe_ep_rank", "pid"})


def _ways(*names: str) -> Ways:
    return tuple((name,) for name in names)


def _histogram(series: str, *names: str) -> dict[str, Ways]:
    return {f"{series}_{part}": _ways(*(f"{name}_{part}" for name in names)) for part in ("sum", "count")}


DIALECTS: Mapping[str, Mapping[str, Ways]] = {
    "vllm": {
        "running": _ways("vllm:num_requests_running"),
        "waiting": _ways("vllm:num_requests_waiting"),
        "kv_cache_usage": _ways("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
        "preemptions": _ways("vllm:num_preemptions_total"),
        "prefix_cache_hits": _ways("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"),
        "prefix_cache_queries": _ways("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"),
        **_histogram("first_token_seconds", "vllm:time_to_first_token_seconds"),
        **_histogram("output_token_seconds", "vllm:request_time_per_output_token_seconds", "vllm:time_per_output_token_seconds"),
    },
    "sglang": {
        "running": _ways("sglang:num_running_reqs"),
        "waiting": _ways("sglang:num_queue_reqs"),
        "kv_cache_usage": _ways("sglang:token_usage"),
        # Not sglang:num_retracted_reqs, which is a gauge of the last batch.
        "preemptions": _ways("sglang:num_retracted_requests_total", "sglang:num_retracted_reqs_total"),
        "prefix_cache_hits": _ways("sglang:cached_tokens_total"),
        "prefix_cache_queries": _ways("sglang:prompt_tokens_total"),
        **_histogram("first_token_seconds", "sglang:time_to_first_token_seconds"),
        **_histogram("output_token_seconds", "sglang:inter_token_latency_seconds", "sglang:time_per_output_token_seconds"),
    },
    "tgi": {
        "running": _ways("tgi_batch_current_size"),
        "waiting": _ways("tgi_queue_size"),
        **_histogram("output_token_seconds", "tgi_request_mean_time_per_token_duration"),
    },
    "llamacpp": {
        "running": _ways("llamacpp:requests_processing"),
        "waiting": _ways("llamacpp:requests_deferred"),
        "kv_cache_usage": _ways("llamacpp:kv_cache_usage_ratio"),  # gone since 2025
        "prefix_cache_hits": _ways("llamacpp:prompt_tokens_cached_total"),
        # Its prompt tokens are those that it had to read.
        "prefix_cache_queries": (("llamacpp:prompt_tokens_total", "llamacpp:prompt_tokens_cached_total"),),
    },
    "lmdeploy": {
        "running": _ways("lmdeploy:num_requests_running"),
        "waiting": _ways("lmdeploy:num_requests_waiting"),
        "kv_cache_usage": _ways("lmdeploy:gpu_cache_usage_perc"),
        **_histogram("first_token_seconds", "lmdeploy:time_to_first_token_seconds"),
        **_histogram("output_token_seconds", "lmdeploy:time_per_output_token_seconds"),
    },
    "trtllm": {
        "kv_cache_usage": _ways("trtllm_kv_cache_utilization"),
        **_histogram("first_token_seconds", "trtllm_time_to_first_token_seconds"),
        **_histogram("output_token_seconds", "trtllm_time_per_output_token_seconds"),
    },
    "nim": {
        "running": _ways("num_requests_running"),
        "waiting": _ways("num_requests_waiting"),
        "kv_cache_usage": _ways("gpu_cache_usage_perc"),
        **_histogram("first_token_seconds", "time_to_first_token_seconds"),
        **_histogram("output_token_seconds", "time_per_output_token_seconds"),
    },
}
KNOWN = frozenset(name for dialect in DIALECTS.values() for ways in dialect.values() for way in ways for name in way)
"""Every name that some series is made of."""


def normalised(samples: Iterable[Sample], *, dialect: str | None = None) -> dict[str, float]:
    """
    A server's metrics under our names, as far as it has them.

    Counts are added over labels (replicas, models, sources), once for the ranks of a group that tell of the same requests;
    shares are those of the fullest.

    Args:
        samples: of one answer.
        dialect: a key of `DIALECTS`; None, or one whose names are not there: the one with most names in the answer.
    """
    values: dict[str, dict[tuple[tuple[str, str], ...], float]] = defaultdict(dict)
    for name, labels, value in samples:
        if name in KNOWN:
            group = tuple(pair for pair in labels if pair[0] not in _SAME_REQUESTS)
            values[name][group] = max(value, values[name].get(group, value))
    found = {name: _by_series(ways, values) for name, ways in DIALECTS.items()}
    if dialect is not None and found.get(dialect):
        return found[dialect]
    return max(found.values(), key=len)


def _by_series(
    dialect: Mapping[str, Ways], values: Mapping[str, Mapping[tuple[tuple[str, str], ...], float]]
) -> dict[str, float]:
    series = {}
    for name, ways in dialect.items():
        way = next((way for way in ways if all(part in values for part in way)), None)
        if way is not None:
            each = [value for part in way for value in values[part].values()]
            series[name] = max(each) if name in _LARGEST else sum(each)
    return series

"""
What other tools mean by their figures, computed from our requests.

Rule: a function gives one value for each request that completed, in the order of the plan and in seconds, NaN where that tool has
none for it; functions that pool say so. n is the number of output tokens, T the time to the first token, L the end-to-end time;
every tool counts both from the actual send. Each function names the source of its definition.
"""

from __future__ import annotations

from math import nan

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.load.trace import MISSING, Ints, Traces
from pytest_inferbench.metrics.inter_token import inter_chunk_ms
from pytest_inferbench.metrics.metric import Samples

GENAI_BENCH_OUTPUT_S_MIN = 0.001
"""Shorter answers have no TPOT in genai-bench (``aggregated_metrics_collector.py``: ``filter_metrics``)."""


def to_first_token_s(traces: Traces) -> Samples:
    """
    T: send to the first event with text.

    guidellm ``first_token_iteration``, aiperf ``time_to_first_token``, genai-bench ``ttft``, inference-perf
    ``output_token_times[0]``. vLLM, nm-vllm and LPG take the first chunk even if it is empty, which is not kept here: theirs may
    be shorter.
    """
    return _since_send_s(traces, traces.first_token_ns)


def to_first_byte_s(traces: Traces) -> Samples:
    """Send to the first byte of the answer: InferX ``first_byte_time - send_time``."""
    return _since_send_s(traces, traces.first_byte_ns)


def to_last_token_s(traces: Traces) -> Samples:
    """
    L up to the last event with text, or to the end of an answer without any.

    vLLM and nm-vllm ``latency`` (last chunk), aiperf ``request_latency`` (last content response).
    """
    return _since_send_s(traces, np.where(traces.last_token_ns == MISSING, traces.end_ns, traces.last_token_ns))


def to_end_s(traces: Traces) -> Samples:
    """
    L up to the end of the stream, with whatever comes after the last token.

    genai-bench ``e2e_latency``, guidellm ``request_latency``, inference-perf ``request_latency``, LPG ``latency``, InferX
    ``end_time - send_time``.
    """
    return _since_send_s(traces, traces.end_ns)


def output_tokens(traces: Traces) -> Samples:
    """n; NaN where nobody counted them."""
    counted: Ints = traces.output_tokens[traces.completed]
    return np.where(counted == MISSING, nan, counted.astype(np.float64))


def prompt_tokens(traces: Traces) -> Samples:
    """Tokens of each prompt: the server's count, else those asked for."""
    counted: Ints = np.where(traces.prompt_tokens == MISSING, traces.prompt_tokens_asked, traces.prompt_tokens)
    return counted[traces.completed].astype(np.float64)


def vllm_tpot_s(traces: Traces) -> Samples:
    """(L - T) / (n - 1) of requests with n > 1: vLLM ``benchmarks/serve.py``, nm-vllm ``benchmark_serving.py``."""
    return _after_first(traces, to_last_token_s(traces))


def vllm_itl_s(traces: Traces) -> Samples:
    """Gaps between chunks, pooled over requests: vLLM ``serve.py`` (``output.itl``), aiperf ``inter_chunk_latency``."""
    return inter_chunk_ms(traces) / 1e3


def genai_bench_tpot_s(traces: Traces) -> Samples:
    """
    (L - T) / (n - 1) of requests with n > 1, dropped where L - T < 1 ms, with L up to the end of the stream.

    genai-bench ``request_metrics_collector.py`` and ``filter_metrics``.
    """
    end_s = to_end_s(traces)
    too_short = end_s - to_first_token_s(traces) < GENAI_BENCH_OUTPUT_S_MIN
    return np.where(too_short, nan, _after_first(traces, end_s))


def guidellm_tpot_s(traces: Traces) -> Samples:
    """(last token - start) / n, so with the first token in it: guidellm ``request_stats.py``; 0 where there is no token."""
    tokens = output_tokens(traces)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(tokens > 0, to_last_token_s(traces) / tokens, 0.0)


def guidellm_itl_s(traces: Traces) -> Samples:
    """(last - first token) / (n - 1): guidellm ``request_stats.py``; 0 where n < 2. Its distribution is weighted with n - 1."""
    return np.nan_to_num(_after_first(traces, to_last_token_s(traces)), nan=0.0)


def aiperf_itl_s(traces: Traces) -> Samples:
    """
    (L - T) / (n - tokens of the first chunk) of requests with n > 1; n - 1 where that is less than one token.

    aiperf ``inter_token_latency_metric.py``.
    """
    tokens, done = output_tokens(traces), traces.completed
    starts, ends = traces.event_offset[:-1][done], traces.event_offset[1:][done]
    has_event = ends > starts
    first = np.ones(len(tokens))
    first[has_event] = traces.event_tokens[starts[has_event]]
    decoded = tokens - first
    decoded = np.where((first <= 0) | (decoded < 1), tokens - 1, decoded)
    length_s = to_last_token_s(traces) - to_first_token_s(traces)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(tokens > 1, length_s / decoded, nan)


def ntpot_s(traces: Traces) -> Samples:
    """L / n up to the end of the stream, 0 where n is 0: inference-perf ``normalized_time_per_output_token``."""
    tokens = output_tokens(traces)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(tokens == 0, 0.0, to_end_s(traces) / tokens)


def lpg_tpot_s(traces: Traces) -> Samples:
    """L / n in a field called ``tpot``, NaN where n is 0: LPG ``benchmark_serving.py``."""
    return np.where(output_tokens(traces) > 0, ntpot_s(traces), nan)


def inference_perf_ttft_s(traces: Traces) -> Samples:
    """T of requests with more than one token time: inference-perf ``compute_request_latency_metrics``."""
    return np.where(_streamed(traces), to_first_token_s(traces), nan)


def inference_perf_tpot_s(traces: Traces) -> Samples:
    """(last - first token time) / (n - 1), as `inference_perf_ttft_s`: inference-perf ``compute_request_latency_metrics``."""
    return np.where(_streamed(traces), _after_first(traces, to_last_token_s(traces)), nan)


def inference_perf_itl_s(traces: Traces) -> Samples:
    """
    Gaps between times of tokens, pooled: a chunk of k tokens gives its own gap once and k - 1 zeros.

    inference-perf ``correct_streamed_response_metrics``.
    """
    times_ns, rows = token_times(traces)
    same = rows[1:] == rows[:-1]
    gaps_s: Samples = np.diff(times_ns)[same] / 1e9
    return gaps_s


def token_times(traces: Traces) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The time of every token of completed requests, in nanoseconds, and its request's place among all."""
    rows = np.repeat(np.arange(len(traces)), np.diff(traces.event_offset))
    tokens = np.where(traces.completed[rows], traces.event_tokens, 0)
    return np.repeat(traces.event_ns, tokens), np.repeat(rows, tokens)


def inferx_tpot_s(traces: Traces) -> Samples:
    """(end - first byte) / n: InferX; NaN where n is 0."""
    tokens = output_tokens(traces)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(tokens > 0, (to_end_s(traces) - to_first_byte_s(traces)) / tokens, nan)


def _since_send_s(traces: Traces, instant_ns: Ints) -> Samples:
    done = traces.completed
    return np.where(instant_ns[done] == MISSING, nan, (instant_ns[done] - traces.send_ns[done]) / 1e9)


def _after_first(traces: Traces, end_s: Samples) -> Samples:
    tokens = output_tokens(traces)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(tokens > 1, (end_s - to_first_token_s(traces)) / (tokens - 1), nan)


def _streamed(traces: Traces) -> NDArray[np.bool_]:
    """Which completed requests have more than one token time."""
    _, rows = token_times(traces)
    times = np.bincount(rows, minlength=len(traces))
    return np.greater(times[traces.completed], 1)

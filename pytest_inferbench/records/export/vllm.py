"""
vLLM's ``vllm bench serve --save-result`` JSON, one file a case, and a second one with every request (``--save-detailed``).

Rule: lists are seconds, scalars end in ``_ms``. Definitions: ``vllm/benchmarks/serve.py``. There is no generated text, so
``generated_texts`` is left out; vLLM's own timings inside the server are left out too.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, isinf, nan
from typing import Any

import numpy as np

from pytest_inferbench.load.trace import MISSING, Traces
from pytest_inferbench.metrics.metric import Samples
from pytest_inferbench.metrics.totals import window_s
from pytest_inferbench.records.export import definitions
from pytest_inferbench.records.export.exportable import Export, Exportable, ExportFile, plain
from pytest_inferbench.records.export.spread import Spread

PERCENTILES = (50, 90, 95, 99)
# How vLLM spells the API of a case as --backend, where its own name is another.
_BACKENDS = {"chat": "openai-chat", "completions": "openai", "completions-tokens": "openai", "embeddings": "openai-embeddings"}
_RAMPS = ("linear", "exponential")


def files(cases: Sequence[Exportable]) -> Export:
    """Two files a case: plain, and with every request in the folder ``detailed``."""
    found = []
    for case in cases:
        detailed = result(case)
        summary = {name: value for name, value in detailed.items() if name not in _DETAILS}
        found += [
            ExportFile(path=file_name(case), content=plain(summary)),
            ExportFile(path=f"detailed/{file_name(case)}", content=plain(detailed)),
        ]
    return Export(files=tuple(found))


def file_name(case: Exportable) -> str:
    """``{label}-{rate}qps[-concurrency{N}]-{model}-{date}.json``, as vLLM names it; the label is the case."""
    load = case.record.case.load
    concurrency = "" if load.concurrency is None else f"-concurrency{load.concurrency}"
    model = case.model.rsplit("/", maxsplit=1)[-1]
    rate = f"{case.rate_per_s}qps"
    if load.arrival in _RAMPS:
        rate = f"ramp-up-{load.arrival}-{load.ramp_from_per_s or 0:g}qps-{load.rate_per_s:g}qps"
    return f"{case.name}-{rate}{concurrency}-{model}-{case.stamp}.json"


def result(case: Exportable) -> dict[str, Any]:
    """Everything that vLLM writes of one run."""
    return {**_head(case), **_totals(case), **_scalars(case.traces), **_lists(case.traces)}


def _head(case: Exportable) -> dict[str, Any]:
    load, api = case.record.case.load, case.record.case.api
    head: dict[str, Any] = {
        "date": case.stamp,
        "endpoint_type": _BACKENDS.get(api, api),
        "backend": _BACKENDS.get(api, api),
        "label": case.name,
        "model_id": case.model,
        "tokenizer_id": case.record.case.model,
        "num_prompts": case.summary.counts.attempted,
        # As --metadata would have put them there: texts.
        "tool": "pytest-inferbench",
        "simulated": str(case.record.simulated).lower(),
        "engine": case.engine,
        "hardware": case.gpu,
        "tensor_parallel_size": str(case.record.case.tensor_parallel),
        "request_rate": "inf" if isinf(case.rate_per_s) else case.rate_per_s,
        "burstiness": load.burstiness,
        "max_concurrency": load.max_in_flight if load.open_loop else load.concurrency,
    }
    if load.arrival in _RAMPS:
        head |= {
            "ramp_up_strategy": load.arrival,
            "ramp_up_start_rps": load.ramp_from_per_s or 0,
            "ramp_up_end_rps": load.rate_per_s,
        }
    return head


def _totals(case: Exportable) -> dict[str, Any]:
    traces, counts = case.traces, case.summary.counts
    duration_s = window_s(traces)
    prompt, output = definitions.prompt_tokens(traces).sum(), definitions.output_tokens(traces).sum()
    goodput = case.summary.scalars.get("goodput", nan)
    peak_tokens, peak_requests = peaks(traces)
    return {
        "duration": duration_s,
        "completed": counts.completed,
        "failed": counts.attempted - counts.completed,
        "total_input_tokens": int(prompt),
        # Not known where some answers came whole and nobody counted their tokens.
        "total_output_tokens": None if np.isnan(output) else int(output),
        "request_throughput": counts.completed / duration_s,
        "request_goodput": goodput if _limited(case) else None,
        "output_throughput": float(output / duration_s),
        "total_token_throughput": float((prompt + output) / duration_s),
        "max_output_tokens_per_s": peak_tokens,
        "max_concurrent_requests": peak_requests,
        "rtfx": 0.0,
    }


def _limited(case: Exportable) -> bool:
    return any(text.startswith(("ttft", "tpot", "e2e")) for text in case.record.case.slo)


def _scalars(traces: Traces) -> dict[str, float]:
    metrics: dict[str, Samples] = {"e2el": definitions.to_last_token_s(traces)}
    if len(traces.event_ns):
        metrics = {
            "ttft": definitions.to_first_token_s(traces),
            "tpot": definitions.vllm_tpot_s(traces),
            "itl": definitions.vllm_itl_s(traces),
            **metrics,
        }
    scalars: dict[str, float] = {}
    for name, values_s in metrics.items():
        # Where there is no sample vLLM writes the statistics of a single 0.
        spread = Spread.of(values_s * 1e3) if (~np.isnan(values_s)).any() else Spread(np.zeros(1))
        scalars |= {f"mean_{name}_ms": spread.mean, f"median_{name}_ms": spread.percentile(50), f"std_{name}_ms": spread.std}
        scalars |= {f"p{percent}_{name}_ms": spread.percentile(percent) for percent in PERCENTILES}
    return scalars


_DETAILS = ("input_lens", "output_lens", "ttfts", "itls", "start_times", "errors")


def _lists(traces: Traces) -> dict[str, list[Any]]:
    done = traces.completed
    all_rows = np.full(len(traces), 0.0)
    ttfts, latencies = all_rows.copy(), all_rows.copy()
    ttfts[done], latencies[done] = np.nan_to_num(definitions.to_first_token_s(traces)), definitions.to_last_token_s(traces)
    prompt = np.where(traces.prompt_tokens == MISSING, traces.prompt_tokens_asked, traces.prompt_tokens)
    output = np.where(done & (traces.output_tokens != MISSING), traces.output_tokens, 0)
    queued_ns = np.where(traces.send_ns == MISSING, 0, traces.send_ns - traces.intended_send_ns)
    return {
        "input_lens": prompt.tolist(),
        "output_lens": output.tolist(),
        "ttfts": ttfts.tolist(),
        "itls": [_gaps_s(traces, row) for row in range(len(traces))],
        "latencies": latencies.tolist(),
        "start_times": np.where(traces.send_ns == MISSING, 0.0, traces.send_ns / 1e9).tolist(),
        "queue_times": (queued_ns / 1e9).tolist(),
        "errors": [traces.errors.get(row, "") for row in range(len(traces))],
    }


def _gaps_s(traces: Traces, row: int) -> list[float]:
    start, end = traces.event_offset[row], traces.event_offset[row + 1]
    gaps: list[float] = (np.diff(traces.event_ns[start:end]) / 1e9).tolist()
    return gaps


def peaks(traces: Traces) -> tuple[float, int]:
    """
    Most chunks and most requests in a second, in whole seconds from the first send of a completed request.

    vLLM counts each chunk as a token, and a request in every second that it touches (``calculate_metrics``).
    """
    done = traces.completed
    if not done.any():
        return 0.0, 0
    first_ns = int(traces.send_ns[done].min())
    starts_s = (traces.send_ns[done] - first_ns) / 1e9
    ends_s = starts_s + definitions.to_last_token_s(traces)
    seconds = ceil(float(ends_s.max())) + 1
    events = traces.event_ns[np.repeat(done, np.diff(traces.event_offset))]
    chunks = np.bincount(((events - first_ns) / 1e9).astype(np.int64), minlength=seconds)
    # A request adds one at its first second and takes it away after its last.
    changes = np.zeros(seconds + 2, dtype=np.int64)
    np.add.at(changes, starts_s.astype(np.int64), 1)
    np.add.at(changes, ends_s.astype(np.int64) + 1, -1)
    return float(chunks.max()), int(np.cumsum(changes).max())

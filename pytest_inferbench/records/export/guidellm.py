"""
guidellm's report, ``benchmarks.json``: all cases of a run in one file, each with its distributions and its requests.

Rule: times of requests are seconds since the epoch, figures whose name ends in ``_ms`` milliseconds. Definitions:
``guidellm/schemas/base/request_stats.py`` and ``benchmark/schemas/metrics.py``. Text, words, images and tool calls are left out:
answers are not kept.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.load.trace import MISSING, Ints, Outcome, Traces
from pytest_inferbench.metrics.metric import Samples
from pytest_inferbench.metrics.totals import window_ns, window_s
from pytest_inferbench.records.export import definitions
from pytest_inferbench.records.export.exportable import TOOL, Export, Exportable, ExportFile, own_version, plain
from pytest_inferbench.records.export.guidellm_distribution import concurrency_summary, rate_summary, summary
from pytest_inferbench.records.export.spread import Spread

REPORT = "benchmarks.json"
_STATUSES = ("successful", "incomplete", "errored", "total")


def files(cases: Sequence[Exportable]) -> Export:
    """One report with a benchmark a case."""
    known = [case for case in cases if _strategy(case) is not None]
    left_out = [
        f"{case.name}: guidellm has no strategy for arrivals like these ({case.record.case.load.shape})"
        for case in cases
        if _strategy(case) is None
    ]
    if not known:
        return Export(left_out=tuple(left_out))
    metadata = {
        "version": 2,
        "guidellm_version": f"{TOOL} {own_version()}",
        "python_version": platform.python_version(),
        "platform": platform.platform(),
    }
    report = {"metadata": metadata, "config": _scenario(known), "benchmarks": [benchmark(case) for case in known]}
    return Export(files=(ExportFile(path=REPORT, content=plain(report)),), left_out=tuple(left_out))


def benchmark(case: Exportable) -> dict[str, Any]:
    """One case as a guidellm benchmark."""
    traces = case.traces
    start_s, end_s = _wall_s(traces)
    return {
        "type_": "generative_benchmark",
        "config": _config(case),
        "scheduler_state": {"start_time": start_s, "end_time": end_s},
        "scheduler_metrics": _scheduler(traces),
        "metrics": metrics(traces),
        "requests": {**_requests(traces), "total": None},
        "warnings": [],
        "start_time": start_s,
        "end_time": end_s,
        "duration": window_s(traces),
        "warmup_duration": 0.0,
        "cooldown_duration": 0.0,
    }


def metrics(traces: Traces) -> dict[str, Any]:
    """
    Every distribution of a benchmark, by how requests ended.

    Counts and TPOT are over all requests of a status; TTFT counts a request without a token as 0, as guidellm does.
    """
    groups = {name: _Group.of(traces, rows) for name, rows in _rows(traces).items()}
    window = (0.0, np.nan_to_num(window_s(traces)))
    found: dict[str, Any] = {"request_totals": {name: group.size for name, group in groups.items()}}
    for name, figure in _DISTRIBUTIONS.items():
        found[name] = {status: summary(*figure(group)) for status, group in groups.items()}
    for name, events in _RATES.items():
        found[name] = {status: rate_summary(*events(group), window_s=window) for status, group in groups.items()}
    nothing = {status: summary(np.zeros(group.size)) for status, group in groups.items()}
    # Only its websocket backend has these; guidellm writes zeros for the others.
    found |= dict.fromkeys(("time_to_last_round_trip_ms", "avg_round_trip_time_ms"), nothing)
    found["request_concurrency"] = {
        status: concurrency_summary(group.start_s, group.end_s, window_s=window) for status, group in groups.items()
    }
    return found | _NOT_KEPT


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Requests of one status, in seconds since the first send of all; NaN where a thing never happened."""

    start_s: Samples
    end_s: Samples
    first_s: Samples
    first_content_s: Samples
    last_s: Samples
    prompt: Samples
    output: Samples
    iterations: NDArray[np.int64]

    @classmethod
    def of(cls, traces: Traces, rows: NDArray[np.int64]) -> _Group:
        # Not since the epoch: seconds that large would lose the microseconds.
        origin_ns = (window_ns(traces) or (0, 0))[0]

        def seconds(instants_ns: Ints) -> Samples:
            return np.where(instants_ns[rows] == MISSING, np.nan, (instants_ns[rows] - origin_ns) / 1e9)

        prompt = np.where(traces.prompt_tokens == MISSING, traces.prompt_tokens_asked, traces.prompt_tokens)
        return cls(
            start_s=seconds(traces.send_ns),
            end_s=seconds(traces.end_ns),
            first_s=seconds(traces.first_token_ns),
            first_content_s=seconds(traces.first_content_ns),
            last_s=seconds(traces.last_token_ns),
            prompt=prompt[rows].astype(np.float64),
            output=np.maximum(traces.output_tokens[rows], 0).astype(np.float64),
            iterations=np.diff(traces.event_offset)[rows],
        )

    @property
    def size(self) -> int:
        return len(self.start_s)

    @property
    def itl_ms(self) -> Samples:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.output > 1, np.nan_to_num(self.last_s - self.first_s) * 1e3 / (self.output - 1), 0.0)

    @property
    def tpot_ms(self) -> Samples:
        last_s = np.where(np.isnan(self.last_s), self.end_s, self.last_s)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.output > 0, (last_s - self.start_s) * 1e3 / self.output, 0.0)

    @property
    def token_events(self) -> tuple[Samples, Samples]:
        """Of tokens guidellm keeps the first and the last time only: those between are spaced evenly, of equal size."""
        times, amounts = [], []
        for first, last, end, tokens, iterations in zip(
            self.first_s, self.last_s, self.end_s, self.output, self.iterations, strict=True
        ):
            if np.isnan(first) or iterations <= 1:
                times.append(np.array([end if np.isnan(last) else last]))
                amounts.append(np.array([tokens]))
            else:
                times.append(np.linspace(first, last, num=iterations))
                rest = (tokens - 1) / (iterations - 1) if tokens > 1 else 0.0
                amounts.append(np.array([float(tokens > 0), *[rest] * (iterations - 1)]))
        return (np.concatenate(times), np.concatenate(amounts)) if times else (np.empty(0), np.empty(0))

    @property
    def prompt_events(self) -> tuple[Samples, Samples]:
        return np.where(np.isnan(self.first_s), self.end_s, self.first_s), self.prompt

    @property
    def all_events(self) -> tuple[Samples, Samples]:
        (one, few), (many, more) = self.prompt_events, self.token_events
        return np.concatenate((one, many)), np.concatenate((few, more))


# Values, or values and weights, of a group.
_DISTRIBUTIONS: Mapping[str, Any] = {
    "request_latency": lambda group: (np.nan_to_num(group.end_s - group.start_s),),
    "request_streaming_iterations_count": lambda group: (group.iterations.astype(np.float64),),
    "prompt_token_count": lambda group: (group.prompt,),
    "output_token_count": lambda group: (group.output,),
    "total_token_count": lambda group: (group.prompt + group.output,),
    "time_to_first_token_ms": lambda group: (_milliseconds(group.first_s - group.start_s),),
    "time_to_first_output_token_ms": lambda group: (_milliseconds(group.first_content_s - group.start_s),),
    "time_per_output_token_ms": lambda group: (group.tpot_ms, group.output),
    "inter_token_latency_ms": lambda group: (group.itl_ms, np.maximum(group.output - 1, 0.0)),
    "output_tokens_per_iteration": lambda group: (group.token_events[1],),
    "iter_tokens_per_iteration": lambda group: (_later_amounts(group),),
}
_RATES: Mapping[str, Any] = {
    "requests_per_second": lambda group: (group.end_s, np.ones(group.size)),
    "prompt_tokens_per_second": lambda group: group.prompt_events,
    "output_tokens_per_second": lambda group: group.token_events,
    "tokens_per_second": lambda group: group.all_events,
}


# What is made of texts, sounds and pictures, which are not kept, is null in every place that guidellm has for it.
_MODALITIES = {
    "text": ("tokens", "words", "characters"),
    "image": ("tokens", "images", "pixels", "bytes"),
    "video": ("tokens", "frames", "seconds", "bytes"),
    "audio": ("tokens", "samples", "seconds", "bytes"),
    "tool_call": ("tokens", "mixed_tokens", "count"),
}
_NOT_KEPT = {modality: dict.fromkeys(parts) for modality, parts in _MODALITIES.items()}
_STATES = {"successful": "completed", "incomplete": "cancelled", "errored": "errored"}


def _milliseconds(seconds: Samples) -> Samples:
    """In a distribution a request that never came so far counts as 0, as guidellm counts it."""
    return np.nan_to_num(seconds) * 1e3


def _later_amounts(group: _Group) -> Samples:
    several = (group.iterations > 1) & ~np.isnan(group.first_s) & (group.output > 1)
    each = (group.output[several] - 1) / (group.iterations[several] - 1)
    return np.repeat(each, group.iterations[several] - 1)


def _rows(traces: Traces) -> dict[str, NDArray[np.int64]]:
    """Who is who: what the client gave up is incomplete, what went wrong is errored."""
    cancelled = np.equal(traces.outcome, Outcome.CANCELLED)
    sent = traces.send_ns != MISSING
    masks = (traces.completed, cancelled & sent, ~traces.completed & ~cancelled & sent)
    rows = [np.flatnonzero(mask) for mask in masks]
    return dict(zip(_STATUSES, (*rows, np.concatenate(rows)), strict=True))


def _wall_s(traces: Traces) -> tuple[float, float]:
    """The window's ends, in seconds since the epoch."""
    start_ns, end_ns = window_ns(traces) or (0, 0)
    return (start_ns + traces.wall_offset_ns) / 1e9, (end_ns + traces.wall_offset_ns) / 1e9


def _scenario(cases: Sequence[Exportable]) -> dict[str, Any]:
    """What guidellm would have been told, as far as its words go; the labels are ours."""
    simulated = any(case.record.simulated for case in cases)
    first = cases[0]
    served = first.record.served
    backend = {"kind": "openai_http", "target": served.url if served else "", "model": first.model}
    data = {"kind": "synthetic_text", "prompt_tokens": 1, "output_tokens": 1}
    spread = Spread.of(definitions.prompt_tokens(first.traces))
    answers = Spread.of(definitions.output_tokens(first.traces))
    if spread.mean >= 1 and answers.mean >= 1:
        data |= {"prompt_tokens": round(spread.mean), "output_tokens": round(answers.mean)}
    return {
        "metadata": {"labels": {"tool": TOOL, "simulated": str(simulated).lower()}},
        "spec": {"backend": backend, "profile": _profile(first), "data": [data]},
    }


def _config(case: Exportable) -> dict[str, Any]:
    load = case.record.case.load
    ends = (("max_requests", load.requests), ("max_seconds", load.duration_s))
    return {
        "id_": case.name,
        "run_id": case.record.run_id,
        "run_index": 0,
        "strategy": _strategy(case),
        "constraints": {name: {"value": value} for name, value in ends if value},
        "profile": _profile(case),
        "requests": {"data": [case.record.case.traffic.text]},
        "backend": {"model": case.model, "engine": case.engine, "engine_version": case.engine_version},
        "environment": {"tool": TOOL, "simulated": case.record.simulated, "hardware": case.gpu},
    }


def _profile(case: Exportable) -> dict[str, Any]:
    load = case.record.case.load
    if load.concurrency is not None:
        return {"kind": "concurrent", "streams": [load.concurrency]}
    if np.isinf(case.rate_per_s):
        return {"kind": "throughput"}
    return {"kind": load.arrival, "rate": [case.rate_per_s]}


def _strategy(case: Exportable) -> dict[str, Any] | None:
    """None where guidellm has none like it."""
    load = case.record.case.load
    if load.concurrency is not None:
        return {"type_": "concurrent", "streams": load.concurrency}
    if np.isinf(case.rate_per_s):
        return {"type_": "throughput"}
    return {"type_": load.arrival, "rate": case.rate_per_s} if load.arrival in ("constant", "poisson") else None


def _scheduler(traces: Traces) -> dict[str, Any]:
    start_s, end_s = _wall_s(traces)
    rows = _rows(traces)
    made = {name: len(chosen) for name, chosen in rows.items()}
    sent = rows["total"]
    lag_s = float(((traces.send_ns - traces.intended_send_ns)[sent] / 1e9).mean()) if len(sent) else 0.0
    took_s = float(((traces.end_ns - traces.send_ns)[sent] / 1e9).mean()) if len(sent) else 0.0
    return {
        "start_time": start_s,
        "request_start_time": start_s,
        "measure_start_time": start_s,
        "measure_end_time": end_s,
        "request_end_time": end_s,
        "end_time": end_s,
        "requests_made": made,
        "queued_time_avg": lag_s,
        "request_targeted_start_delay_avg": lag_s,
        "resolve_targeted_start_delay_avg": lag_s,
        "request_time_avg": took_s,
        "resolve_time_avg": took_s,
        # Steps of guidellm's own scheduler, of which there are none here; -1 is its word for that.
        **dict.fromkeys(
            ("resolve_start_delay_avg", "request_start_delay_avg", "resolve_end_delay_avg", "finalized_delay_avg"), -1.0
        ),
        "processed_delay_avg": -1.0,
    }


def _requests(traces: Traces) -> dict[str, list[dict[str, Any]]]:
    rows = _rows(traces)
    return {status: [_request(traces, int(row), status) for row in rows[status]] for status in _STATUSES[:3]}


def _request(traces: Traces, row: int, status: str) -> dict[str, Any]:
    group, (origin_s, _) = _Group.of(traces, np.array([row])), _wall_s(traces)
    start_s, first_s, last_s, end_s = (float(each[0]) for each in (group.start_s, group.first_s, group.last_s, group.end_s))
    iterations, output = int(group.iterations[0]), int(group.output[0])
    intended_s = float((traces.intended_send_ns[row] + traces.wall_offset_ns) / 1e9)
    timings = {
        "targeted_start": intended_s,
        **dict.fromkeys(("resolve_start", "request_start"), origin_s + start_s),
        **dict.fromkeys(("first_request_iteration", "first_token_iteration"), origin_s + first_s),
        "first_output_token_iteration": origin_s + float(group.first_content_s[0]),
        **dict.fromkeys(("last_token_iteration", "last_request_iteration"), origin_s + last_s),
        **dict.fromkeys(("request_iterations", "token_iterations"), iterations),
        **dict.fromkeys(("request_end", "resolve_end"), origin_s + end_s),
    }
    tokens = {"prompt_tokens": int(group.prompt[0]), "output_tokens": output, "total_tokens": int(group.prompt[0]) + output}
    return {
        "type_": "generative_request_stats",
        "request_id": traces.request_id[row],
        "info": {
            "request_id": traces.request_id[row],
            "status": _STATES[status],
            "timings": timings,
            "error": traces.errors.get(row),
        },
        "input_metrics": {"text_tokens": int(group.prompt[0])},
        "output_metrics": {"text_tokens": output},
        "output": None,
        **tokens,
        "request_start_time": origin_s + start_s,
        "request_end_time": origin_s + end_s,
        "request_latency": end_s - start_s,
        "time_to_first_token_ms": (first_s - start_s) * 1e3,
        "time_per_output_token_ms": float(group.tpot_ms[0]) if output else None,
        "inter_token_latency_ms": float(group.itl_ms[0]) if output > 1 and not np.isnan(first_s) else None,
    }

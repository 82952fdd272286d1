"""
genai-bench's experiment folders: ``experiment_metadata.json`` and a run file for each scenario and level.

Rule: seconds. One folder holds what differs in scenario and concurrency only, because its reports group by nothing else. It knows
closed loops only. Definitions: ``request_metrics_collector.py``, ``aggregated_metrics_collector.py``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from math import nan
from typing import Any

import numpy as np

from pytest_inferbench.load.trace import Traces
from pytest_inferbench.metrics.metric import Samples
from pytest_inferbench.metrics.totals import window_s
from pytest_inferbench.records.export import definitions
from pytest_inferbench.records.export.exportable import TOOL, Export, Exportable, ExportFile, own_version, plain
from pytest_inferbench.records.export.spread import Spread
from pytest_inferbench.records.run_directory import safe_name

METADATA = "experiment_metadata.json"
_TASKS = {
    "text": "text-to-text",
    "dataset": "text-to-text",
    "images": "image-text-to-text",
    "embeddings": "text-to-embeddings",
    "rerank": "text-to-rerank",
    "speech": "text-to-speech",
}
_BY_BATCH = ("embeddings", "rerank")
_STATISTICS = (25, 50, 75, 90, 95, 99)
_COLUMNS = (
    "ttft",
    "tpot",
    "e2e_latency",
    "output_latency",
    "output_inference_speed",
    "num_input_tokens",
    "num_output_tokens",
    "num_reasoning_tokens",
    "total_tokens",
    "input_throughput",
    "output_throughput",
    "audio_throughput",
)


def files(cases: Sequence[Exportable]) -> Export:
    """A folder for each group of cases that genai-bench would have run as one experiment."""
    groups: dict[tuple[str, ...], list[Exportable]] = defaultdict(list)
    left_out = []
    taken: Counter[tuple[str, ...]] = Counter()
    for case in cases:
        if case.record.case.load.open_loop:
            left_out.append(f"{case.name}: genai-bench knows closed loops only, and this case sends at its own times")
            continue
        group = _group(case)
        # A second measurement of the same level is an experiment of its own; in one folder it would replace the first.
        level = (*group, case.record.case.traffic.text, str(_value(case)))
        groups[(*group, str(taken[level]))].append(case)
        taken[level] += 1
    names: Counter[str] = Counter()
    found: list[ExportFile] = []
    for members in groups.values():
        name = _folder(members[0])
        names[name] += 1
        found += _experiment(members, name if names[name] == 1 else f"{name}_{names[name]}")
    return Export(files=tuple(found), left_out=tuple(left_out))


def scenario_name(text: str) -> str:
    """A scenario in the name of a file: ``N(480,240)/(300,150)`` is ``N480_240_300_150``."""
    return text.replace("/", "_").replace(",", "_").replace("(", "").replace(")", "")


def _group(case: Exportable) -> tuple[str, ...]:
    of_case = case.record.case
    level = "" if of_case.traffic.kind not in _BY_BATCH else str(of_case.load.concurrency)
    return (
        of_case.server_key,
        of_case.suite,
        of_case.api,
        of_case.traffic.kind,
        of_case.traffic.cache,
        of_case.extra_body,
        of_case.load.shape,
        level,
    )


def _folder(case: Exportable) -> str:
    task, model = _TASKS[case.record.case.traffic.kind], safe_name(case.model)
    version = "" if case.engine_version is None else f"{safe_name(case.engine_version)}_"
    mark = "simulated_" if case.record.simulated else ""
    return f"{mark}openai_{case.engine}_{version}{task}_{model}_{case.started:%Y%m%d_%H%M%S}"


def _iteration(case: Exportable) -> str:
    return "batch_size" if case.record.case.traffic.kind in _BY_BATCH else "num_concurrency"


def _value(case: Exportable) -> int:
    of_case = case.record.case
    return of_case.traffic.documents if _iteration(case) == "batch_size" else of_case.load.concurrency or 1


def _experiment(cases: Sequence[Exportable], folder: str) -> list[ExportFile]:
    found = [ExportFile(path=f"{folder}/{METADATA}", content=plain(_metadata(cases, folder)))]
    for case in cases:
        task = _TASKS[case.record.case.traffic.kind]
        iteration = _iteration(case).removeprefix("num_")
        name = f"{scenario_name(case.record.case.traffic.text)}_{task}_{iteration}_{_value(case)}"
        path = f"{folder}/{name}_time_{int(window_s(case.traces))}s.json"
        found.append(ExportFile(path=path, content=plain(_run(case))))
    return found


def _metadata(cases: Sequence[Exportable], folder: str) -> dict[str, Any]:
    first = cases[0]
    of_case, by_batch = first.record.case, _iteration(first) == "batch_size"
    return {
        "cmd": first.record.again,
        "benchmark_version": f"{TOOL} {own_version()}",
        "api_backend": "openai",
        "auth_config": {},
        "api_model_name": first.model,
        "server_model_tokenizer": of_case.model,
        "model": safe_name(first.model),
        "task": _TASKS[of_case.traffic.kind],
        "num_concurrency": sorted({case.record.case.load.concurrency or 1 for case in cases}),
        "batch_size": sorted({_value(case) for case in cases}) if by_batch else None,
        "iteration_type": _iteration(first),
        "traffic_scenario": list(dict.fromkeys(case.record.case.traffic.text for case in cases)),
        "additional_request_params": {"simulated": True} if first.record.simulated else {},
        "server_engine": first.engine,
        "server_version": first.engine_version,
        "server_gpu_type": first.gpu,
        "server_gpu_count": str(of_case.gpus),
        "max_time_per_run_s": max(int(case.record.case.load.duration_s or window_s(case.traces)) for case in cases),
        "max_requests_per_run": max(case.summary.counts.attempted for case in cases),
        "experiment_folder_name": folder,
        "metrics_time_unit": "s",
        "dataset_path": None if of_case.traffic.dataset is None else of_case.traffic.dataset.path,
    }


def _run(case: Exportable) -> dict[str, Any]:
    columns = request_columns(case.traces)
    return {
        "aggregated_metrics": _aggregated(case, columns),
        "individual_request_metrics": _individual(case.traces, columns),
        "_time_unit": "s",
    }


def request_columns(traces: Traces) -> dict[str, Samples]:
    """genai-bench's figures of each completed request; NaN where it has none, 0 for an API that gives no tokens."""
    prompt, output = definitions.prompt_tokens(traces), definitions.output_tokens(traces)
    end_s, first_s = definitions.to_end_s(traces), definitions.to_first_token_s(traces)
    whole = np.isnan(first_s)
    # An answer that came whole has its first token at its end there.
    first_s = np.where(whole, end_s, first_s)
    latency_s, tpot_s = end_s - first_s, definitions.genai_bench_tpot_s(traces)
    with np.errstate(divide="ignore", invalid="ignore"):
        speed, rate = 1 / tpot_s, np.where(output > 1, (output - 1) / latency_s, nan)
        prompt_rate = np.where(first_s > 0, prompt / first_s, 0.0)
    columns = dict.fromkeys(_COLUMNS, np.full(len(prompt), nan))
    columns |= {
        "ttft": first_s,
        "tpot": np.where(whole, 0.0, tpot_s),
        "e2e_latency": end_s,
        "output_latency": np.where(whole, 0.0, latency_s),
        "output_inference_speed": np.where(whole, 0.0, speed),
        "num_input_tokens": prompt,
        "num_output_tokens": np.nan_to_num(output),
        "num_reasoning_tokens": np.zeros(len(prompt)),
        "total_tokens": prompt + np.nan_to_num(output),
        "input_throughput": prompt_rate,
        "output_throughput": np.where(whole, 0.0, np.where(np.isinf(rate), 0.0, rate)),
    }
    return columns


def _aggregated(case: Exportable, columns: dict[str, Samples]) -> dict[str, Any]:
    traces, counts = case.traces, case.summary.counts
    duration_s, lost = window_s(traces), counts.attempted - counts.completed
    codes = Counter(_codes(traces))
    return {
        "scenario": case.record.case.traffic.text,
        "num_concurrency": case.record.case.load.concurrency,
        "batch_size": case.record.case.traffic.documents,
        "iteration_type": _iteration(case),
        "run_duration": duration_s,
        "mean_output_throughput_tokens_per_s": columns["num_output_tokens"].sum() / duration_s,
        "mean_input_throughput_tokens_per_s": columns["num_input_tokens"].sum() / duration_s,
        "mean_total_tokens_throughput_tokens_per_s": columns["total_tokens"].sum() / duration_s,
        "requests_per_second": counts.completed / duration_s,
        "error_codes_frequency": {str(code): number for code, number in sorted(codes.items())},
        "error_rate": lost / counts.attempted if counts.attempted else 0.0,
        "num_error_requests": lost,
        "num_completed_requests": counts.completed,
        "num_requests": counts.attempted,
        "stats": {name: _statistics(Spread.of(values)) for name, values in columns.items()},
    }


def _codes(traces: Traces) -> list[int]:
    """The HTTP status of each lost request; one that ended without an error's status (a cut stream, a timeout) is 599."""
    return [int(status) if status >= 400 else 599 for status in traces.status[~traces.completed]]


def _statistics(spread: Spread) -> dict[str, float | None]:
    if not spread.count:
        return dict.fromkeys(("min", "max", "mean", "stddev", "sum", *(f"p{percent}" for percent in _STATISTICS)))
    found: dict[str, float | None] = {
        "min": spread.least,
        "max": spread.most,
        "mean": spread.mean,
        "stddev": spread.std,
        "sum": spread.total,
    }
    return found | {f"p{percent}": spread.percentile(percent) for percent in _STATISTICS}


def _individual(traces: Traces, columns: dict[str, Samples]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for place in range(int(traces.completed.sum())):
        row: dict[str, Any] = {name: float(values[place]) for name, values in columns.items()}
        row |= {name: int(row[name]) for name in _COLUMNS if name.startswith(("num_", "total_"))}
        rows.append({**row, "error_code": None, "error_message": None})
    lost = np.flatnonzero(~traces.completed).tolist()
    nothing = dict.fromkeys(_COLUMNS)
    rows += [
        {**nothing, "error_code": code, "error_message": traces.errors.get(row, "")}
        for row, code in zip(lost, _codes(traces), strict=True)
    ]
    return rows

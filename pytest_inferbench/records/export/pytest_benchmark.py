"""
pytest-benchmark's JSON: a benchmark for each latency of each case, whose rounds are requests (tokens, for ``itl``).

Rule: seconds, and this plugin's own definitions. Standard deviation divides by one less than the number of rounds and quartiles
are Tukey's hinges, as pytest-benchmark takes them (``pytest_benchmark/stats.py``).
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

import numpy as np

from pytest_inferbench.metrics.metric import Samples
from pytest_inferbench.metrics.registry import LATENCIES
from pytest_inferbench.records.export.exportable import TOOL, Export, Exportable, ExportFile, own_version, plain

REPORT = "pytest-benchmark.json"
_NAMES = ("ttft", "tpot", "itl", "e2e")


def files(cases: Sequence[Exportable]) -> Export:
    """One report of all cases."""
    benchmarks = [
        _benchmark(case, latency.name, latency.compute(case.traces) / 1e3)
        for case in cases
        for latency in LATENCIES
        if latency.name in _NAMES
    ]
    report = {
        "machine_info": {
            "node": "",
            "machine": platform.machine(),
            "python_version": platform.python_version(),
            "system": platform.system(),
            "cpu": {},
        },
        "commit_info": {"id": "unknown", "dirty": False},
        "benchmarks": [each for each in benchmarks if each["stats"]["rounds"]],
        "datetime": cases[0].record.started_at if cases else "",
        "version": f"{TOOL} {own_version()}",
    }
    return Export(files=(ExportFile(path=REPORT, content=plain(report)),))


def _benchmark(case: Exportable, name: str, samples_s: Samples) -> dict[str, Any]:
    return {
        "group": f"simulated {name}" if case.record.simulated else name,
        "name": f"{name}[{case.name}]",
        "fullname": f"{case.record.node_id}::{name}",
        "params": case.record.case.axes,
        "param": case.record.case.id,
        "extra_info": {
            "simulated": case.record.simulated,
            "verdict": case.record.verdict.outlook.value,
            "hardware": case.gpu,
            "scalars": dict(case.summary.scalars),
        },
        "options": {
            "disable_gc": False,
            "timer": case.traces.clock,
            "min_rounds": 1,
            "max_time": 0.0,
            "min_time": 0.0,
            "warmup": bool(case.record.case.load.warmup),
        },
        "stats": statistics(samples_s),
    }


def statistics(samples: Samples) -> dict[str, Any]:
    """pytest-benchmark's statistics of a sample; only ``rounds`` where it is empty."""
    if not samples.size:
        return {"rounds": 0}
    data = np.sort(samples)
    median, deviation = float(np.median(data)), float(np.std(data, ddof=1)) if data.size > 1 else 0.0
    mean, (q1, q3) = float(data.mean()), hinges(data)
    iqr = q3 - q1
    low, high = q1 - 1.5 * iqr, q3 + 1.5 * iqr
    iqr_outliers = int(((data < low) | (data > high)).sum())
    stddev_outliers = int((np.abs(data - mean) > deviation).sum())
    return {
        "min": float(data[0]),
        "max": float(data[-1]),
        "mean": mean,
        "stddev": deviation,
        "rounds": int(data.size),
        "median": median,
        "iqr": iqr,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": iqr_outliers,
        "stddev_outliers": stddev_outliers,
        "outliers": f"{stddev_outliers};{iqr_outliers}",
        "ld15iqr": float(data[data >= low][0]),
        "hd15iqr": float(data[data <= high][-1]),
        "ops": 1 / mean if mean else 0.0,
        "total": float(data.sum()),
        "iterations": 1,
        "data": samples.tolist(),
    }


def hinges(data: Samples) -> tuple[float, float]:
    """Medians of the lower and the upper half of sorted samples; the middle one of an odd number is in both."""
    half = (data.size + 1) // 2
    return float(np.median(data[:half])), float(np.median(data[-half:]))

"""
InferX's CSV files, a folder a case: ``metrics.csv`` with a row a request, and ``gpu_memory.csv`` where GPUs were watched.

Rule: seconds since the epoch. InferX computes its figures from these rows: TTFT is ``first_byte_time - send_time``, TPOT
``(end_time - first_byte_time) / resp_tokens``. ``throughput_latency.png`` is not written here: the run's own report has charts.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import numpy as np

from pytest_inferbench.load.trace import MISSING, Outcome, Traces
from pytest_inferbench.records.cells import cell
from pytest_inferbench.records.export.exportable import Export, Exportable, ExportFile

METRICS, GPU_MEMORY, FACTS = "metrics.csv", "gpu_memory.csv", "facts.json"
COLUMNS = (
    "request_id",
    "enqueue_time",
    "send_time",
    "first_byte_time",
    "end_time",
    "prompt_tokens",
    "resp_tokens",
    "bytes_received",
    "status",
    "error",
)


def files(cases: Sequence[Exportable]) -> Export:
    """The folder of each case; a third file has the facts that a CSV has no place for."""
    found = []
    for case in cases:
        found.append(ExportFile(path=f"{case.name}/{METRICS}", content=metrics_csv(case.traces)))
        found.append(ExportFile(path=f"{case.name}/{FACTS}", content=_facts(case)))
        if case.gpu_csv is not None:
            found.append(ExportFile(path=f"{case.name}/{GPU_MEMORY}", content=case.gpu_csv))
    return Export(files=tuple(found))


def metrics_csv(traces: Traces) -> str:
    """A row a request; a time that never came is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    prompt = np.where(traces.prompt_tokens == MISSING, traces.prompt_tokens_asked, traces.prompt_tokens)
    for row in range(len(traces)):
        instants = (traces.intended_send_ns, traces.send_ns, traces.first_byte_ns, traces.end_ns)
        times = [_seconds(int(column[row]), traces.wall_offset_ns) for column in instants]
        output = int(traces.output_tokens[row])
        counts = [int(prompt[row]), "" if output == MISSING else output, int(traces.bytes_received[row])]
        status = "ok" if traces.completed[row] else Outcome(int(traces.outcome[row])).name.lower()
        writer.writerow([traces.request_id[row], *times, *counts, status, cell(traces.errors.get(row, ""))])
    return text.getvalue()


def _seconds(instant_ns: int, offset_ns: int) -> str:
    if instant_ns == MISSING:
        return ""
    # Whole nanoseconds would not fit into a float.
    wall_ns = instant_ns + offset_ns
    return f"{wall_ns // 10**9}.{wall_ns % 10**9:09d}"


def _facts(case: Exportable) -> dict[str, object]:
    load = case.record.case.load
    return {
        "tool": "pytest-inferbench",
        "simulated": case.record.simulated,
        "model": case.model,
        "engine": case.engine,
        "hardware": case.gpu,
        "concurrency": load.concurrency,
        "rate": None if load.concurrency is not None else str(case.rate_per_s),
        "started_at": case.record.started_at,
    }

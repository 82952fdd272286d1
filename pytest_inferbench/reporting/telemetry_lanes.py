"""
What GPUs and server did, read back from a case's folder, as charts for its axis of time.

Rule: a file that is missing or cannot be read is no reason to lose the report; then there is no lane.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pytest_inferbench.load.trace import MISSING, Traces
from pytest_inferbench.metrics.telemetry.names import PREFIX
from pytest_inferbench.records.record import Record
from pytest_inferbench.records.telemetry import GPU_FILE, SERVER_FILE
from pytest_inferbench.reporting.case_charts import floats
from pytest_inferbench.reporting.chart import PALETTE, Axis, Chart, Series
from pytest_inferbench.reporting.per_request import origin_ns, peaks
from pytest_inferbench.reporting.timeline import LINK

_POINTS_MAX = 160
_GPUS_MAX = 8
_AROUND_NS = 2_000_000_000
_GIB = 1024**3
Points = list[tuple[int, float]]
"""(time in nanoseconds of the requests' clock, value)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lane:
    """One chart of telemetry: which columns of a file it shows, under which names, what a value is divided by, and what it is."""

    title: str
    unit: str
    columns: Mapping[str, str]
    divisor: float = 1.0
    what: str = "requests"


_GPU_LANES = (
    _Lane(title="GPU in use", unit="%", what="in use", columns={"utilization_percent": ""}),
    _Lane(title="GPU memory", unit="GiB", what="memory", columns={"memory_used_bytes": ""}, divisor=_GIB),
    _Lane(title="GPU power", unit="W", what="power", columns={"power_w": ""}),
)
_SERVER_LANES = (
    _Lane(title="Requests, as the server counts them", unit="", columns={"running": "running", "waiting": "waiting"}),
    _Lane(title="KV cache in use", unit="%", what="in use", columns={"kv_cache_usage": "KV cache"}, divisor=0.01),
)


def telemetry_lanes(record: Record, traces: Traces, folder: Path) -> tuple[Chart, ...]:
    """A chart for each thing that was seen of GPUs and server from two seconds before the load until two after it."""
    gpus, server = gpu_points(folder / GPU_FILE), server_points(folder / SERVER_FILE)
    charts = [
        _chart(record, traces, lane, {name: server.get(column, []) for column, name in lane.columns.items()})
        for lane in _SERVER_LANES
    ]
    for lane in _GPU_LANES:
        (column,) = lane.columns
        seen = {f"GPU {gpu}": points for (gpu, name), points in sorted(gpus.items()) if name == column}
        charts.append(_chart(record, traces, lane, dict(list(seen.items())[:_GPUS_MAX]), left_out=len(seen) - _GPUS_MAX))
    return tuple(chart for chart in charts if not chart.empty)


def gpu_points(path: Path) -> dict[tuple[int, str], Points]:
    """Readings of each GPU by (index, column); empty where there is no such file."""
    found: dict[tuple[int, str], Points] = defaultdict(list)
    wanted = [column for lane in _GPU_LANES for column in lane.columns]
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                for column in wanted:
                    if row.get(column):
                        found[int(row["gpu"]), column].append((int(row["timestamp_ns"]), float(row[column])))
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found


def server_points(path: Path) -> dict[str, Points]:
    """What the server said of itself, under our names; empty where there is no such file."""
    if not path.is_file():
        return {}
    import pandas as pd  # noqa: PLC0415 - heavy, and only a case with telemetry needs it

    wanted = [f"{PREFIX}{column}" for lane in _SERVER_LANES for column in lane.columns]
    try:
        table = pd.read_parquet(path, columns=["timestamp_ns", "name", "value"], filters=[("name", "in", wanted)])
    except (OSError, ValueError):
        return {}
    found: dict[str, Points] = defaultdict(list)
    rows = zip(table["timestamp_ns"].tolist(), table["name"].tolist(), table["value"].tolist(), strict=True)
    for at_ns, name, value in rows:
        found[str(name).removeprefix(PREFIX)].append((int(at_ns), float(value)))
    return found


def _chart(record: Record, traces: Traces, lane: _Lane, seen: Mapping[str, Points], *, left_out: int = 0) -> Chart:
    series, thinned = [], False
    for index, (name, points) in enumerate(seen.items()):
        line, fewer = _line(traces, points, lane, Series(name=name, x=(), y=(), style="line", colour=_colour(index)))
        series.append(line)
        thinned |= fewer
    notes = [f"The largest reading of each of {_POINTS_MAX} lengths of time."] if thinned else []
    notes += [f"{left_out} more GPUs are not drawn."] if left_out > 0 else []
    return Chart(
        title=lane.title,
        x=Axis(title="time since the first request", unit="s"),
        y=Axis(title=lane.what, unit=lane.unit),
        series=tuple(series),
        note=" ".join(notes),
        simulated=record.simulated or bool(record.telemetry and record.telemetry.simulated),
        link=LINK,
        flat=True,
    )


def _colour(index: int) -> str:
    return PALETTE[index % len(PALETTE)]


def _line(traces: Traces, points: Sequence[tuple[int, float]], lane: _Lane, empty: Series) -> tuple[Series, bool]:
    began_ns = origin_ns(traces)
    ended_ns = int(traces.end_ns.max()) if len(traces) else MISSING
    near = [(at, value) for at, value in points if began_ns - _AROUND_NS <= at <= ended_ns + _AROUND_NS and np.isfinite(value)]
    if not near:
        return empty, False
    at_s = np.array([(at - began_ns) / 1e9 for at, _ in near])
    values = np.array([value / lane.divisor for _, value in near])
    chosen = peaks(at_s, values, _POINTS_MAX)
    line = Series(name=empty.name, x=floats(at_s[chosen]), y=floats(values[chosen]), style="line", colour=empty.colour)
    return line, len(chosen) < len(near)

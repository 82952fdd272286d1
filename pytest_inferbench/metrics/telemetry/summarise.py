"""Readings become figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from math import isnan
from typing import NamedTuple, TypeVar

from pytest_inferbench.launch.answer import printable
from pytest_inferbench.metrics.telemetry.energy import energy_j
from pytest_inferbench.metrics.telemetry.exposition import Decoder, NoMetrics
from pytest_inferbench.metrics.telemetry.gpu_source import THROTTLING, GpuSample
from pytest_inferbench.metrics.telemetry.journal import Readings
from pytest_inferbench.metrics.telemetry.names import normalised
from pytest_inferbench.metrics.telemetry.telemetry import GpuUse, ServerUse, Telemetry

_Number = TypeVar("_Number", int, float)


class Point(NamedTuple):
    """A server's metrics under our names, at one time."""

    timestamp_ns: int
    values: Mapping[str, float]


def summarise(readings: Readings, *, window_ns: tuple[int, int], output_tokens: int | None) -> Telemetry:
    """
    What was seen, over the measured window.

    Args:
        readings: of the whole load, its warm-up included.
        window_ns: begin and end of what is measured, on the clock of the requests.
        output_tokens: that came within the window; None where nobody knows.
    """
    by_gpu = groupby(sorted(readings.gpus, key=lambda sample: (sample.gpu, sample.timestamp_ns)), key=lambda sample: sample.gpu)
    gpus = tuple(gpu_use(tuple(samples), window_ns=window_ns) for _, samples in by_gpu)
    points, troubles = server_points(readings)
    joules = [gpu.energy_j for gpu in gpus]
    total_j = sum(value for value in joules if value is not None) if joules and None not in joules else None
    return Telemetry(
        window_s=max(0, window_ns[1] - window_ns[0]) / 1e9,
        gpus=gpus,
        server=server_use(points, window_ns=window_ns) if points else None,
        energy_j=total_j,
        joules_per_output_token=total_j / output_tokens if total_j is not None and output_tokens else None,
        troubles=(*readings.troubles, *troubles),
        simulated=readings.simulated or any(sample.simulated for sample in readings.gpus),
    )


def gpu_use(samples: Sequence[GpuSample], *, window_ns: tuple[int, int]) -> GpuUse:
    """One GPU over the window, from all its readings in order of time."""
    inside = [sample for sample in samples if window_ns[0] <= sample.timestamp_ns <= window_ns[1]]
    power = [(sample.timestamp_ns, sample.power_w) for sample in samples if sample.power_w is not None]
    joules = energy_j(power, window_ns=window_ns)
    told = [sample.throttle_reasons.split("+") for sample in inside if sample.throttle_reasons is not None]
    held_back = [THROTTLING.intersection(reasons) for reasons in told]
    return GpuUse(
        gpu=samples[0].gpu,
        samples=len(inside),
        utilization_percent_mean=_mean(sample.utilization_percent for sample in inside),
        utilization_percent_max=_largest(sample.utilization_percent for sample in inside),
        memory_used_bytes_max=_largest(sample.memory_used_bytes for sample in inside),
        memory_total_bytes=_largest(sample.memory_total_bytes for sample in samples),
        power_w_mean=None if joules is None else joules / ((window_ns[1] - window_ns[0]) / 1e9),
        energy_j=joules,
        temperature_c_max=_largest(sample.temperature_c for sample in inside),
        sm_clock_mhz_mean=_mean(sample.sm_clock_mhz for sample in inside),
        throttled_share=_mean(1.0 if reasons else 0.0 for reasons in held_back),
        throttle_reasons=tuple(sorted(frozenset().union(*held_back))),
    )


def server_points(readings: Readings) -> tuple[list[Point], list[str]]:
    """A server's metrics under our names at each answer, and what is wrong with answers that are no metrics."""
    decoder, points, wrong, reason = Decoder(), [], 0, ""
    for scrape in readings.scrapes:
        try:
            values = normalised(decoder.samples(scrape.text), dialect=readings.metric_names)
        except NoMetrics as error:
            wrong, reason = wrong + 1, str(error)
        else:
            points.append(Point(scrape.timestamp_ns, values))
    if not wrong:
        return points, []
    url, count = readings.metrics_url, len(readings.scrapes)
    what = (
        f"{wrong} of {count} answers of {url} are no Prometheus text" if points else f"what {url} answers is no Prometheus text"
    )
    return points, [f"{what}: {printable(reason)}"]


def server_use(points: Sequence[Point], *, window_ns: tuple[int, int]) -> ServerUse:
    """The server over the window, from all its answers in order of time (at least one)."""
    inside = [point.values for point in points if window_ns[0] <= point.timestamp_ns <= window_ns[1]]
    before = [point.values for point in points if point.timestamp_ns <= window_ns[0]]
    after = [point.values for point in points if point.timestamp_ns >= window_ns[1]]
    # Where one of them is missing nothing is there to hold the other against, and no count is better than half of one.
    begin, end = (before[-1], after[0]) if before and after else ({}, {})
    return ServerUse(
        scrapes=len(inside),
        running_max=_largest(values.get("running") for values in inside),
        waiting_max=_largest(values.get("waiting") for values in inside),
        kv_cache_usage_max=_largest(values.get("kv_cache_usage") for values in inside),
        preemptions=increase(begin, end, "preemptions"),
        prefix_cache_hit_rate=_ratio(begin, end, "prefix_cache_hits", "prefix_cache_queries"),
        first_token_s_mean=_ratio(begin, end, "first_token_seconds_sum", "first_token_seconds_count"),
        output_token_s_mean=_ratio(begin, end, "output_token_seconds_sum", "output_token_seconds_count"),
    )


def increase(begin: Mapping[str, float], end: Mapping[str, float], name: str) -> float | None:
    """
    By how much a counter went up; None where it is not there, or went down.

    One that is there only in the end began at 0: servers show a counter when it has counted for the first time.
    """
    if name not in end:
        return None
    more = end[name] - begin.get(name, 0.0)
    return more if more >= 0 else None


def _ratio(begin: Mapping[str, float], end: Mapping[str, float], part: str, whole: str) -> float | None:
    parts, wholes = increase(begin, end, part), increase(begin, end, whole)
    return parts / wholes if parts is not None and wholes else None


def _largest(values: Iterable[_Number | None]) -> _Number | None:
    known = [value for value in values if value is not None and not isnan(value)]
    return max(known) if known else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None and not isnan(value)]
    return sum(known) / len(known) if known else None

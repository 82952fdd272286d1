"""
Readings of GPUs that are not there: what a simulated server tells of them over HTTP, in place of a driver.

Rule: every sample from here is marked as simulated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_inferbench.launch.answer import Answer
from pytest_inferbench.metrics.telemetry.gpu_source import GpuSample
from pytest_inferbench.metrics.telemetry.scrape import NotScraped, Source, asked
from pytest_inferbench.redaction import redact_url

GPUS_PATH = "/simulator/gpus"
LIMIT_S = 0.5
"""A sampler that was asked to end does so within a second, whatever the server does."""
_WHOLE = ("memory_used_bytes", "memory_total_bytes", "sm_clock_mhz", "memory_clock_mhz")
_REAL = ("utilization_percent", "power_w", "temperature_c")


class SimulatedSource:
    """
    GPUs as a simulated server tells of them.

    Args:
        gpus: index and uuid of each that the server holds: its first one goes by the first of these indexes, and so on. Without
            any, they go by the server's own.
        source: where it tells.
    """

    def __init__(self, gpus: Sequence[tuple[int, str]], source: Source) -> None:
        self.troubles: list[str] = []
        self._indexes = [index for index, _ in gpus]
        self._source = source
        self._is_over = False

    def read(self) -> list[GpuSample]:
        """Ask once; nothing where no answer can be used, and why is said once."""
        if self._is_over:
            return []
        try:
            at_ns, answer = asked(self._source, limit_s=LIMIT_S)
            return samples_of(answer, indexes=self._indexes, at_ns=at_ns)
        except NotScraped as trouble:
            said = f"simulated GPUs at {redact_url(self._source.url)} could not be read at all times: {trouble}"
            if said not in self.troubles:
                self.troubles.append(said)
            self._is_over = trouble.for_good
        return []


def samples_of(answer: Answer, *, indexes: Sequence[int], at_ns: int) -> list[GpuSample]:
    """
    An answer as readings; what is missing in it is None.

    Raises:
        NotScraped: it is no such answer, or tells of other GPUs than the server holds.
    """
    if answer.status != 200:
        raise NotScraped(f"it answered {answer.status}", for_good=answer.status == 404)
    said = answer.json()
    gpus = said.get("gpus") if isinstance(said, dict) else None
    if not isinstance(gpus, list) or not all(isinstance(gpu, dict) for gpu in gpus):
        raise NotScraped("it does not tell of GPUs")
    if indexes and len(gpus) != len(indexes):
        raise NotScraped(f"it tells of {len(gpus)} GPUs, and holds {len(indexes)}")
    names = indexes or range(len(gpus))
    return [_sample(gpu, index=index, at_ns=at_ns) for index, gpu in zip(names, gpus, strict=True)]


def _sample(gpu: dict[str, Any], *, index: int, at_ns: int) -> GpuSample:
    whole = {name: int(gpu[name]) for name in _WHOLE if _is_number(gpu.get(name))}
    real = {name: float(gpu[name]) for name in _REAL if _is_number(gpu.get(name))}
    reasons = gpu.get("throttle_reasons")
    return GpuSample(
        timestamp_ns=at_ns,
        gpu=index,
        memory_used_bytes=whole.get("memory_used_bytes"),
        memory_total_bytes=whole.get("memory_total_bytes"),
        utilization_percent=real.get("utilization_percent"),
        power_w=real.get("power_w"),
        sm_clock_mhz=whole.get("sm_clock_mhz"),
        memory_clock_mhz=whole.get("memory_clock_mhz"),
        temperature_c=real.get("temperature_c"),
        throttle_reasons=reasons if isinstance(reasons, str) else None,
        simulated=True,
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

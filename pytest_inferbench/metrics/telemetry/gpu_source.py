"""
Where readings of GPUs come from: NVIDIA's management library (NVML), or a made-up source for tests.

Rule: the only module of this stage that knows `pynvml`, and it imports it late. What a GPU does not say (a MIG slice says neither
power nor utilisation) is None and never a zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from pytest_inferbench.load.clock import monotonic_ns

# Bits of nvmlClocksThrottleReasons in nvml.h; those after "sync_boost" are no sign that a GPU was held back, nor is idling.
_REASONS = {
    0x1: "idle",
    0x2: "application_clocks",
    0x4: "power_cap",
    0x8: "hardware_slowdown",
    0x10: "sync_boost",
    0x20: "thermal",
    0x40: "hardware_thermal",
    0x80: "power_brake",
    0x100: "display_clocks",
}
THROTTLING = frozenset({"power_cap", "hardware_slowdown", "thermal", "hardware_thermal", "power_brake"})
"""Reasons that mean: the GPU ran slower than it could, for want of power or of cooling."""
_CLOCK_SM, _CLOCK_MEMORY, _SENSOR_GPU = 1, 2, 0
INSTALL = "pip install nvidia-ml-py"


class GpuSample(NamedTuple):
    """
    One reading of one GPU; None: it does not say.

    ``throttle_reasons`` are words joined with ``+``, empty where there is none. ``simulated``: there is no
    such GPU, and a simulated server says what one would read.
    """

    timestamp_ns: int
    gpu: int
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    utilization_percent: float | None = None
    power_w: float | None = None
    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    temperature_c: float | None = None
    throttle_reasons: str | None = None
    simulated: bool = False


class NoGpus(Exception):
    """GPUs cannot be read at all; says why and what to do."""


class GpuSource(Protocol):
    """Whoever can read some GPUs again and again."""

    troubles: list[str]
    """What could not be read, each said once."""

    def read(self) -> list[GpuSample]:
        """Look at every GPU once."""
        ...


class NvmlSource:
    """
    GPUs as NVML sees them.

    Args:
        gpus: index and uuid of each.
        load: brings the library; tests bring their own.

    Raises:
        NoGpus: there is no NVML here, or it does not know one of the GPUs.
    """

    def __init__(self, gpus: Sequence[tuple[int, str]], *, load: Callable[[], Any] | None = None) -> None:
        self.troubles: list[str] = []
        try:
            self._nvml = import_module("pynvml") if load is None else load()
        except ImportError as error:
            raise NoGpus(f"the Python package for NVIDIA GPUs is missing; install it: {INSTALL}") from error
        try:
            self._nvml.nvmlInit()
        except self._nvml.NVMLError as error:
            raise NoGpus(f"NVIDIA's library (NVML) does not start: {error}") from error
        self._handles = [(index, self._handle(index, uuid)) for index, uuid in gpus]
        self._unsupported: set[tuple[int, int]] = set()

    def read(self) -> list[GpuSample]:
        """Look at every GPU once; the time is that of the look at its power."""
        return [self._sample(index, handle) for index, handle in self._handles]

    def _handle(self, index: int, uuid: str) -> Any:
        try:
            return self._nvml.nvmlDeviceGetHandleByUUID(uuid)
        except self._nvml.NVMLError as error:
            raise NoGpus(f"NVML does not know GPU {index} ({uuid}): {error}") from error

    def _sample(self, gpu: int, handle: Any) -> GpuSample:
        nvml = self._nvml
        power_mw = self._value(gpu, lambda: nvml.nvmlDeviceGetPowerUsage(handle), field=0)
        now_ns = monotonic_ns()
        memory = self._value(gpu, lambda: nvml.nvmlDeviceGetMemoryInfo(handle), field=1)
        utilization = self._value(gpu, lambda: nvml.nvmlDeviceGetUtilizationRates(handle), field=2)
        reasons = self._value(gpu, lambda: self._reasons(handle), field=3)
        return GpuSample(
            timestamp_ns=now_ns,
            gpu=gpu,
            memory_used_bytes=None if memory is None else int(memory.used),
            memory_total_bytes=None if memory is None else int(memory.total),
            utilization_percent=None if utilization is None else float(utilization.gpu),
            power_w=None if power_mw is None else power_mw / 1000,
            sm_clock_mhz=self._value(gpu, lambda: nvml.nvmlDeviceGetClockInfo(handle, _CLOCK_SM), field=4),
            memory_clock_mhz=self._value(gpu, lambda: nvml.nvmlDeviceGetClockInfo(handle, _CLOCK_MEMORY), field=5),
            temperature_c=self._value(gpu, lambda: nvml.nvmlDeviceGetTemperature(handle, _SENSOR_GPU), field=6),
            throttle_reasons=None if reasons is None else reason_words(reasons),
        )

    def _reasons(self, handle: Any) -> int:
        # Renamed in driver 535; older bindings have only the older name.
        ask = getattr(self._nvml, "nvmlDeviceGetCurrentClocksEventReasons", None)
        return int((ask or self._nvml.nvmlDeviceGetCurrentClocksThrottleReasons)(handle))

    def _value(self, gpu: int, ask: Callable[[], Any], *, field: int) -> Any:
        """What NVML says, or None; what a GPU does not have is asked for once."""
        if (gpu, field) in self._unsupported:
            return None
        try:
            return ask()
        except self._nvml.NVMLError_NotSupported:
            self._unsupported.add((gpu, field))
        except self._nvml.NVMLError as error:
            said = f"GPU {gpu} could not be read at all times: {error}"
            if said not in self.troubles:
                self.troubles.append(said)
        return None


class FakeSource:
    """
    GPUs that are not there: each draws 100 W and ten times its index more, and holds as many GiB as its index and one.

    For tests, and for what the sampling itself costs.
    """

    def __init__(self, gpus: Sequence[tuple[int, str]]) -> None:
        self.troubles: list[str] = []
        self._gpus = [index for index, _ in gpus]

    def read(self) -> list[GpuSample]:
        """The same readings every time, at the present time."""
        return [
            GpuSample(
                timestamp_ns=monotonic_ns(),
                gpu=index,
                memory_used_bytes=(index + 1) << 30,
                memory_total_bytes=80 << 30,
                utilization_percent=50.0,
                power_w=100.0 + 10 * index,
                sm_clock_mhz=1980,
                memory_clock_mhz=2619,
                temperature_c=60.0,
                throttle_reasons="power_cap" if index == 0 else "",
            )
            for index in self._gpus
        ]


SOURCES: dict[str, Callable[[Sequence[tuple[int, str]]], GpuSource]] = {"nvml": NvmlSource, "fake": FakeSource}


def reason_words(bits: int) -> str:
    """Why clocks are what they are, as words joined with ``+``; a bit that nobody here knows stands as its number."""
    known = [word for bit, word in _REASONS.items() if bits & bit]
    rest = bits & ~sum(_REASONS)
    return "+".join([*known, hex(rest)] if rest else known)

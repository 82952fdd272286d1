from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_inferbench.load.clock import monotonic_ns
from pytest_inferbench.metrics.telemetry.gpu_source import SOURCES, FakeSource, GpuSample, NoGpus, NvmlSource, reason_words


class NvmlError(Exception):
    """As the library's own."""


class NotSupportedError(NvmlError):
    """As the library's own."""


class FakeNvml:
    """The part of `pynvml` that is used, with one GPU ``GPU-a``; what it is to refuse stands in ``refused``."""

    NVMLError = NvmlError
    NVMLError_NotSupported = NotSupportedError

    def __init__(self, refused: dict[str, Exception] | None = None) -> None:
        self.refused = refused or {}
        self.calls: list[str] = []

    def _said(self, name: str, value: Any) -> Any:
        self.calls.append(name)
        if name in self.refused:
            raise self.refused[name]
        return value

    def nvmlInit(self) -> None:  # noqa: N802 - the library's spelling
        self._said("init", None)

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        if uuid != "GPU-a":
            raise NvmlError("Not Found")
        return uuid

    def __getattr__(self, name: str) -> Callable[..., Any]:
        values: dict[str, Any] = {
            "nvmlDeviceGetPowerUsage": 350_500,
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=7, total=80),
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=93, memory=11),
            "nvmlDeviceGetTemperature": 64,
            "nvmlDeviceGetCurrentClocksThrottleReasons": 0x4 | 0x20,
        }
        if name == "nvmlDeviceGetClockInfo":
            return lambda _handle, kind: self._said(name, {1: 1980, 2: 2619}[kind])
        if name not in values:
            raise AttributeError(name)
        return lambda *_: self._said(name, values[name])


def source(nvml: FakeNvml) -> NvmlSource:
    return NvmlSource([(3, "GPU-a")], load=lambda: nvml)


def test_a_reading_is_what_nvml_says_in_units_of_ours() -> None:
    before_ns = monotonic_ns()
    (sample,) = source(FakeNvml()).read()
    assert before_ns <= sample.timestamp_ns <= monotonic_ns()
    assert sample._replace(timestamp_ns=0) == GpuSample(
        timestamp_ns=0,
        gpu=3,
        memory_used_bytes=7,
        memory_total_bytes=80,
        utilization_percent=93.0,
        power_w=350.5,
        sm_clock_mhz=1980,
        memory_clock_mhz=2619,
        temperature_c=64,
        throttle_reasons="power_cap+thermal",
    )


def test_the_newer_name_of_throttle_reasons_is_asked_first() -> None:
    nvml = FakeNvml()
    nvml.__dict__["nvmlDeviceGetCurrentClocksEventReasons"] = lambda _handle: 0x1
    assert source(nvml).read()[0].throttle_reasons == "idle"


def test_what_a_gpu_does_not_have_is_none_and_asked_for_once() -> None:
    nvml = FakeNvml({"nvmlDeviceGetPowerUsage": NotSupportedError("Not Supported")})
    slice_of_a_gpu = source(nvml)
    assert [slice_of_a_gpu.read()[0].power_w for _ in range(3)] == [None, None, None]
    assert nvml.calls.count("nvmlDeviceGetPowerUsage") == 1
    assert slice_of_a_gpu.troubles == []


def test_a_gpu_that_is_lost_is_said_once_and_asked_again() -> None:
    nvml = FakeNvml({"nvmlDeviceGetMemoryInfo": NvmlError("GPU is lost")})
    lost = source(nvml)
    assert lost.read()[0].memory_used_bytes is None
    nvml.refused = {}
    assert lost.read()[0].memory_used_bytes == 7
    assert lost.troubles == ["GPU 3 could not be read at all times: GPU is lost"]


def test_a_driver_that_is_not_there_is_said() -> None:
    with pytest.raises(NoGpus, match=r"NVIDIA's library \(NVML\) does not start: Driver Not Loaded"):
        source(FakeNvml({"init": NvmlError("Driver Not Loaded")}))


def test_a_gpu_that_nvml_does_not_know_is_named() -> None:
    with pytest.raises(NoGpus, match=r"NVML does not know GPU 3 \(GPU-b\): Not Found"):
        NvmlSource([(3, "GPU-b")], load=FakeNvml)


def test_a_package_that_is_missing_is_named_with_the_remedy() -> None:
    def missing() -> Any:
        raise ImportError

    with pytest.raises(NoGpus, match="the Python package for NVIDIA GPUs is missing; install it: pip install nvidia-ml-py"):
        NvmlSource([], load=missing)


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (0, ""),
        (0x1, "idle"),
        (0x8 | 0x40 | 0x80, "hardware_slowdown+hardware_thermal+power_brake"),
        (0x4 | 0x8000, "power_cap+0x8000"),
    ],
)
def test_reasons_are_words_and_unknown_ones_numbers(bits: int, words: str) -> None:
    assert reason_words(bits) == words


def test_the_fake_reads_every_gpu_that_it_was_given() -> None:
    samples = FakeSource([(0, "a"), (5, "b")]).read()
    assert [(sample.gpu, sample.power_w) for sample in samples] == [(0, 100.0), (5, 150.0)]
    assert SOURCES["fake"] is FakeSource

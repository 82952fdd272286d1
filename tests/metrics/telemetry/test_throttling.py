from pytest_inferbench.load.finding import Finding
from pytest_inferbench.metrics.telemetry.telemetry import GpuUse, Telemetry
from pytest_inferbench.metrics.telemetry.throttling import throttling_findings


def said(*gpus: GpuUse) -> tuple[Finding, ...]:
    return throttling_findings(Telemetry(window_s=1, gpus=gpus))


def test_gpus_that_were_held_back_are_named_with_the_reasons() -> None:
    (finding,) = said(
        GpuUse(gpu=0, samples=10, throttled_share=0.5, throttle_reasons=("power_cap",)),
        GpuUse(gpu=1, samples=10, throttled_share=0.0),
        GpuUse(gpu=2, samples=10, throttled_share=1.0, throttle_reasons=("power_cap", "thermal")),
    )
    assert finding.what == (
        "GPUs were held back: GPU 0 in 50% of the time (power_cap), GPU 2 in 100% of the time (power_cap, thermal)"
    )
    assert finding.advice.startswith("the figures are those of this host's power and cooling")
    assert not finding.invalidates


def test_a_few_readings_or_none_are_nothing() -> None:
    assert said(GpuUse(gpu=0, samples=10, throttled_share=0.1, throttle_reasons=("power_cap",))) == ()
    assert said(GpuUse(gpu=0, samples=10)) == ()
    assert throttling_findings(None) == ()

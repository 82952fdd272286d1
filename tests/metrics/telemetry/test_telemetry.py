import json
from dataclasses import dataclass
from math import nan

import pytest

from pytest_inferbench.metrics.telemetry.telemetry import GpuUse, ServerUse, Telemetry
from pytest_inferbench.records.codec import _decode, encode


@dataclass(frozen=True, kw_only=True)
class Holder:
    """As a record will hold it."""

    telemetry: Telemetry | None = None


FULL = Telemetry(
    window_s=10.0,
    gpus=(GpuUse(gpu=0, samples=100, power_w_mean=300.0, energy_j=3000.0, throttled_share=0.5, throttle_reasons=("power_cap",)),),
    server=ServerUse(scrapes=10, running_max=8.0, waiting_max=3.0, kv_cache_usage_max=0.5, preemptions=0.0),
    energy_j=3000.0,
    joules_per_output_token=1.5,
    troubles=("one",),
)


@pytest.mark.parametrize("telemetry", [None, Telemetry(window_s=0.0), FULL])
def test_it_goes_into_a_record_as_json_and_comes_back(telemetry: Telemetry | None) -> None:
    text = json.dumps(encode(Holder(telemetry=telemetry)), allow_nan=False)
    assert _decode(json.loads(text), Holder, "record") == Holder(telemetry=telemetry)


def test_a_value_that_is_no_number_can_be_written() -> None:
    assert encode(Telemetry(window_s=nan))["window_s"] == "NaN"

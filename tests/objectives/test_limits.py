"""What objectives say about single requests."""

from __future__ import annotations

from math import inf, nextafter

from pytest_inferbench.objectives.limits import goodput_limits, tightest_latency_limit_ms
from pytest_inferbench.objectives.slo import parse_objectives


def test_per_request_limits_are_the_tightest_of_each_metric() -> None:
    texts = ["ttft_p50 <= 100ms", "ttft_p99 < 50ms", "tpot_mean <= 20ms", "itl_p99 <= 5ms", "goodput >= 1", "error_rate <= 0"]
    objectives = parse_objectives(texts)
    assert goodput_limits(objectives) == {"ttft": nextafter(50.0, -inf), "tpot": 20.0}
    assert tightest_latency_limit_ms(objectives) == 5.0
    assert tightest_latency_limit_ms(parse_objectives(["goodput >= 1"])) is None

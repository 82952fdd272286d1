"""What holds for every metric."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.metrics.registry import LATENCIES, METRICS
from tests.traces import Row, lost_rows, traces_of


@given(st.lists(lost_rows(), max_size=5))
def test_requests_that_did_not_complete_are_in_no_latency(broken: list[Row]) -> None:
    assert all(latency.compute(traces_of(broken)).size == 0 for latency in LATENCIES)


def test_columns_end_in_their_unit() -> None:
    assert METRICS["ttft"].column == "ttft_ms"
    assert METRICS["output_throughput"].column == "output_throughput_tokens_per_s"
    assert METRICS["goodput"].column == "goodput_requests_per_s"
    assert METRICS["error_rate"].column == "error_rate"

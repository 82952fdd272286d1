"""What objectives are held against agrees with the figures of the same names."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from hypothesis import given

from pytest_inferbench.load.trace import Traces
from pytest_inferbench.metrics.goodput import good_requests
from pytest_inferbench.metrics.metric import Kind as MetricKind
from pytest_inferbench.metrics.registry import LATENCIES, SCALARS
from pytest_inferbench.metrics.totals import total, window_s
from pytest_inferbench.objectives.decide import Kind
from pytest_inferbench.objectives.evidence import evidence_of, latency_values
from pytest_inferbench.objectives.limits import goodput_limits
from pytest_inferbench.objectives.slo import parse_objective, parse_objectives
from tests.traces import Row, any_traces, lost, streamed, traces_of

THROUGHPUTS = ("request_throughput", "input_throughput", "output_throughput", "total_throughput")


@given(any_traces())
def test_the_mean_of_what_came_is_the_throughput(traces: Traces) -> None:
    if not window_s(traces) > 0:
        return
    totals = total(traces, good=0)
    for name in THROUGHPUTS:
        evidence = evidence_of(parse_objective(f"{name} >= 1"), traces)
        figure = next(each for each in SCALARS if each.name == name).compute(totals)
        assert evidence is not None
        assert evidence.claim.kind is Kind.THROUGHPUT
        assert np.isnan(figure) or evidence.values.mean() == pytest.approx(figure)


@given(any_traces())
def test_goodput_counts_the_requests_that_are_good(traces: Traces) -> None:
    if not window_s(traces) > 0:
        return
    limits = goodput_limits(parse_objectives(["ttft_p99 <= 50ms", "tpot_p50 <= 10ms"]))
    evidence = evidence_of(parse_objective("goodput >= 1"), traces, limits=limits)
    assert evidence is not None
    assert evidence.values.mean() * window_s(traces) == pytest.approx(good_requests(traces, limits))


@given(any_traces())
def test_latencies_are_the_samples_of_the_metric_and_the_lost_requests(traces: Traces) -> None:
    for latency in LATENCIES:
        values = latency_values(latency, traces)
        assert np.array_equal(np.sort(values[np.isfinite(values)]), np.sort(latency.compute(traces)))
        endless = int(np.count_nonzero(np.isinf(values)))
        assert endless >= int(np.count_nonzero(~traces.completed))
        if latency.kind is MetricKind.PER_REQUEST:
            assert len(values) <= len(traces)


def test_requests_stand_in_order_of_arrival() -> None:
    rows = [streamed(30, sent_ns=2_000_000_000), streamed(10, sent_ns=0), lost(sent_ns=1_000_000_000)]
    evidence = evidence_of(parse_objective("ttft_p99 <= 1s"), traces_of(rows))
    assert evidence is not None
    assert evidence.values.tolist() == [10.0, inf, 30.0]
    assert (evidence.claim.kind, evidence.claim.percent) == (Kind.PERCENTILE, 99)


def test_a_lost_request_stands_among_the_tokens_of_its_neighbours() -> None:
    rows = [streamed(itl_ms=5, tokens=3), lost(sent_ns=1_000_000_000), streamed(itl_ms=7, tokens=3, sent_ns=2_000_000_000)]
    evidence = evidence_of(parse_objective("itl_p99 <= 1s"), traces_of(rows))
    assert evidence is not None
    assert [value for value in evidence.values if value != inf] == [5.0, 5.0, 7.0, 7.0]
    assert np.count_nonzero(np.isinf(evidence.values)) == 7
    assert evidence.values[0] == 5.0
    assert evidence.values[-1] == 7.0


def test_a_completed_answer_without_a_token_never_showed_its_first() -> None:
    rows = [streamed(10), Row(sent_ns=5, end_ns=9, output_tokens=0)]
    evidence = evidence_of(parse_objective("ttft_p50 <= 1s"), traces_of(rows))
    assert evidence is not None
    assert evidence.values.tolist() == [10.0, inf]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ttft_mean <= 1s", Kind.MEAN),
        ("ttft_max <= 1s", Kind.LARGEST),
        ("error_rate <= 1%", Kind.RATE),
        ("request_throughput >= 1", Kind.THROUGHPUT),
    ],
)
def test_each_objective_is_a_claim_of_its_kind(text: str, kind: Kind) -> None:
    evidence = evidence_of(parse_objective(text), traces_of([streamed(), lost()]))
    assert evidence is not None
    assert evidence.claim.kind is kind


def test_the_length_of_the_steady_window_is_a_fact_and_no_estimate() -> None:
    assert evidence_of(parse_objective("steady_window >= 1s"), traces_of([streamed()])) is None


def test_a_load_without_length_gives_no_throughput() -> None:
    rows = [Row(sent_ns=0, end_ns=0, output_tokens=0)]
    assert evidence_of(parse_objective("request_throughput >= 1"), traces_of(rows)) is None

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from pytest_inferbench.cases.case import Load
from pytest_inferbench.load.trace import Outcome
from pytest_inferbench.records.export.guidellm import REPORT, benchmark, files, metrics
from tests.records.example import CASE
from tests.records.export.measured import exportable, several, uneven_traces
from tests.traces import WALL_OFFSET_NS, lost, streamed, traces_of


def test_all_cases_stand_in_one_report() -> None:
    (report,) = files(several(1, 2)).files
    assert report.path == REPORT
    assert report.content["metadata"]["version"] == 2
    assert [each["config"]["id_"] for each in report.content["benchmarks"]] == ["case-c1", "case-c2"]


def test_figures_are_guidellms_own() -> None:
    found = {
        name: each["successful"] for name, each in metrics(uneven_traces()).items() if isinstance(each.get("successful"), dict)
    }
    assert found["time_to_first_token_ms"]["mean"] == pytest.approx(65)
    assert found["request_latency"]["mean"] == pytest.approx(0.12)
    # TPOT is weighted with n: 50 ms for four tokens and 30 ms for one.
    assert found["time_per_output_token_ms"]["mean"] == pytest.approx((4 * 50 + 30) / 5)
    # ITL is weighted with n - 1: the answer of one token has no weight.
    assert found["inter_token_latency_ms"]["mean"] == pytest.approx(100 / 3)
    assert (found["inter_token_latency_ms"]["count"], found["time_per_output_token_ms"]["count"]) == (3, 5)
    # The first iteration is taken for one token, the other two share the rest.
    assert found["iter_tokens_per_iteration"]["mean"] == pytest.approx(1.5)
    assert found["output_tokens_per_iteration"]["count"] == 4


def test_rates_are_over_the_window() -> None:
    found = metrics(uneven_traces())
    assert found["requests_per_second"]["successful"]["count"] == 2
    assert found["output_tokens_per_second"]["successful"]["mean"] == pytest.approx(5 / 1.08)
    assert found["request_concurrency"]["total"]["max"] == 1.0


def test_requests_are_told_by_how_they_ended() -> None:
    traces = traces_of([streamed(), lost(), lost(Outcome.CANCELLED, "stopped"), lost(Outcome.TIMED_OUT, "slow")])
    found = metrics(traces)
    assert found["request_totals"] == {"successful": 1, "incomplete": 1, "errored": 2, "total": 4}
    requests = benchmark(exportable(traces))["requests"]
    assert [each["info"]["error"] for each in requests["errored"]] == ["HTTP 500: out of memory", "slow"]
    assert requests["incomplete"][0]["info"]["status"] == "cancelled"
    assert requests["total"] is None


def test_a_request_has_its_times_since_the_epoch() -> None:
    (first, _) = benchmark(exportable(uneven_traces()))["requests"]["successful"]
    timings = first["info"]["timings"]
    assert timings["request_start"] == pytest.approx(WALL_OFFSET_NS / 1e9)
    assert timings["first_token_iteration"] - timings["request_start"] == pytest.approx(0.1, abs=1e-5)
    assert (first["time_per_output_token_ms"], first["inter_token_latency_ms"]) == (
        pytest.approx(50, abs=1e-3),
        pytest.approx(100 / 3, abs=1e-3),
    )
    assert first["output"] is None


@pytest.mark.parametrize(
    ("load", "strategy"),
    [
        (Load(concurrency=4), {"type_": "concurrent", "streams": 4}),
        (Load(rate_per_s=2.0, arrival="poisson"), {"type_": "poisson", "rate": 2.0}),
        (Load(rate_per_s=2.0, arrival="constant"), {"type_": "constant", "rate": 2.0}),
        (Load(rate_per_s=inf, arrival="poisson"), {"type_": "throughput"}),
    ],
)
def test_load_is_told_in_guidellms_words(load: Load, strategy: dict[str, object]) -> None:
    found = benchmark(exportable(case=replace(CASE, load=load)))
    assert found["config"]["strategy"] == strategy


def test_arrivals_that_guidellm_has_no_word_for_are_left_out_and_said_to_be() -> None:
    bursts = replace(CASE, load=Load(rate_per_s=2.0, arrival="gamma", burstiness=0.5))
    export = files([exportable(case=bursts)])
    assert export.files == ()
    assert "guidellm has no strategy for arrivals like these (gamma of burstiness 0.5)" in export.left_out[0]
    assert len(files([exportable(case=bursts), exportable()]).files[0].content["benchmarks"]) == 1


def test_a_simulated_case_is_marked() -> None:
    content = files([exportable(simulated=True)]).files[0].content
    assert content["config"]["metadata"]["labels"]["simulated"] == "true"
    assert content["benchmarks"][0]["config"]["environment"]["simulated"] is True


def test_a_load_of_which_nothing_was_sent_has_no_figures() -> None:
    unsent = replace(traces_of([lost()]), send_ns=np.array([-1]), end_ns=np.array([-1]))
    assert metrics(unsent)["request_totals"]["total"] == 0

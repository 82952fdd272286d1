from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_inferbench.errors import EngineError, MeasurementInvalid
from pytest_inferbench.load.audit import Finding
from pytest_inferbench.load.trace import Outcome, Traces
from pytest_inferbench.metrics.summarise import summarise
from pytest_inferbench.objectives.judge import Sureness, judge
from pytest_inferbench.objectives.slo import parse_objectives
from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.result import Result, raise_unless_believable
from tests.records.example import CASE, example_record
from tests.traces import lost, streamed, traces_of

GOOD = traces_of([streamed(), streamed(sent_ns=10**9)])
LATE = Finding(what="requests were sent late", advice="use a faster machine", invalidates=True)


def result(traces: Traces, *slo: str, expected_miss: str | None = None, findings: tuple[Finding, ...] = ()) -> Result:
    summary = summarise(traces)
    verdict = judge(parse_objectives(slo), traces, summary=summary, findings=findings, sureness=Sureness(confidence=0.0))
    record = replace(
        example_record(traces), case=replace(CASE, slo=slo, expected_miss=expected_miss), verdict=verdict, summary=summary
    )
    return Result(record=record, traces=traces)


def check(found: Result) -> None:
    raise_unless_believable(found, parse_objectives(found.record.case.slo))


def test_figures_that_meet_their_objectives_meet_the_slo() -> None:
    found = result(GOOD, "ttft_p50 <= 10s")
    check(found)
    assert found.meets_slo
    assert found.verdict.outlook is Outlook.PASS
    assert found.summary.counts.completed == 2


def test_a_missed_objective_is_for_the_test_to_assert() -> None:
    found = result(GOOD, "ttft_p50 <= 1ms")
    check(found)
    assert not found.meets_slo
    assert found.explain().startswith("SLO missed: ttft_ms_p50 = ")
    assert f"  again   {found.record.again}" in found.explain()


def test_what_invalidates_the_figures_is_raised() -> None:
    with pytest.raises(MeasurementInvalid, match="INVALID: requests were sent late; use a faster machine"):
        check(result(GOOD, "ttft_p50 <= 10s", findings=(LATE,)))


def test_an_expected_miss_passes_as_what_it_is() -> None:
    check(result(GOOD, "ttft_p50 <= 1ms", expected_miss="too tight"))


def test_requests_that_fail_are_no_expected_miss() -> None:
    traces = traces_of([streamed(), lost(Outcome.FAILED, "HTTP 500: broken", sent_ns=5)])
    with pytest.raises(EngineError) as caught:
        check(result(traces, "ttft_p50 <= 1ms", expected_miss="too tight"))
    assert str(caught.value).startswith("a missed objective is expected here, not requests that fail\n")
    assert "1 x HTTP 500: broken" in str(caught.value)


def test_a_share_of_errors_may_be_what_is_expected_to_be_missed() -> None:
    traces = traces_of([streamed(), lost(Outcome.FAILED, "HTTP 503: busy", sent_ns=5)])
    check(result(traces, "error_rate <= 1%", expected_miss="overload drops requests"))


def test_a_server_that_answers_nothing_is_never_an_expected_miss() -> None:
    traces = traces_of([lost(Outcome.FAILED, "HTTP 503: busy", sent_ns=5)])
    with pytest.raises(EngineError, match="not requests that fail"):
        check(result(traces, "error_rate <= 1%", expected_miss="overload drops requests"))


def test_a_result_without_figures_says_why() -> None:
    record = replace(example_record(), summary=None, error="the server did not start")
    with pytest.raises(MeasurementInvalid, match=r"c4 has no figures: the server did not start"):
        _ = Result(record=record, traces=None).summary


def test_it_is_short_where_pytest_shows_it() -> None:
    assert repr(result(GOOD, "ttft_p50 <= 1ms")) == "<Result of cpu-llamacpp-smollm2-135m-tp1-d128x64-c4: fail>"

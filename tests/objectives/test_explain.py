"""The words of a verdict, read as a person would."""

from __future__ import annotations

from math import inf, nan

import pytest

from pytest_inferbench.metrics.summarise import summarise
from pytest_inferbench.metrics.summary import Counts
from pytest_inferbench.objectives.explain import Context, explain, headline
from pytest_inferbench.objectives.judge import Sureness, judge
from pytest_inferbench.objectives.slo import parse_objective, parse_objectives
from pytest_inferbench.objectives.verdict import Judgement, Outlook, Verdict
from tests.traces import Row, lost, streamed, traces_of

CASE = "llama8b-h100-tp1-poisson-c32"
AGAIN = f'pytest suites/ -k "{CASE}"'


def judgement(text: str, actual: float, outlook: Outlook = Outlook.FAIL, reason: str = "") -> Judgement:
    return Judgement(objective=parse_objective(text), outlook=outlook, actual=actual, unit="", reason=reason)


def explained(rows: list[Row], *slo: str) -> str:
    traces = traces_of(rows)
    summary = summarise(traces)
    verdict = judge(parse_objectives(slo), traces, summary=summary, sureness=Sureness(confidence=0.0))
    context = Context(
        case_id=CASE,
        counts=summary.counts,
        engine="vllm 0.32 on GPU 0",
        log="reports/x/engine.log",
        again=AGAIN,
        errors=tuple(traces.errors.values()),
    )
    return explain(verdict, context)


def test_a_missed_objective_says_metric_actual_limit_difference_case_log_and_how_to_run_it_again() -> None:
    counts = Counts(attempted=512, completed=509, failed=3, timed_out=0, cancelled=0)
    verdict = Verdict(outlook=Outlook.FAIL, judgements=(judgement("ttft_p99 <= 350ms", 412.6),))
    context = Context(
        case_id=CASE, counts=counts, engine="vllm 0.32 on GPU 0", log="reports/x/engine.log", again=AGAIN, errors=("boom",) * 3
    )
    assert explain(verdict, context).splitlines() == [
        "SLO missed: ttft_ms_p99 = 412.6, limit 350.0 (+17.9 %)",
        f"  case    {CASE}      requests 512 sent, 509 ok, 3 failed",
        "  errors  3 x boom",
        "  engine  vllm 0.32 on GPU 0, log reports/x/engine.log",
        f"  again   {AGAIN}",
    ]


@pytest.mark.parametrize(
    ("text", "actual", "line"),
    [
        ("output_throughput >= 1000", 812.0, "SLO missed: output_throughput_tokens_per_s = 812.0, limit 1000.0 (-18.8 %)"),
        ("ttft_p99 <= 350ms", 350.04, "SLO missed: ttft_ms_p99 = 350.04, limit 350.00 (+0.0 %)"),
        ("ttft_p99 < 350ms", 350.0, "SLO missed: ttft_ms_p99 = 350.0, limit below 350.0 (+0.0 %)"),
        ("ttft_p99 <= 350ms", inf, "SLO missed: ttft_ms_p99 = endless, limit 350.0"),
        ("ttft_p99 <= 1ms", 1.0000000001, "SLO missed: ttft_ms_p99 = 1.0000000001, limit 1.0 (+0.0 %)"),
        ("error_rate <= 0", 0.006, "SLO missed: error_rate = 0.6 %, limit 0 %"),
        ("error_rate <= 1%", 0.03, "SLO missed: error_rate = 3 %, limit 1 % (+200.0 %)"),
        ("goodput > 12", 12.0, "SLO missed: goodput_requests_per_s = 12.0, limit above 12.0 (+0.0 %)"),
    ],
)
def test_headlines_tell_actual_and_limit_apart(text: str, actual: float, line: str) -> None:
    assert headline(judgement(text, actual)) == line


def test_headlines_of_the_other_outlooks() -> None:
    met = judgement("ttft_p99 <= 350ms", 300.0, Outlook.PASS, "50 requests cannot establish a p99")
    assert headline(met) == "SLO met: ttft_ms_p99 = 300.0, limit 350.0 (-14.3 %); 50 requests cannot establish a p99"
    unsure = judgement("tpot_p99 <= 350ms", nan, Outlook.INCONCLUSIVE, "could not be measured: one token each")
    assert headline(unsure) == "INCONCLUSIVE: tpot_p99 <= 350ms: could not be measured: one token each"
    spoiled = judgement("tpot_p99 <= 350ms", nan, Outlook.INVALID, "not judged: the case is invalid")
    assert headline(spoiled) == "INVALID: tpot_p99 <= 350ms: not judged: the case is invalid"


def test_errors_are_grouped_by_reason_with_the_commonest_first() -> None:
    rows = [streamed(), lost(error="HTTP 503: overloaded"), lost(error="reset by\n peer"), lost(error="HTTP 503: overloaded")]
    lines = explained(rows, "ttft_p50 <= 10s").splitlines()
    assert lines[0].startswith("SLO missed: ttft_ms_p50 = endless, limit 10000.0; 3 of 4 requests did not complete and count as")
    assert lines[1] == "SLO missed: error_rate = 75 %, limit 0 %; 3 of 4 requests did not complete: 3 failed"
    assert lines[3:5] == ["  errors  2 x HTTP 503: overloaded", "          1 x reset by peer"]


def test_a_server_that_answers_nothing_is_called_a_server_fault_first() -> None:
    lines = explained([lost(error="HTTP 401: no key")] * 2, "ttft_p99 <= 1s").splitlines()
    assert lines[0] == "Server fault: none of 2 requests completed"
    assert lines[2] == f"  case    {CASE}      requests 2 sent, 0 ok, 2 failed"
    assert lines[3] == "  errors  2 x HTTP 401: no key"


@pytest.mark.parametrize("judgements", [(), (judgement("ttft_p99 <= 1s", 5.0, Outlook.PASS),)])
def test_a_server_that_died_is_called_a_server_fault_with_its_words(judgements: tuple[Judgement, ...]) -> None:
    verdict = Verdict(outlook=Outlook.FAIL, judgements=judgements, reasons=("the server ended with\n  signal 9",))
    assert explain(verdict, Context(case_id=CASE)).splitlines()[0] == "Server fault: the server ended with signal 9"


def test_an_invalid_case_says_why_and_what_to_do_and_no_figure() -> None:
    text = explained([], "ttft_p99 <= 1s")
    assert text.splitlines()[0] == "INVALID: no request was sent; give the load more requests or a longer duration"
    assert "ttft" not in text


def test_a_passed_case_says_what_was_met_and_not_what_nobody_asked() -> None:
    lines = explained([streamed(100)] * 300, "ttft_p99 <= 200ms").splitlines()
    assert lines[0] == "SLO met: ttft_ms_p99 = 100.0, limit 200.0 (-50.0 %)"
    assert lines[1].startswith("  case")


def test_no_secret_and_no_endless_error_is_shown() -> None:
    text = explained([streamed(), lost(error="HTTP 401: Bearer abcdef123456 is wrong" + "x" * 1000)], "ttft_p50 <= 1s")
    assert "abcdef123456" not in text
    assert max(len(line) for line in text.splitlines()) < 300

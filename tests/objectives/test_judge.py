"""Verdicts: errors are never green, and what must not be believed is not judged."""

from __future__ import annotations

from dataclasses import replace
from math import inf, isfinite, isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.load.audit import Finding
from pytest_inferbench.load.trace import MISSING, Outcome, Traces
from pytest_inferbench.metrics.summarise import summarise
from pytest_inferbench.metrics.summary import Counts, Distribution, Summary
from pytest_inferbench.objectives.judge import NO_ERRORS, Sureness, judge, judge_summary, reasons_counted
from pytest_inferbench.objectives.slo import parse_objective, parse_objectives
from pytest_inferbench.objectives.verdict import Outlook, Verdict
from tests.traces import MS, Row, completed_rows, lost, lost_rows, streamed, traces_of

OBSERVED = Sureness(confidence=0.0)


def judged(traces: Traces, *slo: str, findings: tuple[Finding, ...] = (), sureness: Sureness = OBSERVED) -> Verdict:
    return judge(parse_objectives(slo), traces, summary=summarise(traces), findings=findings, sureness=sureness)


def sure(traces: Traces, *slo: str) -> Verdict:
    return judged(traces, *slo, sureness=Sureness())


def spread(count: int, *, slow: int = 0, gap_ms: int = 40) -> Traces:
    """Requests one after the other whose first tokens take 90 to 110 ms; so many of them, here and there, are slow."""
    rng = np.random.default_rng(7)
    rows = [streamed(rng.uniform(90, 110), 20, sent_ns=i * gap_ms * MS) for i in range(count)]
    for at in rng.permutation(count)[:slow]:
        rows[at] = streamed(900, 20, sent_ns=int(at) * gap_ms * MS)
    return traces_of(rows, open_loop=True)


def test_a_case_that_meets_all_objectives_passes() -> None:
    verdict = judged(traces_of([streamed(100, 20)] * 300), "ttft_p99 <= 100ms", "tpot_mean <= 20ms", "output_throughput >= 1")
    assert verdict.outlook is Outlook.PASS
    assert [judgement.outlook for judgement in verdict.judgements] == [Outlook.PASS] * 4
    assert [judgement.actual for judgement in verdict.judgements[:2]] == [100.0, 20.0]
    assert [judgement.unit for judgement in verdict.judgements] == ["ms", "ms", "tok/s", "1"]
    assert [judgement.reason for judgement in verdict.judgements] == [""] * 4
    assert verdict.reasons == ()


def test_one_missed_objective_fails_the_case_and_the_others_keep_their_own_outlook() -> None:
    verdict = judged(traces_of([streamed(100, 20)] * 300), "ttft_p99 <= 99ms", "tpot_p99 <= 20ms", "tpot_p99 < 20ms")
    assert verdict.outlook is Outlook.FAIL
    assert [judgement.outlook for judgement in verdict.judgements] == [Outlook.FAIL, Outlook.PASS, Outlook.FAIL, Outlook.PASS]


def test_one_failed_request_fails_a_case_without_an_objective_on_errors() -> None:
    verdict = judged(traces_of([*[streamed()] * 999, lost()]), "ttft_p50 <= 1s")
    assert verdict.outlook is Outlook.FAIL
    assert verdict.judgements[-1].objective == NO_ERRORS
    assert verdict.judgements[-1].reason == "1 of 1000 requests did not complete: 1 failed"
    assert verdict.reasons == ("1 of 1000 requests did not complete", "1 x HTTP 500: out of memory")


def test_no_objective_at_all_still_fails_on_errors_and_passes_without() -> None:
    assert judged(traces_of([streamed()])).outlook is Outlook.PASS
    assert judged(traces_of([streamed(), lost(Outcome.TIMED_OUT)])).outlook is Outlook.FAIL


def test_an_objective_of_its_own_on_errors_takes_the_place_of_the_implied_one() -> None:
    traces = traces_of([*[streamed(100)] * 995, *[lost()] * 5])
    verdict = judged(traces, "error_rate <= 1%", "ttft_p99 <= 100ms")
    assert verdict.outlook is Outlook.PASS
    assert [judgement.objective.text for judgement in verdict.judgements] == ["error_rate <= 0.01", "ttft_p99 <= 100ms"]
    assert verdict.judgements[1].reason == "5 of 1000 requests did not complete and count as endless"


@pytest.mark.parametrize("slo", ["ttft_mean <= 1s", "ttft_max <= 1s", "e2e_p99.9 <= 10s", "itl_p99 <= 1s", "tpot_max <= 1s"])
def test_a_lost_request_is_over_the_limit_of_every_latency_it_reaches(slo: str) -> None:
    verdict = judged(traces_of([*[streamed(100)] * 40, lost()]), slo, "error_rate <= 50%")
    assert verdict.judgements[0].actual == inf
    assert verdict.judgements[0].outlook is Outlook.FAIL
    assert "1 of 41 requests did not complete and count as endless" in verdict.judgements[0].reason


def test_a_lost_request_weighs_in_inter_token_latency_as_many_tokens_as_it_owed() -> None:
    rows = [*[streamed(tokens=101)] * 9, replace(lost(), output_tokens_asked=101)]
    verdict = judged(traces_of(rows), "itl_p90 <= 20ms", "itl_p99 <= 20ms", "error_rate <= 50%")
    assert [judgement.actual for judgement in verdict.judgements[:2]] == [inf, inf]
    assert judged(traces_of(rows), "itl_p50 <= 20ms", "error_rate <= 50%").outlook is Outlook.PASS


def test_a_server_that_answers_errors_to_everything_fails_with_its_own_words() -> None:
    rows = [*[lost(error="HTTP 503: overloaded")] * 3, lost(Outcome.TIMED_OUT, "no first token within 300 s")]
    verdict = judged(traces_of(rows), "ttft_p99 <= 1s", "tpot_mean <= 1s", "output_throughput >= 1", "error_rate <= 99%")
    assert verdict.outlook is Outlook.FAIL
    assert {judgement.outlook for judgement in verdict.judgements} == {Outlook.FAIL}
    assert verdict.reasons == (
        "none of 4 requests completed",
        "3 x HTTP 503: overloaded",
        "1 x no first token within 300 s",
    )


@given(st.lists(lost_rows(), min_size=1, max_size=6))
def test_a_case_without_a_completed_request_never_passes(rows: list[Row]) -> None:
    verdict = judged(traces_of(rows), "ttft_p50 <= 100s", "goodput >= 0.001", "error_rate <= 99%")
    only_cancelled = all(row.outcome is Outcome.CANCELLED for row in rows)
    assert verdict.outlook is (Outlook.INVALID if only_cancelled else Outlook.FAIL)


@given(st.lists(completed_rows(), min_size=1, max_size=6), st.lists(lost_rows(), min_size=1, max_size=3))
def test_lost_requests_never_turn_a_verdict_better(done: list[Row], gone: list[Row]) -> None:
    slo = ("ttft_p90 <= 500ms", "e2e_mean <= 3s", "itl_p50 <= 100ms", "error_rate <= 99%")
    without, with_lost = judged(traces_of(done), *slo), judged(traces_of([*done, *gone]), *slo)
    for before, after in zip(without.judgements, with_lost.judgements, strict=True):
        assert not (before.outlook is Outlook.FAIL and after.outlook is Outlook.PASS)


def test_a_silent_answer_counts_as_endless_for_the_first_token() -> None:
    verdict = judged(traces_of([streamed(), Row(end_ns=MS)]), "ttft_p99 <= 1s")
    assert verdict.outlook is Outlook.FAIL
    assert "1 of 2 completed requests have no time to first token" in verdict.judgements[0].reason


def test_what_no_request_has_is_inconclusive_with_the_reason() -> None:
    verdict = judged(traces_of([streamed(tokens=1)] * 3), "tpot_mean <= 1s")
    assert verdict.outlook is Outlook.INCONCLUSIVE
    assert isnan(verdict.judgements[0].actual)
    assert verdict.judgements[0].reason == "could not be measured: none of 3 completed requests has a time per output token"


def test_unknown_prompt_tokens_make_input_throughput_inconclusive() -> None:
    verdict = judged(traces_of([Row(prompt_tokens=MISSING, events=((MS, 1),))]), "input_throughput >= 1")
    assert verdict.judgements[0].outlook is Outlook.INCONCLUSIVE
    assert "could not be measured: the prompt tokens of some requests are known neither" in verdict.judgements[0].reason


def test_unknown_output_tokens_make_output_throughput_inconclusive() -> None:
    verdict = judged(traces_of([Row(output_tokens=MISSING, end_ns=MS)]), "output_throughput >= 1 tok/s")
    assert verdict.outlook is Outlook.INCONCLUSIVE
    assert "could not be measured: some answers came whole, and the server did not say" in verdict.judgements[0].reason


@pytest.mark.parametrize("metric", ["steady_window", "steady_output_throughput"])
def test_a_load_that_never_was_steady_is_inconclusive_where_that_is_asked_for(metric: str) -> None:
    verdict = judged(traces_of([streamed()], open_loop=True), f"{metric} >= 1")
    assert verdict.outlook is Outlook.INCONCLUSIVE
    reason = "could not be measured: the load was never steady: ask for more requests, or a longer one"
    assert verdict.judgements[0].reason == reason


def test_whole_answers_make_the_throughput_while_steady_inconclusive() -> None:
    verdict = judged(traces_of([Row(output_tokens=3, end_ns=MS)]), "steady_output_throughput >= 1 tok/s")
    assert verdict.outlook is Outlook.INCONCLUSIVE
    assert "could not be measured: some answers came whole, and nobody knows when" in verdict.judgements[0].reason


def test_a_load_that_took_no_time_has_no_throughput_to_judge() -> None:
    assert judged(traces_of([Row(end_ns=0)]), "request_throughput >= 1").judgements[0].reason == (
        "could not be measured: the load took no time"
    )


def test_too_few_requests_for_a_percentile_are_said_so() -> None:
    judgement = judged(traces_of([streamed(100)] * 50), "ttft_p99 <= 1s").judgements[0]
    assert judgement.outlook is Outlook.PASS
    assert judgement.reason == "as seen: 50 requests cannot establish a p99, at least 299 can"


def test_goodput_counts_by_the_other_objectives_whatever_the_summary_was_made_with() -> None:
    traces = traces_of([streamed(100, tokens=2), streamed(900, tokens=2)])
    verdict = judged(traces, "ttft_p50 <= 500ms", "goodput >= 0.1")
    assert verdict.judgements[1].actual == pytest.approx(1 / 0.92)
    assert verdict.judgements[1].reason == "good: ttft <= 500 ms"
    alone = judged(traces, "goodput >= 0.1").judgements[0]
    assert alone.actual == pytest.approx(2 / 0.92)
    assert alone.reason == "no objective on ttft, tpot or e2e beside it, so every completed request counts as good"


_SPOILED = Finding(what="the load process was 99 % busy", advice="use more load processes", invalidates=True)
_NOTED = Finding(what="2 requests were sent again", advice="nothing to do", invalidates=False)


def test_figures_that_the_client_spoiled_are_invalid_and_none_of_them_is_judged() -> None:
    verdict = judged(traces_of([streamed()] * 3), "ttft_p50 <= 1s", "ttft_p50 <= 1ms", findings=(_NOTED, _SPOILED))
    assert verdict.outlook is Outlook.INVALID
    assert verdict.reasons == ("the load process was 99 % busy; use more load processes",)
    assert {judgement.outlook for judgement in verdict.judgements} == {Outlook.INVALID}
    assert judged(traces_of([streamed()] * 3), "ttft_p50 <= 1s", findings=(_NOTED,)).outlook is Outlook.PASS


def test_a_case_without_requests_is_invalid() -> None:
    verdict = judged(traces_of([]), "ttft_p50 <= 1s")
    assert verdict.outlook is Outlook.INVALID
    assert verdict.reasons == ("no request was sent; give the load more requests or a longer duration",)


def test_a_case_that_was_stopped_before_anything_completed_is_invalid() -> None:
    verdict = judged(traces_of([lost(Outcome.CANCELLED)] * 2))
    assert verdict.outlook is Outlook.INVALID
    assert verdict.reasons == ("every request was stopped before it completed; give the load more time",)


def test_books_that_do_not_balance_are_invalid() -> None:
    traces = replace(traces_of([streamed(), streamed()]), outcome=np.array([0, 9]))
    verdict = judged(traces, "ttft_p50 <= 1s")
    assert verdict.outlook is Outlook.INVALID
    assert verdict.reasons[0].startswith("2 requests were attempted, but 1 are accounted for; this is a fault of the harness")


def test_a_summary_of_other_traces_is_invalid() -> None:
    two, three = traces_of([streamed()] * 2), traces_of([streamed()] * 3)
    verdict = judge([parse_objective("ttft_p50 <= 1s")], two, summary=summarise(three))
    assert verdict.outlook is Outlook.INVALID
    assert verdict.reasons == ("the summary is of 3 requests and the traces of 2; pass those of one case",)


def test_reasons_are_counted_and_the_rest_is_added_up() -> None:
    assert reasons_counted(["a", "b", "a", "c"], most=1) == ("2 x a", "2 x other reasons (2 kinds)")
    assert reasons_counted([]) == ()


def told(*, completed: int = 10, **scalars: float) -> Summary:
    """What a tool tells that knows TTFT and nothing of TPOT."""
    known = Distribution(count=10, mean=50.0, p50=40.0, p90=80.0, p95=nan, p99=90.0, max=nan)
    return Summary(
        counts=Counts(attempted=10, completed=completed, failed=10 - completed, timed_out=0, cancelled=0),
        window_s=5.0,
        prompt_tokens=100,
        output_tokens=100,
        distributions={"ttft": known},
        scalars={"error_rate": (10 - completed) / 10, **scalars},
    )


@pytest.mark.parametrize(
    ("text", "outlook"),
    [
        ("ttft_p99 <= 100ms", Outlook.PASS),
        ("ttft_p99 <= 80ms", Outlook.FAIL),
        ("ttft_p95 <= 80ms", Outlook.INCONCLUSIVE),
        ("tpot_p50 <= 80ms", Outlook.INCONCLUSIVE),
        ("ttft_p99.9 <= 80ms", Outlook.INCONCLUSIVE),
        ("output_throughput >= 10 tok/s", Outlook.PASS),
        ("request_throughput >= 10 req/s", Outlook.INCONCLUSIVE),
    ],
)
def test_what_another_tool_tells_is_judged_and_nothing_else(text: str, outlook: Outlook) -> None:
    verdict = judge_summary(parse_objectives([text]), told(output_throughput=20.0), told_by="genai-bench")
    assert verdict.outlook is outlook
    if outlook is Outlook.INCONCLUSIVE:
        assert "genai-bench does not tell it, or by another definition than ours" in verdict.judgements[0].reason


def test_a_request_that_another_tool_lost_is_no_pass() -> None:
    verdict = judge_summary(parse_objectives(["ttft_p99 <= 100ms"]), told(completed=9), told_by="genai-bench")
    assert verdict.outlook is Outlook.FAIL
    assert [each.outlook for each in verdict.judgements] == [Outlook.INCONCLUSIVE, Outlook.FAIL]
    assert verdict.reasons == ("1 of 10 requests did not complete, says genai-bench",)


def test_a_tool_that_tells_of_no_request_is_invalid() -> None:
    nothing = replace(told(), counts=Counts(attempted=0, completed=0, failed=0, timed_out=0, cancelled=0))
    assert judge_summary((), nothing, told_by="genai-bench").outlook is Outlook.INVALID


# -- how sure ----------------------------------------------------------------------------------------------------------------


def test_a_figure_far_from_its_limit_is_sure_and_says_what_it_lies_between() -> None:
    verdict = sure(spread(600), "ttft_p90 <= 200ms", "ttft_mean <= 200ms")
    assert verdict.outlook is Outlook.PASS
    p90, mean = verdict.judgements[:2]
    assert (p90.confidence, mean.confidence) == (0.95, 0.95)
    assert 100 < p90.low <= p90.actual <= p90.high < 112
    assert 98 < mean.low <= mean.actual <= mean.high < 102
    assert 100 <= p90.counting <= 600
    assert p90.reason == ""


def test_a_miss_by_far_is_sure() -> None:
    verdict = sure(spread(600), "ttft_p50 <= 80ms")
    assert verdict.outlook is Outlook.FAIL
    assert verdict.judgements[0].low > 80


def test_fifty_requests_cannot_pass_a_p99_and_say_how_many_more_would() -> None:
    verdict = sure(spread(50), "ttft_p99 <= 10s")
    assert verdict.outlook is Outlook.INCONCLUSIVE
    judgement = verdict.judgements[0]
    assert judgement.reason.startswith("50 requests count as ")
    assert " more would tell" in judgement.reason
    assert isfinite(judgement.actual)


def test_a_figure_near_its_limit_is_inconclusive_where_it_has_to_be_sure() -> None:
    traces = spread(600, slow=6)
    judgement = sure(traces, "ttft_p99 <= 500ms").judgements[0]
    assert judgement.outlook is Outlook.INCONCLUSIVE
    assert judgement.reason
    assert judged(traces, "ttft_p99 <= 500ms").judgements[0].outlook in {Outlook.PASS, Outlook.FAIL}


def test_a_lost_request_is_over_every_limit_when_it_has_to_be_sure_too() -> None:
    rows = [streamed(100, sent_ns=i * 40 * MS) if i % 10 else lost(sent_ns=i * 40 * MS) for i in range(600)]
    verdict = sure(traces_of(rows, open_loop=True), "ttft_p99 <= 1s", "ttft_mean <= 1s", "error_rate <= 50%")
    assert [each.outlook for each in verdict.judgements] == [Outlook.FAIL, Outlook.FAIL, Outlook.PASS]


def test_a_largest_value_and_no_errors_are_facts_of_the_requests_that_were_sent() -> None:
    assert sure(spread(8), "ttft_max <= 1s").outlook is Outlook.PASS
    assert sure(spread(8), "ttft_max <= 50ms").outlook is Outlook.FAIL


def test_no_completed_request_is_a_failure_and_not_a_lack_of_requests() -> None:
    rows = [lost(error="HTTP 503: overloaded")] * 4
    assert sure(traces_of(rows), "ttft_p99 <= 1s", "error_rate <= 99%").outlook is Outlook.FAIL


def test_more_looks_ask_for_more() -> None:
    assert Sureness(looks=1).of_each_look == pytest.approx(0.95)
    assert Sureness(looks=10).of_each_look == pytest.approx(0.995)
    traces = spread(2000)
    once = judged(traces, "ttft_p99 <= 500ms", sureness=Sureness())
    often = judged(traces, "ttft_p99 <= 500ms", sureness=Sureness(looks=10**12))
    assert (once.outlook, often.outlook) == (Outlook.PASS, Outlook.INCONCLUSIVE)
    assert often.judgements[0].confidence == 0.95


def test_a_throughput_is_sure_by_what_came_in_equal_parts_of_the_time() -> None:
    traces = spread(3000)
    figure = judged(traces, "request_throughput >= 1").judgements[0].actual
    verdict = sure(traces, f"request_throughput >= {figure * 0.5}", f"request_throughput >= {figure * 2}")
    assert [each.outlook for each in verdict.judgements[:2]] == [Outlook.PASS, Outlook.FAIL]
    assert verdict.judgements[0].actual == figure
    assert verdict.judgements[0].low == pytest.approx(figure, rel=0.02)
    assert verdict.judgements[0].high == pytest.approx(figure, rel=0.02)


def test_what_is_taken_as_seen_says_so_where_it_is_too_few() -> None:
    judgement = judged(spread(8), "ttft_p99 <= 10s").judgements[0]
    assert (judgement.outlook, judgement.confidence) == (Outlook.PASS, 0.0)
    assert judgement.reason == "as seen: 8 requests cannot establish a p99, at least 299 can"


def test_a_queue_that_only_grows_is_a_miss_for_sure() -> None:
    # Each answer takes 40 ms, and requests come every 20 ms: the last of 800 waits for 16 s.
    rows = [streamed((i + 1) * 40 - i * 20, 1, tokens=2, sent_ns=i * 20 * MS) for i in range(800)]
    verdict = sure(traces_of(rows, open_loop=True), "ttft_p90 <= 500ms", "ttft_p99 <= 60s")
    assert [each.outlook for each in verdict.judgements[:2]] == [Outlook.FAIL, Outlook.INCONCLUSIVE]
    assert verdict.judgements[0].reason.endswith("so every one would wait longer than the one before")

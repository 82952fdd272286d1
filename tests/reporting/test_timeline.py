from __future__ import annotations

from dataclasses import replace

from pytest_inferbench.load.trace import MISSING, Outcome
from pytest_inferbench.reporting.timeline import LINK, drawn_rows, in_flight_chart, requests_chart, timeline_charts
from tests.reporting.examples import all_failed, busy_traces, no_request, record
from tests.traces import MS, Row, lost, streamed, traces_of


def spans(*rows: Row, open_loop: bool = False) -> dict[str, list[tuple[float, float, float]]]:
    traces = traces_of(rows, open_loop=open_loop)
    series = requests_chart(record(traces), traces).series
    return {each.name: list(zip(each.x, each.to, each.y, strict=True)) for each in series if each.x}


def test_a_request_is_its_wait_its_first_token_and_its_decoding() -> None:
    row = replace(streamed(100, 20, tokens=6, sent_ns=50 * MS), intended_ns=0)
    assert spans(row, open_loop=True) == {
        "waiting to be sent": [(0.0, 0.05, 1.0)],
        "queue and prefill on the server": [(0.05, 0.15, 1.0)],
        "decode": [(0.15, 0.25, 1.0)],
    }


def test_a_request_that_did_not_complete_is_one_span_with_its_reason() -> None:
    traces = traces_of([streamed(), lost(Outcome.TIMED_OUT, "no token for 60 s")])
    (failed,) = (each for each in requests_chart(record(traces), traces).series if each.name == "did not complete")
    assert len(failed.x) == 1
    assert "no token for 60 s" in failed.hover[0]


def test_an_answer_that_is_not_streamed_has_no_first_token() -> None:
    assert list(spans(Row(sent_ns=0, end_ns=300 * MS))) == ["answer, not streamed"]


def test_a_request_that_was_never_sent_is_in_no_row() -> None:
    traces = traces_of([replace(lost(Outcome.CANCELLED), sent_ns=MISSING), streamed(sent_ns=5 * MS)])
    assert drawn_rows(traces, 100).tolist() == [1]


def test_of_many_requests_the_slowest_are_drawn_in_order_of_sending_and_the_chart_says_how_many() -> None:
    rows = [streamed(100, 10, tokens=4, sent_ns=position * MS) for position in range(1000)]
    rows[333] = streamed(9000, 10, tokens=4, sent_ns=333 * MS)
    traces = traces_of(rows)
    chosen = drawn_rows(traces, 120).tolist()
    assert 333 in chosen
    assert len(chosen) <= 120
    assert chosen == sorted(chosen)
    note = requests_chart(record(traces), traces).note
    assert note == f"{len(chosen)} of 1,000 requests are drawn: every so many, and the 20 slowest."


def test_charts_below_each_other_share_their_axis_and_empty_ones_are_left_out() -> None:
    traces = busy_traces()
    charts = timeline_charts(record(traces), traces)
    assert [chart.title for chart in charts] == ["Requests", "Requests in flight, seen from the client", "Output tokens"]
    assert {chart.link for chart in charts} == {LINK}
    assert timeline_charts(record(no_request()), no_request()) == ()
    assert next(chart.title for chart in timeline_charts(record(all_failed()), all_failed())) == "Requests"


def test_as_many_requests_are_in_flight_as_there_are_users() -> None:
    traces = busy_traces(concurrency=4)
    assert max(in_flight_chart(record(traces), traces).series[0].y) == 4


def test_simulated_timelines_say_so() -> None:
    traces = busy_traces(requests=5)
    assert all(chart.simulated for chart in timeline_charts(replace(record(traces), simulated=True), traces))

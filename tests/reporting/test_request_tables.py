from __future__ import annotations

from pytest_inferbench.load.trace import Outcome
from pytest_inferbench.reporting.per_request import requests_of
from pytest_inferbench.reporting.request_tables import errors_html, slowest_html
from tests.reporting.examples import HOSTILE, all_failed, busy_traces, no_request
from tests.reporting.test_case_page import Page
from tests.traces import MS, lost, streamed, traces_of


def test_the_slowest_requests_come_slowest_first() -> None:
    traces = traces_of([streamed(100 + position * 10, tokens=3, sent_ns=position * MS) for position in range(30)])
    html = slowest_html(traces, requests_of(traces))
    places = [html.index(f">r{position}<") for position in range(29, 19, -1)]
    assert places == sorted(places)
    assert ">r19<" not in html
    assert "The 10 slowest of 30 completed requests" in html


def test_there_is_no_table_without_a_request_for_it() -> None:
    for traces in (no_request(), all_failed()):
        assert slowest_html(traces, requests_of(traces)) == ""
    assert errors_html(busy_traces(requests=3)) == ""


def test_reasons_are_counted_most_frequent_first() -> None:
    rows = [lost(error="HTTP 503: busy"), lost(error="HTTP 500: broken"), lost(error="HTTP 500: broken"), streamed()]
    page = Page(errors_html(traces_of([*rows, lost(Outcome.TIMED_OUT, "no token for 60 s")])))
    assert "Why 4 of 5 requests did not complete" in page.text
    assert page.text.index("HTTP 500: broken") < page.text.index("HTTP 503: busy") < page.text.index("no token for 60 s")
    assert "timed out" in page.text


def test_many_reasons_are_counted_where_they_are_not_shown() -> None:
    assert "and 3 more reasons" in errors_html(traces_of([lost(error=f"reason {number}") for number in range(15)]))


def test_a_hostile_completion_in_a_reason_is_only_words() -> None:
    page = Page(errors_html(traces_of([lost(error=HOSTILE)])))
    assert not {"img", "script"} & page.names()
    assert '<img src=x onerror="alert(1)">' in page.text


def test_secrets_in_a_reason_stay_out() -> None:
    assert "sk-0123456789abcdef0123" not in errors_html(traces_of([lost(error="401 with Bearer sk-0123456789abcdef0123")]))

"""Where a load was steady: found on loads whose ramp-up and drain are known, and properties that hold for any traces."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.load.trace import MISSING, Outcome, Traces
from pytest_inferbench.metrics.steady import Window, ramp_up_bins, steady_window, tokens_within, unsteady, within
from pytest_inferbench.metrics.summarise import summarise
from tests.traces import MS, Row, lost, rows, streamed, traces_of

S = 1000 * MS


def life(start_s: float, end_s: float) -> Row:
    return Row(sent_ns=round(start_s * S), end_ns=round(end_s * S))


def lives(users: int, each: int, *, stagger_s: float = 0.0) -> list[Row]:
    """Users who begin one after the other, and each of whom has requests of 1 s without a pause."""
    return [life(user * stagger_s + i, user * stagger_s + i + 1) for user in range(users) for i in range(each)]


def closed_loop(users: int, each: int, *, stagger_s: float = 0.0) -> Traces:
    return traces_of(lives(users, each, stagger_s=stagger_s))


def open_loop(rate_per_s: float, length_s: float, *, latency_s: float, growth: float = 0.0) -> Traces:
    """Requests at even gaps; each takes longer than the one before by ``growth`` seconds for each second of the load."""
    starts = np.arange(0, length_s, 1 / rate_per_s).tolist()
    return traces_of([life(start, start + latency_s + growth * start) for start in starts], open_loop=True)


def test_users_that_start_one_after_the_other_are_steady_once_nine_of_ten_are_there() -> None:
    # The ninth begins at 4 s; the second to end, at 20.5 s, leaves eight.
    assert steady_window(closed_loop(10, 20, stagger_s=0.5)) == Window(start_ns=4 * S, end_ns=round(20.5 * S))


def test_users_that_all_start_and_end_together_are_steady_all_the_time() -> None:
    assert steady_window(closed_loop(4, 5)) == Window(start_ns=0, end_ns=5 * S)


def test_a_closed_loop_in_which_fewer_users_were_seen_than_there_are_was_never_steady() -> None:
    assert steady_window(closed_loop(4, 5), users=8) is None
    assert steady_window(closed_loop(4, 5), users=4) is not None


def test_a_closed_loop_whose_users_wait_most_of_the_time_was_never_steady() -> None:
    assert steady_window(traces_of([life(i * 10, i * 10 + 1) for i in range(10)])) is None


def test_an_open_loop_is_steady_from_about_its_first_answers_to_its_last_planned_send() -> None:
    window = steady_window(open_loop(20, 60, latency_s=5))
    assert window is not None
    assert window.end_ns == pytest.approx(59.95 * S)
    assert 4 * S <= window.start_ns <= 6 * S


def test_a_queue_that_grows_all_through_an_open_loop_was_never_steady() -> None:
    assert steady_window(open_loop(20, 60, latency_s=0.1, growth=1)) is None


def test_a_load_that_is_over_before_the_first_answer_was_never_steady() -> None:
    assert steady_window(open_loop(20, 2, latency_s=30)) is None


@pytest.mark.parametrize("open_loop", [False, True])
def test_nothing_sent_is_never_steady(open_loop: bool) -> None:
    assert steady_window(traces_of([], open_loop=open_loop)) is None
    assert steady_window(traces_of([Row(sent_ns=MISSING, end_ns=MISSING)], open_loop=open_loop)) is None
    assert steady_window(traces_of([Row(sent_ns=5, end_ns=5)], open_loop=open_loop)) is None


def test_one_request_is_a_steady_closed_loop_of_one_user_and_no_steady_open_loop() -> None:
    assert steady_window(traces_of([life(1, 2)])) == Window(start_ns=1 * S, end_ns=2 * S)
    assert steady_window(traces_of([life(1, 2)], open_loop=True)) is None


def test_a_window_has_a_length_in_seconds() -> None:
    assert Window(start_ns=1 * S, end_ns=round(3.5 * S)).length_s == 2.5


def test_figures_of_a_window_are_of_the_requests_that_lie_within() -> None:
    early, inside, late = streamed(100, tokens=3), streamed(50, 10, tokens=2, sent_ns=S), streamed(500, tokens=5, sent_ns=2 * S)
    gone = lost(error="reset by peer", sent_ns=S)
    cut = within(traces_of([early, inside, gone, late]), Window(start_ns=S, end_ns=round(2.1 * S)))
    assert cut.request_id == ("r1", "r2")
    assert cut.errors == {1: "reset by peer"}
    summary = summarise(cut)
    assert (summary.counts.attempted, summary.counts.failed) == (2, 1)
    assert (summary.output_tokens, summary.distributions["ttft"].max, summary.distributions["itl"].p50) == (2, 50.0, 10.0)


def test_tokens_count_where_they_came_and_not_where_their_request_began() -> None:
    traces = traces_of([streamed(100, 100, tokens=10), lost(Outcome.FAILED)])
    assert tokens_within(traces, Window(start_ns=200 * MS, end_ns=500 * MS)) == 3
    assert tokens_within(traces, Window(start_ns=0, end_ns=2 * S)) == 10


def test_tokens_of_an_answer_that_came_whole_came_nobody_knows_when() -> None:
    everything = Window(start_ns=0, end_ns=S)
    assert tokens_within(traces_of([streamed(tokens=2), Row(output_tokens=3, end_ns=MS)]), everything) is None
    assert tokens_within(traces_of([streamed(tokens=2), Row(output_tokens=0, end_ns=MS)]), everything) == 2


def test_the_end_of_a_ramp_is_found_to_the_bin() -> None:
    assert ramp_up_bins(np.array([0.0] * 7 + [10.0, 10.1] * 20)) == 7
    assert ramp_up_bins(np.full(20, 3.0)) == 0
    assert ramp_up_bins(np.array([2.0, *(3.0 + np.arange(99) % 7 * 1e-9)])) == 1


def test_at_most_half_of_the_bins_are_left_out() -> None:
    assert ramp_up_bins(np.arange(100, dtype=np.float64)) == 50


@given(st.permutations(range(6)), st.lists(rows(), min_size=6, max_size=6), st.booleans())
def test_the_order_of_requests_changes_no_window(order: list[int], some: list[Row], open_loop: bool) -> None:
    there = steady_window(traces_of(some, open_loop=open_loop))
    assert steady_window(traces_of([some[i] for i in order], open_loop=open_loop)) == there


@given(st.lists(rows(), max_size=8), st.booleans())
def test_a_window_lies_within_the_load_and_holds_a_request(some: list[Row], open_loop: bool) -> None:
    traces = traces_of(some, open_loop=open_loop)
    window = steady_window(traces)
    if window is not None:
        assert traces.start_ns.min() <= window.start_ns < window.end_ns <= traces.end_ns.max()
        assert len(within(traces, window)) > 0
        all_tokens = int(traces.event_tokens[np.repeat(traces.completed, np.diff(traces.event_offset))].sum())
        assert 0 <= (tokens_within(traces, window) or 0) <= all_tokens


@given(st.lists(rows(), max_size=6), st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_cut_keeps_every_column_of_every_request_in_it(some: list[Row], start_ns: int, length_ns: int) -> None:
    traces = traces_of(some)
    cut = within(traces, Window(start_ns=start_ns, end_ns=start_ns + length_ns))
    kept = [i for i, row in enumerate(some) if row.sent_ns >= start_ns and row.ended_ns <= start_ns + length_ns]
    expected = traces_of([some[i] for i in kept])
    for each in fields(Traces):
        if each.name != "request_id":
            np.testing.assert_equal(getattr(cut, each.name), getattr(expected, each.name))
    assert cut.request_id == tuple(f"r{i}" for i in kept)


@given(st.integers(2, 30), st.integers(3, 10), st.floats(0, 0.2))
def test_moving_a_load_in_time_moves_its_window(users: int, each: int, stagger_s: float) -> None:
    there = steady_window(closed_loop(users, each, stagger_s=stagger_s))
    moved = traces_of([Row(sent_ns=row.sent_ns + 7, end_ns=row.ended_ns + 7) for row in lives(users, each, stagger_s=stagger_s)])
    here = steady_window(moved)
    assert (there is None) == (here is None)
    if there is not None and here is not None:
        assert here == Window(start_ns=there.start_ns + 7, end_ns=there.end_ns + 7)


@pytest.mark.parametrize(
    ("traces", "users", "why"),
    [
        (closed_loop(4, 5), 8, "at most 4 of its 8 users were in flight at once"),
        (
            traces_of([life(i * 10, i * 10 + 1) for i in range(10)]),
            None,
            "its users were in flight for less than 90% of the time",
        ),
        (traces_of([life(0, 1)] * 3, open_loop=True), None, "its requests were all sent at once"),
        (
            open_loop(20, 60, latency_s=1, growth=1.0),
            None,
            "385 requests were in flight in its first half and 535 in its second, on average",
        ),
        (open_loop(1, 5, latency_s=9), None, "no request began and ended between its ramp-up and its drain"),
    ],
)
def test_a_load_that_never_was_steady_says_why(traces: Traces, users: int | None, why: str) -> None:
    (finding,) = unsteady(traces, users=users)
    assert finding.what.removeprefix("the load was never steady, so it has no steady-state figures: ") == why
    assert finding.advice == "ask for more requests or a longer load, and for a rate that the server can answer"
    assert not finding.invalidates


def test_a_steady_load_and_one_of_which_nothing_was_sent_have_nothing_to_say() -> None:
    assert unsteady(closed_loop(4, 5)) == ()
    assert unsteady(traces_of([])) == ()
    assert unsteady(traces_of([lost(sent_ns=-1)])) == ()

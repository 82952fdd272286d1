"""How many load processes a load gets, and how users, slots and cores are shared out among them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.case import ApiOptions, Case
from pytest_inferbench.load.row import FIRST, ROW
from pytest_inferbench.load.workers import busy_share, cores_of_their_own, share, warmup_users, workers_for
from tests.load.cases import case_of

S = 1_000_000_000


def rows_of(*dues_s: float, tokens: int = 64, after: int = FIRST) -> bytes:
    return b"".join(ROW.pack(int(due_s * S), 0, 0, 8, tokens, after, 0) for due_s in dues_s)


def rate(per_s: int, seconds: int = 4, tokens: int = 64) -> bytes:
    return rows_of(*(index / per_s for index in range(per_s * seconds)), tokens=tokens)


def needed(case: Case, rows: bytes, *, cores: int = 16, asked: int | None = None) -> int:
    return workers_for(case, lambda: rows, warmup=case.load.warmup, cores=cores, asked=asked)


OPEN = case_of(rate_per_s=100.0)


def test_what_a_closed_loop_costs_is_its_users_answers() -> None:
    # An answer of 64 tokens takes 0.1 + 64 / 50 s and costs 150 + 64 x 16 us.
    assert busy_share(case_of(concurrency=512), rows_of(0.0, 0.0), warmup=0) == pytest.approx(512 * 1174e-6 / 1.38)


def test_what_a_steady_open_loop_costs_is_its_rate() -> None:
    assert busy_share(OPEN, rate(200), warmup=0) == pytest.approx(200 * 1174e-6, rel=0.01)
    assert busy_share(OPEN, rate(200, tokens=0), warmup=0) == pytest.approx(200 * 150e-6, rel=0.06)


def test_a_peak_counts_and_not_the_average() -> None:
    calm = rows_of(*(float(second) for second in range(100)))
    assert busy_share(OPEN, calm + rows_of(*[200.0] * 1000), warmup=0) == pytest.approx(1000 * 1174e-6 / 1.38)


def test_all_at_once_is_all_in_flight() -> None:
    assert needed(case_of(rate_per_s=float("inf")), rows_of(*[0.0] * 1000)) == 2


def test_warm_up_rows_cost_nothing_later() -> None:
    assert busy_share(OPEN, rows_of(*[0.0] * 50), warmup=50) == 0.0


def test_answers_that_are_not_streamed_cost_no_tokens() -> None:
    whole = replace(OPEN, api_options=ApiOptions(stream=False))
    assert busy_share(whole, rows_of(0.0), warmup=0) == pytest.approx(150e-6 / 1.38)


def test_later_turns_come_after_the_answers_before_them() -> None:
    first, later = rows_of(5.0), rows_of(1.0, after=0)
    # Three turns one after the other are never two in flight.
    assert busy_share(OPEN, first + later + later, warmup=0) == pytest.approx(1174e-6 / 1.38)
    # A second conversation begins while the first one's second turn is in flight: at 5 + 1.38 + 1 s.
    assert busy_share(OPEN, first + later + rows_of(8.0) + later, warmup=0) == pytest.approx(2 * 1174e-6 / 1.38)
    assert busy_share(OPEN, first + later + rows_of(9.0), warmup=0) == pytest.approx(1174e-6 / 1.38)


@pytest.mark.parametrize(
    ("case", "rows", "expected"),
    [
        (case_of(concurrency=1), rows_of(0.0), 1),
        (case_of(concurrency=512), rows_of(0.0), 1),
        (case_of(concurrency=1000), rows_of(0.0), 2),
        (case_of(concurrency=4000), rows_of(0.0), 6),
        (OPEN, rate(200), 1),
        (OPEN, rate(2000, seconds=1, tokens=4), 1),
        (OPEN, rate(4000, seconds=1, tokens=4), 2),
        (OPEN, b"", 1),
    ],
)
def test_a_load_gets_as_many_as_keep_each_at_ease(case: Case, rows: bytes, expected: int) -> None:
    assert needed(case, rows) == expected


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 1), (3, 2), (5, 4)])
def test_a_core_stays_free(cores: int, expected: int) -> None:
    assert needed(case_of(concurrency=10_000), rows_of(0.0), cores=cores) == expected


def test_what_is_asked_for_goes_before_what_is_estimated() -> None:
    assert needed(case_of(concurrency=4), rows_of(0.0), cores=1, asked=3) == 3
    assert needed(case_of(concurrency=4000), rows_of(0.0), asked=1) == 1
    assert needed(case_of(concurrency=2), rows_of(0.0), asked=3) == 2


def test_a_cap_on_requests_in_flight_keeps_one_process_unless_more_are_asked_for() -> None:
    capped = case_of(rate_per_s=float("inf"), max_in_flight=5000)
    assert needed(capped, rows_of(*[0.0] * 5000)) == 1
    assert needed(capped, b"", asked=4) == 4
    assert needed(case_of(rate_per_s=9.0, max_in_flight=3), b"", asked=4) == 3


@given(total=st.integers(0, 10_000), workers=st.integers(1, 64))
def test_shares_are_the_whole_and_nearly_alike(total: int, workers: int) -> None:
    shares = [share(total, index, workers) for index in range(workers)]
    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1
    assert shares == [len(range(index, total, workers)) for index in range(workers)]


@given(total=st.integers(1, 20), workers=st.integers(1, 20), warmup=st.integers(0, 40))
def test_warm_up_rows_have_a_user_wherever_they_are(total: int, workers: int, warmup: int) -> None:
    users = [warmup_users(min(total, warmup), index, workers, warmup=warmup) for index in range(workers)]
    assert all(user > 0 for index, user in enumerate(users) if index < warmup)


def test_each_of_several_has_a_core_of_its_own_where_there_are_enough() -> None:
    assert cores_of_their_own(1, {0, 1, 2}) == [None]
    assert cores_of_their_own(2, {7, 0, 3}) == [3, 7]
    assert cores_of_their_own(3, {7, 0, 3}) == [0, 3, 7]
    assert cores_of_their_own(4, {7, 0, 3}) == [None] * 4

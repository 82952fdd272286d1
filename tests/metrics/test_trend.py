import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.load.finding import Finding
from pytest_inferbench.metrics.trend import have_moved, moved
from tests.traces import MS, Row, lost, streamed, traces_of

USERS = 2


def closed_loop(*itl_ms: float, tokens: int = 11) -> list[Row]:
    """Two users that send one request after the other, each so many ms a token."""
    rows, sent_ms = [], 0.0
    for gap_ms in itl_ms:
        rows += [streamed(10, gap_ms, tokens=tokens, sent_ns=round(sent_ms * MS)) for _ in range(USERS)]
        sent_ms += 10 + gap_ms * (tokens - 1) + 0.1
    return rows


def said(*itl_ms: float) -> tuple[Finding, ...]:
    return moved(traces_of(closed_loop(*itl_ms)))


def test_a_server_that_becomes_slower_is_found_with_its_figures() -> None:
    (finding,) = said(*[10.0] * 10, *[11.0] * 10)
    assert finding.what == (
        "the server became slower while it was measured: the time per output token was 11 ms in the second half of the "
        "steady load and 10 ms in the first (medians, +10.0%)"
    )
    assert finding.advice.startswith("see the telemetry for heat, power caps and a cache that fills")
    assert not finding.invalidates


def test_halves_are_those_of_the_time_as_a_slower_server_answers_less() -> None:
    (finding,) = said(*[10.0] * 40, *[40.0] * 10)
    assert "40 ms in the second half" in finding.what


def test_a_server_that_was_not_warm_yet_is_found() -> None:
    (finding,) = said(*[12.0] * 10, *[10.0] * 10)
    assert "became faster while it was measured" in finding.what
    assert finding.advice == "send more warm-up requests: it was still getting ready"


@pytest.mark.parametrize(
    "itl_ms",
    [
        [10.0] * 20,
        [10.0, 11.0] * 10,
        [10.0] * 10 + [10.3] * 10,
        [10.0] * 3 + [20.0] * 3,
        [],
    ],
)
def test_no_change_a_small_one_or_too_few_requests_are_nothing(itl_ms: list[float]) -> None:
    assert said(*itl_ms) == ()


def test_requests_that_did_not_complete_or_have_one_token_do_not_count() -> None:
    assert moved(traces_of([lost() for _ in range(40)])) == ()
    assert moved(traces_of(closed_loop(*[10.0] * 10, *[11.0] * 10, tokens=1))) == ()


@given(st.lists(st.floats(min_value=1, max_value=1000), min_size=8, max_size=40))
def test_what_is_alike_has_not_moved(values: list[float]) -> None:
    alike = np.array(values)
    assert not have_moved(alike, alike)


@given(st.lists(st.floats(min_value=1, max_value=1000), min_size=8, max_size=40), st.floats(min_value=0.1, max_value=3))
def test_a_move_is_one_in_both_directions(values: list[float], factor: float) -> None:
    before, after = np.array(values), np.array(values) * (1 + factor) + 1000
    assert have_moved(before, after)
    assert have_moved(after, before)


def test_medians_that_differ_by_chance_have_not_moved() -> None:
    draw = np.random.default_rng(1)
    found = [have_moved(draw.normal(10, 3, 8), draw.normal(10, 3, 8)) for _ in range(300)]
    assert sum(found) <= 3

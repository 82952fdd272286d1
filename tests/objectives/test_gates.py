from __future__ import annotations

from dataclasses import replace
from math import exp, inf, log, nan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.objectives.gates import Change, Comparison, Figure, Pair, compare, runs_needed
from pytest_inferbench.objectives.tolerance import parse_fail_on

FIVE = (10.0, 10.2, 9.9, 10.1, 9.8)


def pair(old: tuple[float, ...], new: tuple[float, ...], fail_on: str = "tpot_p50:5%", *, within: float | None = None) -> Pair:
    (tolerance,) = parse_fail_on(fail_on)
    return Pair(
        case_id="a-c1",
        tolerance=tolerance,
        old=Figure(runs=old, within=(within,) * len(old)),
        new=Figure(runs=new, within=(within,) * len(new)),
    )


def one(made: Pair, *, noise: float = 0.03) -> Comparison:
    (found,) = compare([made], noise=noise)
    return found


def times(factor: float) -> tuple[float, ...]:
    return tuple(value * factor for value in FIVE)


def test_a_latency_that_grew_beyond_its_tolerance_is_a_regression_with_its_size() -> None:
    found = one(pair(FIVE, times(1.1)))
    assert found.change is Change.REGRESSION
    assert found.effect == pytest.approx(1.1)
    assert found.low < 1.1 < found.high
    assert found.reason == "+10.0 % (+8.0 % to +12.1 %), tolerated 5 %; surely more than that"


def test_the_interval_is_students_t_with_the_pooled_variance() -> None:
    new = times(1.1)
    logs = [np.log(FIVE), np.log(new)]
    error = sqrt((np.var(logs[0], ddof=1) + np.var(logs[1], ddof=1)) / 2 * (1 / 5 + 1 / 5))
    assert one(pair(FIVE, new)).low == pytest.approx(exp(log(1.1) - 1.8595480 * error))


def test_a_latency_that_fell_is_an_improvement() -> None:
    assert one(pair(FIVE, times(0.9))).change is Change.IMPROVEMENT


def test_a_throughput_that_fell_is_a_regression_and_one_that_grew_an_improvement() -> None:
    assert one(pair(FIVE, times(0.9), "output_throughput:3%")).change is Change.REGRESSION
    assert one(pair(FIVE, times(1.1), "output_throughput:3%")).change is Change.IMPROVEMENT


def test_what_is_within_the_tolerance_for_sure_is_no_change() -> None:
    found = one(pair(FIVE, times(1.01)))
    assert found.change is Change.NO_CHANGE
    assert found.reason == "+1.0 % (-0.9 % to +2.9 %), tolerated 5 %"


def test_what_may_or_may_not_be_within_cannot_be_told_and_says_what_would_tell() -> None:
    found = one(pair((10.0, 10.8, 9.3), (10.1, 11.2, 9.6)))
    assert found.change is Change.CANNOT_TELL
    assert "about 43 runs on each side would tell" in found.reason


def test_runs_that_vary_beyond_all_measure_say_so() -> None:
    assert "these runs vary too much for a tolerance of 5 %" in one(pair((1.0, 100.0), (1.0, 90.0))).reason


def test_more_runs_are_asked_for_where_chance_was_against_a_decision() -> None:
    found = one(pair(FIVE, times(1.04)))
    assert (found.change, found.reason.endswith("more runs on each side would tell")) == (Change.CANNOT_TELL, True)


def test_a_significant_change_that_is_smaller_than_the_tolerance_is_no_regression() -> None:
    calm = (10.0, 10.01, 9.99, 10.0, 10.01)
    found = one(pair(calm, tuple(value * 1.02 for value in calm)))
    assert found.p < 0.001
    assert found.change is Change.NO_CHANGE


def test_single_runs_are_compared_with_the_noise_that_is_assumed_and_said() -> None:
    found = one(pair((10.0,), (10.8,), within=0.0))
    assert found.change is Change.REGRESSION
    assert found.reason.endswith("; one run on a side: noise between runs is assumed")
    assert found.high == pytest.approx(1.08 * exp(1.6448536 * 0.03 * sqrt(2)))
    assert one(pair((10.0,), (10.8,), within=0.0), noise=0.1).change is Change.CANNOT_TELL


def test_variation_within_a_single_run_is_added_to_the_noise_between_runs() -> None:
    found = one(pair((10.0,), (10.8,), within=0.04))
    assert found.high == pytest.approx(1.08 * exp(1.6448536 * 0.05 * sqrt(2)))


def test_runs_that_happen_to_agree_vary_no_less_than_their_requests_say() -> None:
    equal = (10.0, 10.0)
    sure, unsure = one(pair(equal, (10.6, 10.6))), one(pair(equal, (10.6, 10.6), within=0.05))
    assert (sure.change, unsure.change) == (Change.REGRESSION, Change.CANNOT_TELL)


def test_repeats_on_one_side_that_vary_more_than_the_assumed_noise_replace_it() -> None:
    wild = (8.0, 10.0, 12.5)
    assert one(pair(wild, (11.5,))).change is Change.CANNOT_TELL
    assert one(pair((10.0, 10.0, 10.0), (11.5,))).change is Change.REGRESSION


def test_of_a_single_run_something_must_be_known() -> None:
    words = "one run on a side, and its requests do not tell how much tpot_p50 varies by chance; repeat it"
    for made in (pair((10.0,), (20.0,)), pair((10.0, 10.1), (20.0,)), replace(pair((10.0,), (20.0,)), old=Figure(runs=(10.0,)))):
        assert (one(made).change, one(made).reason) == (Change.CANNOT_TELL, words)
    assert one(pair((10.0, 10.1, 10.2), (20.0,))).change is Change.REGRESSION


def test_repeats_on_one_side_have_the_degrees_of_freedom_that_they_have() -> None:
    wild = (8.0, 10.0, 12.5)
    error = float(np.std(np.log(wild), ddof=1)) * sqrt(1 / 3 + 1)
    assert one(pair(wild, (10.0,))).high == pytest.approx(exp(2.9199856 * error))


def test_identical_runs_are_no_change_and_no_division_by_nothing() -> None:
    found = one(pair((10.0, 10.0), (10.0, 10.0)))
    assert (found.change, found.effect) == (Change.NO_CHANGE, 1.0)


def test_a_share_is_compared_by_its_difference_in_points() -> None:
    made = pair((0.0, 0.0), (0.2, 0.21), "error_rate:1%", within=0.01)
    found = one(made)
    assert found.change is Change.REGRESSION
    assert found.reason.startswith("+20.5 points (+18.9 points to +22.1 points), tolerated 1 %")
    assert one(pair((0.0, 0.0), (0.0, 0.0), "error_rate:1%", within=0.001)).change is Change.NO_CHANGE


def test_a_share_whose_number_of_requests_is_unknown_cannot_be_compared() -> None:
    found = one(pair((0.0,), (0.0,), "error_rate:1%"))
    assert (found.change, found.reason) == (
        Change.CANNOT_TELL,
        "the baseline does not say of how many requests its error_rate is",
    )


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ((), FIVE, "the baseline has no tpot_p50"),
        (FIVE, (), "the new run has no tpot_p50"),
        ((nan,), FIVE, "tpot_p50 was not measured in the run of the baseline"),
        (FIVE, (10.0, nan), "tpot_p50 was not measured in 1 of 2 runs of the new run"),
        (FIVE, (inf,), "tpot_p50 was not measured in the run of the new run"),
        (FIVE, (0.0,), "tpot_p50 is 0 in the new run, which has no ratio to anything"),
    ],
)
def test_what_was_not_measured_is_never_green(old: tuple[float, ...], new: tuple[float, ...], reason: str) -> None:
    found = one(pair(old, new))
    assert (found.change, found.reason) == (Change.CANNOT_TELL, reason)


def test_a_tolerance_of_more_than_all_there_is_cannot_be_kept_or_broken() -> None:
    found = one(pair((40.0,), (5.0,), "output_throughput:50tok/s"))
    assert found.change is Change.CANNOT_TELL
    assert found.reason == "the tolerated 50 tok/s is no less than the whole of the old output_throughput"


def test_a_doubt_is_what_is_said_and_nothing_is_compared() -> None:
    found = one(replace(pair(FIVE, times(2)), doubt="another machine"))
    assert (found.change, found.reason) == (Change.CANNOT_TELL, "another machine")


def test_the_more_figures_are_compared_the_more_it_takes_to_call_one_a_regression() -> None:
    slower = pair((10.0, 10.2, 9.8), (10.9, 11.1, 10.4))
    alone = compare([slower])[0]
    among = compare([slower, *[pair(FIVE, FIVE)] * 20])[0]
    assert (alone.change, among.change) == (Change.REGRESSION, Change.CANNOT_TELL)
    assert among.p > alone.p


def test_a_waived_regression_does_not_count() -> None:
    found = one(pair(FIVE, times(1.1)))
    assert found.counts
    assert not replace(found, waived="known").counts


def test_the_runs_that_are_needed_follow_from_noise_and_tolerance() -> None:
    assert runs_needed(0.03**2, log(1.05)) == 7
    assert runs_needed(1e-9, log(1.05)) == 2
    assert runs_needed(4.0, log(1.05)) is None


@given(
    st.lists(st.floats(1, 100), min_size=1, max_size=5),
    st.lists(st.floats(1, 100), min_size=1, max_size=5),
    st.floats(0.01, 1000),
)
def test_the_unit_of_a_figure_changes_nothing(old: list[float], new: list[float], scale: float) -> None:
    plain = one(pair(tuple(old), tuple(new), within=0.01))
    scaled = one(pair(tuple(value * scale for value in old), tuple(value * scale for value in new), within=0.01))
    assert scaled.effect == pytest.approx(plain.effect)
    assert scaled.worse_high == pytest.approx(plain.worse_high, abs=1e-9)


@given(st.lists(st.floats(1, 100), min_size=2, max_size=5), st.lists(st.floats(1, 100), min_size=2, max_size=5))
def test_no_regression_one_way_is_also_one_the_other_way(old: list[float], new: list[float]) -> None:
    there, back = one(pair(tuple(old), tuple(new))), one(pair(tuple(new), tuple(old)))
    assert {there.change, back.change} != {Change.REGRESSION}
    assert (there.change is Change.REGRESSION) == (back.change is Change.IMPROVEMENT)


def test_where_nothing_changed_false_regressions_among_all_figures_stay_rare() -> None:
    random = np.random.default_rng(7)
    tolerances = parse_fail_on("tpot_p50:1%,ttft_p99:1%,output_throughput:1%")
    false = 0
    for _ in range(400):
        pairs = [
            Pair(
                case_id="a",
                tolerance=each,
                old=Figure(runs=tuple(np.exp(random.normal(0, 0.03, 3)))),
                new=Figure(runs=tuple(np.exp(random.normal(0, 0.03, 3)))),
            )
            for each in tolerances
        ]
        false += any(found.change is Change.REGRESSION for found in compare(pairs))
    # 5 % of 400 is 20; the seed is fixed, so this either always holds or never.
    assert 2 <= false <= 30

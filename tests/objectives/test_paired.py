"""Blocks of two sides held against each other."""

from __future__ import annotations

from math import exp, log, nan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_inferbench.objectives.gates import NOISE, Change, Figure, Pair
from pytest_inferbench.objectives.paired import BLOCKS_MIN, Paired, compare_blocks
from pytest_inferbench.objectives.tolerance import parse_fail_on

OLD = (10.0, 10.1, 9.9, 10.2, 10.05, 9.95, 10.1, 9.9)
DRIFT = tuple(1 + 0.05 * i for i in range(8))


def pair(old: tuple[float, ...], new: tuple[float, ...], fail_on: str = "tpot_p50:5%", *, within: float | None = None) -> Pair:
    (tolerance,) = parse_fail_on(fail_on)
    a, b = (Figure(runs=runs, within=(within,) * len(runs)) for runs in (old, new))
    return Pair(case_id="a-c1", tolerance=tolerance, old=a, new=b)


def one(made: Pair) -> Paired:
    (found,) = compare_blocks([made], noise=NOISE)
    return found


def times(values: tuple[float, ...], factor: float) -> tuple[float, ...]:
    return tuple(value * factor for value in values)


def test_the_interval_is_students_t_over_the_differences_of_blocks() -> None:
    new = tuple(value * (1.1 + 0.01 * (i % 3)) for i, value in enumerate(OLD))
    differences = (np.log(new) - np.log(OLD)).reshape(4, 2).mean(axis=1)
    reach = stats.t.ppf(0.95, 3) * np.std(differences, ddof=1) / sqrt(4)
    found = one(pair(OLD, new))
    assert (found.by_blocks, found.blocks) == (True, 4)
    assert log(found.decided.effect) == pytest.approx(differences.mean())
    assert log(found.decided.low) == pytest.approx(differences.mean() - reach)
    assert found.decided.p == pytest.approx(float(stats.ttest_1samp(differences, 0, alternative="greater").pvalue))
    assert found.p_within == pytest.approx(float(stats.ttest_1samp(differences, log(1.05), alternative="less").pvalue))


def test_drift_that_both_sides_share_does_not_hide_a_slow_down() -> None:
    old = tuple(value * drift for value, drift in zip(OLD, DRIFT, strict=True))
    new = tuple(value * drift * (1.06 + 0.002 * (i % 2)) for i, (value, drift) in enumerate(zip(OLD, DRIFT, strict=True)))
    found = one(pair(old, new))
    assert found.decided.change is Change.REGRESSION
    assert found.pooled.change is Change.CANNOT_TELL
    assert "tolerated 5 %; surely more than that" in found.decided.reason


@pytest.mark.parametrize(("factor", "change"), [(1.1, Change.REGRESSION), (0.9, Change.IMPROVEMENT), (1.0, Change.NO_CHANGE)])
def test_latency_and_throughput_run_in_opposite_directions(factor: float, change: Change) -> None:
    opposite = {Change.REGRESSION: Change.IMPROVEMENT, Change.IMPROVEMENT: Change.REGRESSION}
    assert one(pair(OLD, times(OLD, factor))).decided.change is change
    assert one(pair(OLD, times(OLD, factor), "output_throughput:5%")).decided.change is opposite.get(change, change)


def test_blocks_that_agree_to_the_last_digit_are_not_endlessly_sure() -> None:
    found = one(pair(OLD, OLD)).decided
    assert found.low < 1 < found.high
    assert found.change is Change.NO_CHANGE


def test_what_cannot_be_told_says_how_many_blocks_would() -> None:
    noisy = (10.0, 12.0, 9.0, 11.5, 10.5, 9.5, 12.5, 9.0)
    found = one(pair(noisy, noisy[::-1], "tpot_p50:3%")).decided
    assert found.change is Change.CANNOT_TELL
    assert "blocks would tell" in found.reason
    wild = one(pair(noisy, tuple(value * (3, 1 / 3)[i // 2 % 2] for i, value in enumerate(noisy)), "tpot_p50:1%")).decided
    assert "these blocks vary too much for a tolerance of 1 %" in wild.reason


def test_with_few_blocks_all_runs_decide() -> None:
    runs = 2 * (BLOCKS_MIN - 1)
    found = one(pair(OLD[:runs], times(OLD[:runs], 1.2)))
    assert (found.by_blocks, found.decided) == (False, found.pooled)
    assert found.p_within == 1


def test_what_must_not_be_compared_stays_so() -> None:
    found = one(pair(OLD, (*OLD[:-1], nan)))
    assert (found.by_blocks, found.decided.change) == (False, Change.CANNOT_TELL)
    assert "tpot_p50 was not measured in 1 of 8 runs of the new run" in found.decided.reason


def test_a_share_is_compared_by_difference_and_no_surer_than_its_requests() -> None:
    nothing = (0.0,) * 8
    found = one(pair(nothing, nothing, "error_rate:1%", within=0.005)).decided
    assert found.change is Change.NO_CHANGE
    assert found.high == pytest.approx(1.6448536 * 0.005 / 2)
    lost = one(pair(nothing, (0.05,) * 8, "error_rate:1%", within=0.005)).decided
    assert lost.change is Change.REGRESSION
    assert lost.effect == pytest.approx(0.05)


def test_p_values_are_adjusted_over_all_figures() -> None:
    new = tuple(value * (1.06 + 0.02 * (i % 3)) for i, value in enumerate(OLD))
    (alone,) = compare_blocks([pair(OLD, new)], noise=NOISE)
    three = compare_blocks([pair(OLD, new), pair(OLD, OLD), pair(OLD, (*OLD[:-1], nan))], noise=NOISE)
    assert three[0].decided.p == pytest.approx(3 * alone.decided.p)


@given(st.lists(st.floats(0.9, 1.1), min_size=8, max_size=8), st.floats(0.8, 1.2))
def test_exchanging_the_sides_turns_the_effect_round(noise: list[float], factor: float) -> None:
    new = tuple(value * factor * each for value, each in zip(OLD, noise, strict=True))
    there, back = one(pair(OLD, new)).decided, one(pair(new, OLD)).decided
    assert there.effect == pytest.approx(1 / back.effect)
    assert there.low == pytest.approx(1 / back.high)


@given(st.lists(st.floats(0.5, 2.0), min_size=4, max_size=4))
def test_what_moves_a_whole_block_moves_nothing(drift: list[float]) -> None:
    new = tuple(value * (1.1 + 0.01 * (i % 3)) for i, value in enumerate(OLD))
    moved = [tuple(value * drift[i // 2] for i, value in enumerate(side)) for side in (OLD, new)]
    still, moving = one(pair(OLD, new)).decided, one(pair(moved[0], moved[1])).decided
    assert moving.effect == pytest.approx(still.effect)
    assert moving.high == pytest.approx(still.high)
    assert exp(moving.worse) == pytest.approx(moving.effect)

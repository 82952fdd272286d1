"""What is found in sequences whose truth is known: rates are counted over fixed seeds, so they are the same each time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from pytest_inferbench.reporting.site.change_points import MIN_RUNS, ChangePoint, change_points, scatter

Values = NDArray[np.float64]


def noisy(levels: list[tuple[int, float]], *, seed: int, share: float = 0.02) -> Values:
    """Runs about each level in turn, each off by a normal share of it."""
    random = np.random.default_rng(seed)
    return np.concatenate([level * (1 + share * random.standard_normal(runs)) for runs, level in levels])


def alarms(sequences: list[Values]) -> int:
    return sum(bool(change_points(each, size_min=0)) for each in sequences)


class TestNothingChanged:
    @pytest.mark.parametrize("runs", [12, 40, 150])
    def test_false_alarms_are_as_rare_as_promised(self, runs: int) -> None:
        """At 0.001 each of 500 sequences: more than 4 has a chance of 0.0002."""
        sequences = [noisy([(runs, 100.0)], seed=seed) for seed in range(500)]
        assert alarms(sequences) <= 4

    def test_heavy_tails_and_wild_runs_raise_no_more_of_them(self) -> None:
        heavy = [np.exp(0.1 * np.random.default_rng(seed).standard_t(2, size=60)) for seed in range(500)]
        assert alarms(heavy) <= 4

    def test_runs_that_follow_each_other_raise_more(self) -> None:
        """What docs/site.md says of machines with moods: neighbours that correlate by 0.5 are taken for changes."""

        def moody(seed: int) -> Values:
            steps = np.random.default_rng(seed).standard_normal(60)
            for at in range(1, 60):
                steps[at] += 0.5 * steps[at - 1]
            return 100 + 2 * steps

        assert 0.02 < alarms([moody(seed) for seed in range(100)]) / 100 < 0.30

    @pytest.mark.parametrize("values", [[], [1.0], [7.0] * 50, [1.0, 2.0, 1.0, 2.0, 1.0]])
    def test_too_few_or_equal_figures_have_no_change(self, values: list[float]) -> None:
        assert change_points(np.array(values, dtype=np.float64)) == ()

    def test_one_wild_run_is_no_change(self) -> None:
        values = noisy([(40, 100.0)], seed=1)
        values[20] = 5000.0
        assert change_points(values) == ()


class TestSomethingChanged:
    @pytest.mark.parametrize(("shift", "found"), [(1.02, 0.05), (1.04, 0.75), (1.06, 0.99), (1.10, 1.0)])
    def test_a_step_in_the_middle_is_found_as_often_as_docs_say(self, shift: float, found: float) -> None:
        """Twenty runs before and after with a scatter of 2 %."""
        sequences = [noisy([(20, 100.0), (20, 100.0 * shift)], seed=seed) for seed in range(100)]
        assert alarms(sequences) / 100 >= found

    def test_a_large_step_is_found_after_three_runs_of_a_long_history(self) -> None:
        hits = 0
        for seed in range(100):
            changes = change_points(noisy([(80, 100.0), (3, 120.0)], seed=seed))
            hits += [each.position for each in changes] == [80]
        assert hits / 100 >= 0.95

    def test_it_is_placed_where_it_was(self) -> None:
        off = []
        for seed in range(100):
            (change,) = change_points(noisy([(30, 100.0), (20, 108.0)], seed=seed))
            off.append(abs(change.position - 30))
        assert sum(each == 0 for each in off) / 100 >= 0.9
        assert max(off) <= 2

    def test_several_levels_are_told_apart(self) -> None:
        changes = change_points(noisy([(25, 100.0), (25, 130.0), (25, 160.0), (25, 90.0)], seed=3))
        assert [each.position for each in changes] == [25, 50, 75]
        assert [round(each.size, 1) for each in changes] == [0.3, 0.2, -0.4]

    def test_a_change_that_was_taken_back_is_two(self) -> None:
        changes = change_points(noisy([(30, 100.0), (10, 115.0), (30, 100.0)], seed=4))
        assert [each.position for each in changes] == [30, 40]

    def test_it_is_described_by_the_medians_of_its_neighbours(self) -> None:
        values = np.array([10.0, 11.0, 9.0, 10.5, 9.5, 10.2, 9.8, 10.1, 20.0, 21.0, 19.0, 20.5, 19.5, 20.2, 19.8, 20.1])
        (change,) = change_points(values)
        assert change == ChangePoint(position=8, before=10.05, after=20.05, runs_before=8, runs_after=8, size=change.size)
        assert change.size == pytest.approx(10 / 10.05)

    def test_a_small_one_is_not_named(self) -> None:
        values = noisy([(60, 100.0), (60, 101.0)], seed=5, share=0.002)
        assert [each.position for each in change_points(values, size_min=0)] == [60]
        assert change_points(values) == ()

    def test_a_level_of_zero_that_is_left_has_no_relative_size(self) -> None:
        (change,) = change_points(np.array([0.0] * 20 + [0.05] * 20))
        assert (change.position, change.before, change.after) == (20, 0.0, 0.05)
        assert np.isnan(change.size)


@given(arrays.arrays(np.float64, st.integers(0, 40), elements=st.floats(0.001, 1e6, allow_nan=False)))
@settings(max_examples=60, deadline=None)
def test_changes_are_in_order_with_levels_of_enough_runs_and_always_the_same(values: Values) -> None:
    changes = change_points(values)
    bounds = [0, *(each.position for each in changes), len(values)]
    assert changes == change_points(values.copy())
    if changes:
        assert min(np.diff(bounds)) >= MIN_RUNS
        assert [(each.runs_before, each.runs_after) for each in changes] == [
            (bounds[at + 1] - bounds[at], bounds[at + 2] - bounds[at + 1]) for at in range(len(changes))
        ]


def test_a_figure_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="change points are searched in finite figures; leave out what is missing before"):
        change_points(np.array([1.0, float("nan")] * 10))


class TestScatter:
    def test_is_that_within_levels(self) -> None:
        values = noisy([(200, 100.0), (200, 200.0)], seed=6, share=0.03)
        assert scatter(values, (200,)) == pytest.approx(0.03, rel=0.15)

    def test_is_unknown_for_few_runs_and_for_levels_of_zero(self) -> None:
        assert np.isnan(scatter(np.array([1.0] * 4), ()))
        assert np.isnan(scatter(np.array([0.0] * 9), ()))

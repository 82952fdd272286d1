from __future__ import annotations

import numpy as np
import pytest

from pytest_inferbench.objectives.gates import Change
from suites.calibration.gates import SERVERS, Scenario, measure, row, scenarios, simulate


def test_a_row_has_a_share_for_each_change_and_they_make_a_whole() -> None:
    scenario = Scenario(before=2, after=3)
    rates = measure(scenario, 20, seed=1)
    assert sum(rates.tpot.values()) == pytest.approx(1)
    assert rates.strict <= rates.tpot[Change.REGRESSION] <= rates.any_regression
    assert row(scenario, rates).startswith("| nothing | 2 and 3 | 3% | 3 | ")


def test_a_large_slow_down_is_found_and_none_is_not() -> None:
    assert measure(Scenario(before=5, after=5, slowdown=1.3), 20, seed=2).tpot[Change.REGRESSION] == 1.0
    assert measure(Scenario(before=5, after=5), 20, seed=2).tpot[Change.REGRESSION] < 0.3


def test_figures_of_runs_follow_speed_and_differ_by_the_noise() -> None:
    scenario = Scenario(before=1, after=1, noise=0.0)
    plain = simulate(np.random.default_rng(3), 200, scenario, slowdown=1.0)
    slow = simulate(np.random.default_rng(3), 200, scenario, slowdown=1.1)
    assert slow.values["tpot_p50"] == pytest.approx(plain.values["tpot_p50"] * 1.1)
    noisy = simulate(np.random.default_rng(4), 2000, Scenario(before=1, after=1, noise=0.2), slowdown=1.0)
    assert np.std(np.log(noisy.values["tpot_p50"])) == pytest.approx(0.2, rel=0.1)


def test_the_same_seed_gives_the_same_rates() -> None:
    scenario = Scenario(before=3, after=3)
    assert measure(scenario, 10, seed=5) == measure(scenario, 10, seed=5)


def test_both_questions_are_asked_at_each_number_of_runs() -> None:
    asked = {(each.before, each.after, each.slowdown) for each in scenarios()}
    assert {(m, n, slow) for m, n in ((5, 5), (3, 3), (1, 1)) for slow in (1.0, 1.1)} <= asked
    assert SERVERS > 1

from __future__ import annotations

import numpy as np
import pytest

from pytest_inferbench.objectives.gates import Change
from suites.calibration.paired import DRIFTS, SIZE, Scenario, measure, row, scenarios, simulate


def test_a_row_has_a_share_for_each_change_and_they_make_a_whole() -> None:
    scenario = Scenario(blocks=3)
    blocks, pooled = measure(scenario, 20, seed=1)
    assert sum(blocks.tpot.values()) == pytest.approx(1)
    assert sum(pooled.tpot.values()) == pytest.approx(1)
    assert row(scenario, blocks, pooled).startswith("| nothing | 3 | 1% | none | 3 | ")


def test_a_large_slow_down_is_found_and_none_is_not() -> None:
    assert measure(Scenario(blocks=4, slowdown=1.3, drift="even"), 20, seed=2)[0].tpot[Change.REGRESSION] == 1
    assert measure(Scenario(blocks=4, drift="even"), 20, seed=2)[0].any_regression < 0.3


def test_figures_follow_how_slow_a_run_is() -> None:
    plain, slow = (simulate(np.random.default_rng(3), np.full(100, slowness)) for slowness in (1.0, 1.1))
    assert slow["tpot_p50"] == pytest.approx(plain["tpot_p50"] * 1.1)
    assert (slow["ttft_p50"] > plain["ttft_p50"]).all()
    assert (slow["output_throughput"] <= plain["output_throughput"]).all()


def test_requests_wait_only_where_all_servers_work() -> None:
    figures = simulate(np.random.default_rng(4), np.array([0.01, 10.0]))
    # A hundred times faster nobody waits, and a first token takes no more than its prefill; ten times slower all do.
    assert figures["ttft_p50"][0] < 1
    assert figures["ttft_p50"][1] > 1e4


@pytest.mark.parametrize("drift", list(DRIFTS))
def test_drift_is_of_the_size_that_it_says(drift: str) -> None:
    found = DRIFTS[drift](np.random.default_rng(5), 2000, 20)
    assert found.shape == (2000, 20)
    size = np.sqrt(np.mean((found[:, -1] - found[:, 0]) ** 2))
    assert size == pytest.approx(0 if drift == "none" else SIZE, rel=0.1)


def test_every_drift_is_asked_with_and_without_a_change() -> None:
    asked = {(each.drift, each.slowdown) for each in scenarios()}
    assert {(drift, slow) for drift in DRIFTS for slow in (1.0, 1.1)} <= asked

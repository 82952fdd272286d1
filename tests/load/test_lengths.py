"""Lengths follow their distributions."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.case import Lengths
from pytest_inferbench.cases.traffic import parse_traffic
from pytest_inferbench.load.lengths import Pair, draw, pairs

COUNT = 20_000


def sample(lengths: Lengths, *, least: int = 1, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array([draw(lengths, rng, least=least) for _ in range(COUNT)])


def test_a_fixed_length_is_as_it_is_even_below_the_least() -> None:
    assert set(sample(Lengths(kind="fixed", first=1), least=2)) == {1}


def test_a_normal_length_has_its_mean_and_deviation() -> None:
    found = sample(Lengths(kind="normal", first=480, second=60))
    # Cutting to whole numbers takes half a token off; four standard errors each way.
    assert found.mean() == pytest.approx(479.5, abs=4 * 60 / COUNT**0.5)
    assert found.std() == pytest.approx(60, rel=0.03)


def test_a_lognormal_length_has_the_mean_and_deviation_of_the_tokens_themselves() -> None:
    found = sample(Lengths(kind="lognormal", first=480, second=240))
    assert found.mean() == pytest.approx(479.5, abs=4 * 240 / COUNT**0.5)
    assert found.std() == pytest.approx(240, rel=0.06)
    # Skewed, as answers are: the median is below the mean, exp(mu) = mean / sqrt(1 + deviation^2 / mean^2).
    assert np.median(found) == pytest.approx(480 / 1.25**0.5, rel=0.03)


def test_a_lognormal_length_without_deviation_is_its_mean() -> None:
    assert set(sample(Lengths(kind="lognormal", first=100, second=0))) <= {99, 100}


def test_a_uniform_length_goes_from_its_minimum_up_to_but_not_including_its_maximum() -> None:
    found = sample(Lengths(kind="uniform", first=5, second=9))
    assert set(found) == {5, 6, 7, 8}


def test_a_picked_length_is_one_of_the_list_and_one_that_stands_twice_comes_twice_as_often() -> None:
    values, counts = np.unique(sample(Lengths(kind="choice", choices=(10, 20, 20))), return_counts=True)
    assert values.tolist() == [10, 20]
    assert counts[1] / COUNT == pytest.approx(2 / 3, abs=0.02)


@given(mean=st.integers(1, 50), deviation=st.integers(0, 500), kind=st.sampled_from(["N", "LN"]), seed=st.integers(0, 99))
def test_drawn_lengths_are_never_below_one_in_and_two_out(mean: int, deviation: int, kind: str, seed: int) -> None:
    traffic = parse_traffic(f"{kind}({mean},{deviation})/({mean},{deviation})")
    for pair in islice(pairs(traffic, np.random.default_rng(seed)), 20):
        assert pair.input_tokens >= 1
        assert pair.output_tokens >= 2


def test_lengths_are_the_same_for_the_same_seed_and_others_for_another() -> None:
    traffic = parse_traffic("U(10,1000)/(10,1000)")

    def drawn(seed: int) -> list[Pair]:
        return list(islice(pairs(traffic, np.random.default_rng(seed)), 50))

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_the_lengths_of_a_trace_are_not_drawn() -> None:
    with pytest.raises(ValueError, match="the lengths of a trace stand in its file"):
        draw(Lengths(kind="trace"), np.random.default_rng(0), least=1)

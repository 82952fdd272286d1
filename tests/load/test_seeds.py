"""A seed that was asked for repeats a plan; none makes every run's prompts new."""

from __future__ import annotations

from pytest_inferbench.load.seeds import Seeds, draw_seeds


def test_a_seed_that_was_asked_for_is_seed_and_salt() -> None:
    assert draw_seeds(7) == Seeds(seed=7, salt=7)
    assert draw_seeds(0) == Seeds(seed=0, salt=0)


def test_without_one_the_shape_stays_and_the_words_change() -> None:
    drawn = [draw_seeds(None) for _ in range(20)]
    assert {seeds.seed for seeds in drawn} == {0}
    assert len({seeds.salt for seeds in drawn}) > 1

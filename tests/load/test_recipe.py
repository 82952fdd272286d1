"""Streams of random numbers: one for each purpose, the same again for the same seeds."""

from __future__ import annotations

from dataclasses import replace

from pytest_inferbench.load.recipe import Recipe
from pytest_inferbench.load.seeds import Seeds
from pytest_inferbench.load.tokens import EstimatedCounter
from tests.load.cases import case_of

RECIPE = Recipe(case=case_of(), model="m", seeds=Seeds(seed=1, salt=2), counter=EstimatedCounter())
SALTED = replace(RECIPE, seeds=Seeds(seed=1, salt=3))


def test_each_purpose_has_a_stream_of_its_own() -> None:
    streams = [RECIPE.shape("a"), RECIPE.shape("b"), RECIPE.words("a"), RECIPE.words("b")]
    assert len({stream.integers(0, 2**60) for stream in streams}) == 4


def test_the_same_seeds_make_the_same_numbers() -> None:
    assert RECIPE.words("a").integers(0, 2**60) == replace(RECIPE).words("a").integers(0, 2**60)


def test_the_salt_changes_words_and_no_shapes() -> None:
    assert RECIPE.shape("a").integers(0, 2**60) == SALTED.shape("a").integers(0, 2**60)
    assert RECIPE.words("a").integers(0, 2**60) != SALTED.words("a").integers(0, 2**60)


def test_another_case_has_other_numbers() -> None:
    other = replace(RECIPE, case=replace(RECIPE.case, id="other"))
    assert RECIPE.shape("a").integers(0, 2**60) != other.shape("a").integers(0, 2**60)

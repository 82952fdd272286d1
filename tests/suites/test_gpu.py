"""The suites for GPUs: what is predicted of their cases is what they say themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.simulator.predict import Prediction, predict
from pytest_inferbench.steps_selection import selected

FOLDER = Path(__file__).parents[2] / "suites" / "gpu"


@pytest.fixture(scope="module")
def predictions() -> list[Prediction]:
    return [predict(case) for case in selected([str(FOLDER)], keyword="", markers="")]


def test_every_case_of_a_hundred_is_predicted(predictions: list[Prediction]) -> None:
    assert len(predictions) >= 100
    assert [each.trouble for each in predictions if each.trouble] == []


def test_objectives_are_missed_where_that_is_expected_and_nowhere_else(predictions: list[Prediction]) -> None:
    missed = {each.case.id for each in predictions if each.verdict and each.verdict.outlook is not Outlook.PASS}
    assert missed == {each.case.id for each in predictions if each.case.expected_miss}
    assert len(missed) >= 4


def test_no_case_takes_long(predictions: list[Prediction]) -> None:
    """3 to 8 s of load, and at most as much of warm-up and of answers that are on their way when it ends."""
    assert {each.case.id: each.case_s for each in predictions if not 3 <= each.case_s <= 13} == {}

"""The benchmark of searches: its queues are queues, and its table says what was found."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_inferbench.objectives.capacity import Ask, sizes_between
from pytest_inferbench.objectives.verdict import Outlook
from suites.calibration import capacity
from suites.calibration.simulated_queues import Queue

PLAIN = Queue(name="M/D/1", servers=1, service=np.ones_like, likeness=0.0)


def test_waits_are_those_of_a_queue() -> None:
    # One slot, answers of one length: the mean wait is load / (2 (1 - load)) services (Pollaczek and Khinchine).
    stay = capacity.stay(PLAIN, 0.5, 100_000, np.random.default_rng(1))
    assert float((stay.left - stay.came).mean()) == pytest.approx(1.5, rel=0.03)
    assert (np.diff(stay.came) > 0).all()


def test_a_look_far_from_the_limit_is_sure_and_one_beyond_what_is_answered_fails() -> None:
    random = np.random.default_rng(2)
    low = capacity.look_at(capacity.GENTLE, Ask(level=0.3, requests=1000), limit=5.0, confidence=0.99, random=random)
    high = capacity.look_at(capacity.GENTLE, Ask(level=2.0, requests=1000), limit=5.0, confidence=0.99, random=random)
    assert (low.outlook, high.outlook) == (Outlook.PASS, Outlook.FAIL)


def test_a_row_says_how_often_the_truth_was_held_and_what_it_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "truth_of", lambda *_: {"p90": 4.0})
    row = capacity.row(capacity.GENTLE, 0.9, replications=2, sizes=sizes_between(500, 1500))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert len(cells) == len(capacity.HEAD)
    assert cells[:2] == ["M/G/8, independent", "0.9"]
    assert float(cells[2]) in (0, 50, 100)

"""The program that measures how far verdicts keep their word: simulated queues, pieces that are kept, and tables."""

from __future__ import annotations

import json
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest

from pytest_inferbench.objectives.decide import Decision
from pytest_inferbench.objectives.verdict import Outlook
from suites.calibration import calibrate, intervals, pieces, shortcuts, verdicts
from suites.calibration.pieces import Piece, Row
from suites.calibration.simulated_queues import OTHERS, QUEUES, Queue, simulate

SMALL = Piece(queue=QUEUES[0], load=0.3, replications=3, seed=7)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short loads, and a truth of few requests."""
    monkeypatch.setattr(intervals, "LENGTHS", (200, 400))
    monkeypatch.setattr(intervals, "LONG", dict.fromkeys(intervals.LONG, 600))
    monkeypatch.setattr(verdicts, "MOST", 600)
    monkeypatch.setattr(shortcuts, "MOST", 600)
    monkeypatch.setattr(pieces, "TRUTH_SHAPE", (5, 2000))


def test_a_plain_queue_waits_as_long_as_the_theory_says() -> None:
    """M/M/1 at a load of 0.5: 1 / (1 - 0.5) on average."""
    random = np.random.default_rng(1)
    plain = Queue(name="M/M/1", servers=1, service=lambda normal: random.exponential(1.0, normal.shape), likeness=0.0)
    latency = simulate(plain, 0.5, shape=(50, 4000), seed=2).latency
    assert float(latency.mean()) == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize("queue", [*QUEUES, *OTHERS], ids=lambda queue: queue.name)
def test_requests_end_after_their_service_and_come_at_the_rate_that_is_asked(queue: Queue) -> None:
    sample = simulate(queue, 0.5, shape=(20, 1000), seed=3)
    assert np.isfinite(sample.latency).all()
    assert (sample.latency >= sample.service * (0.9 if not queue.batched else 0.99)).all()
    seconds = sample.end[:, -1] - sample.latency[:, -1] - sample.start
    assert float(np.median(1000 / seconds)) == pytest.approx(queue.rate(0.5), rel=0.2)


def test_a_full_batch_makes_every_request_in_it_slower() -> None:
    batch = OTHERS[1]
    alone, crowded = (simulate(batch, load, shape=(10, 500), seed=4) for load in (0.02, 0.8))
    assert float((alone.latency / alone.service).mean()) < 1.5 < float((crowded.latency / crowded.service).mean())


def test_an_interval_that_is_not_given_holds_the_truth_and_tells_nothing() -> None:
    cover = intervals.Cover()
    for low, high in ((1.0, 3.0), (3.0, 4.0), (1.0, inf), (nan, nan)):
        cover.add(Decision(outlook=Outlook.INCONCLUSIVE, low=low, high=high), 2.0)
    row: Row = {"requests": 100, "figure": "p50", "runs": 4, "given": cover.given, "held": cover.held}
    assert intervals.cell(row) == "75.0 (50.0 of 50)"
    assert intervals.cell({**row, "given": 0, "held": 0}) == "100.0 (none given)"
    assert intervals.cell({**row, "given": 4, "held": 3}) == "75.0"
    assert intervals.cell({**row, "runs": 1000, "given": 4, "held": 3}) == "99.9 (75.0 of 0.4)"


@pytest.mark.usefixtures("small")
def test_a_piece_is_computed_once_and_read_from_then_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = calibrate.kept("intervals", SMALL, tmp_path)
    monkeypatch.setattr(calibrate, "PARTS", {})
    assert calibrate.kept("intervals", SMALL, tmp_path) == first
    assert {row["figure"] for row in first} == set(pieces.FIGURES)
    assert all(row["runs"] == 3 for row in first)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.usefixtures("small")
def test_what_is_far_from_its_true_figure_or_only_seems_to_grow_is_counted_as_wrong() -> None:
    piece = Piece(queue=OTHERS[0], load=0.9, replications=5, seed=7)
    high, low = (dict.fromkeys(shortcuts.FIGURES, truth) for truth in (1e9, 1e-9))
    (passed,), (failed,) = shortcuts.measure(piece, high), shortcuts.measure(piece, low)
    assert [passed[f"pass {figure}"] for figure in shortcuts.FIGURES] == [100.0] * 4
    assert [failed[f"fail {figure}"] for figure in shortcuts.FIGURES] == [100.0] * 4
    assert {passed[f"fail {figure}"] for figure in shortcuts.FIGURES} == {0.0}
    assert 0 <= float(passed["one look"]) <= 100
    assert "| M/G/8 in rushes, lognormal | 0.9 | 100.0 |" in shortcuts.text([(piece, [passed])])


@pytest.mark.usefixtures("small")
def test_the_same_seed_finds_the_same_and_another_one_something_else() -> None:
    truth = pieces.truth_of(SMALL.queue, SMALL.load)
    again = pieces.truth_of(SMALL.queue, SMALL.load)
    assert truth == again
    other = Piece(queue=SMALL.queue, load=SMALL.load, replications=3, seed=8)
    rows = [[sample.latency[row].tolist() for sample, row in pieces.rows_of(piece, 50)] for piece in (SMALL, SMALL, other)]
    assert rows[0] == rows[1]
    assert rows[0] != rows[2]


@pytest.mark.usefixtures("small")
def test_the_program_prints_both_tables_and_keeps_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calibrate.main(["--queue", "M/G/1", "--load", "0.3", "--replications", "2", "--keep", str(tmp_path)])
    printed = capsys.readouterr().out
    assert printed.count("| M/G/1, lognormal | 0.3 |") == 3 + 4
    kept = {file.name for file in tmp_path.glob("*.json")}
    assert kept == {f"{name}_M-G-1--lognormal_0.3{more}.json" for name, more in KEPT.items()}
    assert json.loads((tmp_path / "truth_M-G-1--lognormal_0.3.json").read_text())["throughput"] == pytest.approx(0.3, rel=0.05)


KEPT = {"truth": "", "intervals": "_2x1", "verdicts": "_2x1"}


def test_the_cost_is_held_against_the_fixed_design_also_where_that_needs_more_than_was_simulated() -> None:
    assert verdicts.cost(1000, 4000) == "0.25 of 4,000"
    assert verdicts.cost(verdicts.MOST / 5, 0) == f"< 0.20 (it needs more than {verdicts.MOST:,})"
    assert verdicts.cost(verdicts.MOST, 0) == f"both need more than {verdicts.MOST:,}"


def test_the_fixed_design_is_the_fewest_requests_that_are_right_often_enough() -> None:
    tallies = {("p50", 0.9): verdicts.Tally(), ("p50", 1.1): verdicts.Tally()}
    for look, rights in ((100, 1), (200, 4), (300, 5)):
        tallies["p50", 0.9].fixed[look] = [Outlook.PASS] * rights + [Outlook.INCONCLUSIVE] * (5 - rights)
        tallies["p50", 1.1].fixed[look] = [Outlook.FAIL] * 5
    assert [verdicts.fixed_design("p50", tallies, power) for power in (0.1, 0.8, 0.95)] == [100, 200, 300]
    assert verdicts.fixed_design("p50", tallies, 1.1) is None

"""
What decides where no interval can: a limit that is far from every value seen, and a queue that only grew.

The limit is the true figure, so a load that is far from it by `FAR`, on one side or the other, is decided wrongly. More requests
make that rarer, so it is counted at the fewest that may decide: `ENOUGH` to fail, `ENOUGH_TO_PASS` to pass, and 299 for a p99,
which takes as many at any limit. The queues keep up, so each that is found to be overloaded is found wrongly, too: at the length
where a single look errs most, and at any of the looks of a load that ends when it is sure.
"""

from __future__ import annotations

from collections import Counter

from pytest_inferbench.objectives.decide import ENOUGH, ENOUGH_TO_PASS, is_far
from pytest_inferbench.objectives.overload import outgrown
from pytest_inferbench.objectives.sequential import looks_between
from suites.calibration.pieces import Piece, Row, Truth, rows_of, table
from suites.calibration.simulated_queues import Sample

FIGURES = ("p50", "p90", "p99", "mean")
TO_PASS = {"p99": 299}
MOST = 20_000
CONFIDENCE = 0.95
HEADS = (
    "queue",
    "load",
    *(f"{figure}: far, false pass %" for figure in FIGURES),
    *(f"{figure}: far, false fail %" for figure in FIGURES),
    "grew, one look %",
    "at any look %",
)


def measure(piece: Piece, truth: Truth) -> list[Row]:
    """One row: shares of the replications, in percent."""
    found = Counter[str]()
    for sample, row in rows_of(piece, MOST):
        found.update(far(sample, row, truth))
        found.update(grown(sample, row))
    looks = [count for name, count in found.items() if name.startswith("look ")]
    counts = {**{name: found[name] for name in _names()}, "one look": max(looks, default=0), "any look": found["any look"]}
    return [{name: 100 * count / piece.replications for name, count in counts.items()}]


def far(sample: Sample, row: int, truth: Truth) -> list[str]:
    """Which figures one replication passes or fails by being far from what is their true value."""
    latency, found = sample.latency[row], []
    for figure in FIGURES:
        limit, quick = truth[figure], bool(latency[0] <= truth[figure])
        if quick and is_far(limit, latency[: TO_PASS.get(figure, ENOUGH_TO_PASS)]):
            found.append(f"pass {figure}")
        if not quick and is_far(limit, latency[:ENOUGH]):
            found.append(f"fail {figure}")
    return found


def grown(sample: Sample, row: int) -> list[str]:
    """At which single looks one replication is found overloaded, and whether it is at any of those that share an error."""
    ended = sample.end[row]
    sent = ended - sample.latency[row]
    looks = looks_between(ENOUGH_TO_PASS, MOST)
    spent = 1 - (1 - CONFIDENCE) / len(looks)
    single = [f"look {count}" for count in looks if outgrown(sent[:count], ended[:count], confidence=CONFIDENCE)]
    shared = any(outgrown(sent[:count], ended[:count], confidence=spent) for count in looks)
    return [*single, "any look"] if shared else single


def text(pieces: list[tuple[Piece, list[Row]]]) -> str:
    """The table of all pieces."""
    names = (*_names(), "one look", "any look")
    rows = [(piece.queue.name, f"{piece.load}", *(f"{float(row[name]):.1f}" for name in names)) for piece, (row,) in pieces]
    return table(HEADS, rows)


def _names() -> list[str]:
    return [f"{outlook} {figure}" for outlook in ("pass", "fail") for figure in FIGURES]

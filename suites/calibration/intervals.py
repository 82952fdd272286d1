"""
Coverage: how many of the stated intervals hold the true figure.

An interval that is not given, or has no end above, is taken as all there is: it holds the truth, and tells nothing. So three
things are counted: how many hold the truth, how many are given, and how many of those given hold it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, isnan

import numpy as np

from pytest_inferbench.objectives.decide import Decision, decide_of
from pytest_inferbench.objectives.dependence import seen
from pytest_inferbench.objectives.means import per_second
from suites.calibration.pieces import FIGURES, Piece, Row, Truth, claim_of, rows_of, table
from suites.calibration.simulated_queues import Numbers, Sample

LENGTHS = (1000, 5000, 20_000)
LONG = {0.3: 10_000, 0.5: 10_000, 0.7: 50_000, 0.8: 100_000, 0.9: 100_000}
HEADS = ("queue", "load", "requests", *FIGURES)


@dataclass(slots=True, kw_only=True)
class Cover:
    """How many intervals were given, and how many of those held the truth."""

    given: int = 0
    held: int = 0

    def add(self, decision: Decision, truth: float) -> None:
        """Count one interval."""
        if isnan(decision.low) or not isfinite(decision.high):
            return
        self.given += 1
        self.held += decision.low <= truth <= decision.high


def measure(piece: Piece, truth: Truth) -> list[Row]:
    """A row for each length and figure."""
    lengths = sorted({length for length in LENGTHS if length <= LONG[piece.load]} | {LONG[piece.load]})
    covers = {(length, figure): Cover() for length in lengths for figure in FIGURES}
    for sample, row in rows_of(piece, lengths[-1]):
        for length in lengths:
            latency, parts = seen(sample.latency[row, :length].astype(np.float64)), seen(throughput(sample, row, length))
            for figure in FIGURES:
                decision = decide_of(claim_of(figure, truth[figure]), parts if figure == "throughput" else latency)
                covers[length, figure].add(decision, truth[figure])
    return [
        {"requests": length, "figure": figure, "runs": piece.replications, "given": cover.given, "held": cover.held}
        for (length, figure), cover in covers.items()
    ]


def throughput(sample: Sample, row: int, length: int) -> Numbers:
    """Tokens a second in equal parts of the time of the first requests, up to the arrival of the last of them."""
    end, service = sample.end[row, :length], sample.service[row, :length].astype(np.float64)
    last = float(end[-1] - sample.latency[row, length - 1])
    return per_second(end, service, start_s=float(end[0]), end_s=last)


def cells(queue: str, load: float, rows: list[Row]) -> list[tuple[str, ...]]:
    """Rows of the table, one for each length."""
    lengths = sorted({int(row["requests"]) for row in rows})
    found = {(int(row["requests"]), str(row["figure"])): row for row in rows}
    return [(queue, f"{load}", f"{length:,}", *(cell(found[length, figure]) for figure in FIGURES)) for length in lengths]


def cell(row: Row) -> str:
    """``96.4`` where all runs but 1 in 200 have an interval; else ``99.1 (95.0 of 18)``: of those given, and how many are."""
    runs, given, held = (int(row[name]) for name in ("runs", "given", "held"))
    all_of_them = f"{100 * (1 - (given - held) / runs):.1f}"
    if given >= 0.995 * runs:
        return all_of_them
    if not given:
        return f"{all_of_them} (none given)"
    return f"{all_of_them} ({100 * held / given:.1f} of {100 * given / runs:.{0 if given >= 0.01 * runs else 1}f})"


def text(pieces: list[tuple[Piece, list[Row]]]) -> str:
    """The table of all pieces."""
    return table(HEADS, [row for piece, rows in pieces for row in cells(piece.queue.name, piece.load, rows)])

"""One queue at one load: its true figures, its replications, and the claims that are made of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pytest_inferbench.objectives.decide import Claim, Kind
from suites.calibration.simulated_queues import Queue, Sample, simulate

FIGURES = ("p50", "p90", "p99", "mean", "throughput")
ROWS_MAX, VALUES_MAX = 250, 10_000_000
TRUTHS, TRUTH_SHAPE, SEED_OF_TRUTH = 4, (250, 40_000), 2_000_000

Truth = dict[str, float]
Row = dict[str, float | str]
"""What was found, as it is kept: names and numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What is simulated: a queue at a load, so many times, with random numbers from a seed."""

    queue: Queue
    load: float
    replications: int
    seed: int

    @property
    def slug(self) -> str:
        """Its name in a file's name."""
        name = "".join(each if each.isalnum() else "-" for each in self.queue.name)
        return f"{name}_{self.load}_{self.replications}x{self.seed}"


def truth_of(queue: Queue, load: float) -> Truth:
    """The true figures of a queue: those of 40 million requests."""
    samples = [simulate(queue, load, shape=TRUTH_SHAPE, seed=SEED_OF_TRUTH + i) for i in range(TRUTHS)]
    latency = np.concatenate([sample.latency.ravel() for sample in samples])
    mean = float(latency.mean(dtype=np.float64))
    ranks = {figure: int(float(figure[1:]) / 100 * len(latency)) for figure in FIGURES if figure.startswith("p")}
    latency.partition(sorted(ranks.values()))
    service = float(np.mean([sample.service.mean(dtype=np.float64) for sample in samples]))
    percentiles = {figure: float(latency[rank]) for figure, rank in ranks.items()}
    return {**percentiles, "mean": mean, "throughput": queue.rate(load) * service}


def rows_of(piece: Piece, length: int) -> Iterator[tuple[Sample, int]]:
    """Every replication: the sample that it is in, and its row there."""
    rows = min(ROWS_MAX, max(1, VALUES_MAX // length))
    for first in range(0, piece.replications, rows):
        shape = (min(rows, piece.replications - first), length)
        sample = simulate(piece.queue, piece.load, shape=shape, seed=1000 * piece.seed + first)
        yield from ((sample, row) for row in range(shape[0]))


def claim_of(figure: str, limit: float) -> Claim:
    """The claim that a figure is within a limit."""
    if figure == "throughput":
        return Claim(kind=Kind.THROUGHPUT, operator=">=", limit=limit)
    if figure == "mean":
        return Claim(kind=Kind.MEAN, operator="<=", limit=limit)
    return Claim(kind=Kind.PERCENTILE, operator="<=", limit=limit, percent=float(figure[1:]))


def table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"

"""
Whether verdicts keep their word: intervals and decisions of `pytest_inferbench.objectives` on queues of which the truth is known.

    python -m suites.calibration.calibrate [--replications 1000] [--part intervals] [--part verdicts] [--queue M/G/8] [--load 0.3]

Prints Markdown tables. The truth is that of a run of 40 million requests with another seed.
About an hour on one core for all of it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite, isnan

import numpy as np

from pytest_inferbench.objectives.decide import Claim, Decision, Kind, decide_of
from pytest_inferbench.objectives.dependence import seen
from pytest_inferbench.objectives.means import per_second
from pytest_inferbench.objectives.sequential import looks_between
from pytest_inferbench.objectives.verdict import Outlook
from suites.calibration.simulated_queues import LOADS, QUEUES, Numbers, Queue, Sample, simulate

CONFIDENCE = 0.95
ROWS = 250
SEED, SEED_OF_TRUTH = 1, 2
LENGTHS = (1000, 5000, 20_000)
LONG = {0.3: 10_000, 0.5: 10_000, 0.7: 50_000, 0.8: 100_000, 0.9: 200_000}
FIGURES = ("p50", "p90", "p99", "mean", "throughput")
MOST = 20_000
VERDICTS = {"p90": (Kind.PERCENTILE, 90.0), "p99": (Kind.PERCENTILE, 99.0), "mean": (Kind.MEAN, None)}
VERDICT_LOADS = (0.3, 0.7, 0.9)
RATIOS = (0.5, 0.7, 0.9, 1.1, 1.4, 2.0)
"""True values as multiples of the limit; at 1 every verdict but inconclusive counts as false."""
HARDEST = (0.9, 1.1)
POWER = 0.8

Truth = dict[str, float]


@dataclass(slots=True, kw_only=True)
class Cover:
    """How many intervals were given, and how many of those held the truth."""

    runs: int = 0
    given: int = 0
    held: int = 0

    def add(self, decision: Decision, truth: float) -> None:
        """Count one interval; one that has an endless side is not given."""
        self.runs += 1
        if isnan(decision.low) or not isfinite(decision.high):
            return
        self.given += 1
        self.held += decision.low <= truth <= decision.high

    def __str__(self) -> str:
        """Coverage of those given, and in brackets which part was given where not all were."""
        if not self.given:
            return "none given"
        part = f" ({self.given / self.runs:.0%})" if self.given < self.runs else ""
        return f"{self.held / self.given:.1%}{part}"


@dataclass(slots=True, kw_only=True)
class Tally:
    """Verdicts on one claim: how often each came from the fixed design at each length, and when the sequential one ended."""

    fixed: dict[int, list[Outlook]] = field(default_factory=dict)
    sequential: list[Outlook] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)


def truth_of(queue: Queue, load: float) -> Truth:
    """The true figures of a queue."""
    latency = simulate(queue, load, shape=(1000, 40_000), seed=SEED_OF_TRUTH).latency.ravel()
    ranks = [int(share * len(latency)) for share in (0.5, 0.9, 0.99)]
    mean = float(latency.mean(dtype=np.float64))
    latency.partition(ranks)
    p50, p90, p99 = (float(latency[rank]) for rank in ranks)
    return {"p50": p50, "p90": p90, "p99": p99, "mean": mean, "throughput": load * queue.servers}


def rows_of(queue: Queue, load: float, *, replications: int, length: int) -> Iterator[tuple[Sample, int]]:
    """Every replication: the sample that it is in, and its row there."""
    for first in range(0, replications, ROWS):
        sample = simulate(queue, load, shape=(min(ROWS, replications - first), length), seed=SEED + 1000 * first)
        yield from ((sample, row) for row in range(len(sample.latency)))


def claim_of(figure: str, limit: float) -> Claim:
    """The claim that a figure is within a limit."""
    if figure == "throughput":
        return Claim(kind=Kind.THROUGHPUT, operator=">=", limit=limit)
    if figure == "mean":
        return Claim(kind=Kind.MEAN, operator="<=", limit=limit)
    return Claim(kind=Kind.PERCENTILE, operator="<=", limit=limit, percent=float(figure[1:]))


# -- intervals -------------------------------------------------------------------------------------------------------------


def intervals(queue: Queue, load: float, replications: int) -> list[str]:
    """Rows of the table of coverage."""
    truth = truth_of(queue, load)
    lengths = sorted({length for length in LENGTHS if length <= LONG[load]} | {LONG[load]})
    covers = {(length, figure): Cover() for length in lengths for figure in FIGURES}
    for sample, row in rows_of(queue, load, replications=replications, length=lengths[-1]):
        for length in lengths:
            what = seen(sample.latency[row, :length].astype(np.float64))
            for figure in FIGURES[:-1]:
                covers[length, figure].add(decide_of(claim_of(figure, truth[figure]), what), truth[figure])
            parts = seen(throughput(sample, row, length))
            covers[length, "throughput"].add(decide_of(claim_of("throughput", truth["throughput"]), parts), truth["throughput"])
    cells = {length: " | ".join(str(covers[length, figure]) for figure in FIGURES) for length in lengths}
    return [f"| {queue.name} | {load} | {length:,} | {cells[length]} |" for length in lengths]


def throughput(sample: Sample, row: int, length: int) -> Numbers:
    """Tokens a second in equal parts of the time of the first requests, up to the arrival of the last of them."""
    end, service = sample.end[row, :length], sample.service[row, :length].astype(np.float64)
    last = float(end[-1] - sample.latency[row, length - 1])
    return per_second(end, service, start_s=float(end[0]), end_s=last)


# -- verdicts --------------------------------------------------------------------------------------------------------------


def verdicts(queue: Queue, load: float, replications: int) -> list[str]:
    """Rows of the table of verdicts."""
    truth = truth_of(queue, load)
    looks = looks_between(100, MOST)
    tallies = {(figure, ratio): Tally() for figure in VERDICTS for ratio in (1.0, *RATIOS)}
    for sample, row in rows_of(queue, load, replications=replications, length=MOST):
        judge_one(sample.latency[row].astype(np.float64), truth, looks, tallies)
    return [verdict_row(queue, load, figure, tallies) for figure in VERDICTS]


def judge_one(latency: Numbers, truth: Truth, looks: Sequence[int], tallies: dict[tuple[str, float], Tally]) -> None:
    """One replication, judged at every look by the fixed design, and by the sequential one until it is decided."""
    going = set(tallies)
    for look in looks:
        what = seen(latency[:look])
        for (figure, ratio), tally in tallies.items():
            claim = claim_of(figure, truth[figure] / ratio)
            if ratio in (1.0, *HARDEST):
                tally.fixed.setdefault(look, []).append(decide_of(claim, what, confidence=CONFIDENCE).outlook)
            if (figure, ratio) not in going:
                continue
            spent = 1 - (1 - CONFIDENCE) / len(looks)
            outlook = decide_of(claim, what, confidence=spent).outlook
            if outlook is not Outlook.INCONCLUSIVE or look == looks[-1]:
                going.discard((figure, ratio))
                tally.sequential.append(outlook)
                tally.requests.append(look)


def verdict_row(queue: Queue, load: float, figure: str, tallies: dict[tuple[str, float], Tally]) -> str:
    """False passes and fails where the truth is the limit, and what the sequential design costs elsewhere."""
    at_limit = tallies[figure, 1.0]
    fixed = [f"{100 * max(share(each, outlook) for each in at_limit.fixed.values()):.1f}" for outlook in DECIDED]
    sequential = [f"{100 * share(at_limit.sequential, outlook):.1f}" for outlook in DECIDED]
    off = [(ratio, tallies[figure, ratio]) for ratio in RATIOS]
    wrong = max(share(tally.sequential, Outlook.FAIL if ratio < 1 else Outlook.PASS) for ratio, tally in off)
    unsure = np.mean([share(tally.sequential, Outlook.INCONCLUSIVE) for _, tally in off])
    needed = fixed_design(figure, tallies)
    used = float(np.median([tally.requests for _, tally in off]))
    cost = f"{used:,.0f} of {needed:,} ({used / needed:.2f})" if needed else f"{used:,.0f} of more than {MOST:,}"
    cells = " | ".join([*fixed, *sequential, f"{100 * wrong:.1f}", f"{100 * unsure:.0f}", cost])
    return f"| {queue.name} | {load} | {figure} | {cells} |"


DECIDED = (Outlook.PASS, Outlook.FAIL)


def share(outlooks: Sequence[Outlook], outlook: Outlook) -> float:
    """How many of the outlooks are this one."""
    return sum(each is outlook for each in outlooks) / len(outlooks)


def fixed_design(figure: str, tallies: dict[tuple[str, float], Tally]) -> int | None:
    """The fewest requests with which the fixed design is right in 80 % of the runs at the hardest ratios."""
    for look in sorted(tallies[figure, HARDEST[0]].fixed):
        rights = [share(tallies[figure, ratio].fixed[look], Outlook.PASS if ratio < 1 else Outlook.FAIL) for ratio in HARDEST]
        if min(rights) >= POWER:
            return look
    return None


# -- what is printed -------------------------------------------------------------------------------------------------------

HEADS = {
    "intervals": ("queue", "load", "requests", *FIGURES),
    "verdicts": (
        "queue",
        "load",
        "figure",
        "fixed: false pass %",
        "false fail %",
        "sequential: false pass %",
        "false fail %",
        "wrong off the limit %",
        "inconclusive off the limit %",
        "median requests of the fixed design's",
    ),
}
PARTS = {"intervals": (intervals, LOADS), "verdicts": (verdicts, VERDICT_LOADS)}


def main() -> None:
    """Read what is asked and print the tables, a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--replications", type=int, default=1000)
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--queue", default="", help="only queues whose name holds this")
    parser.add_argument("--load", action="append", type=float, help="only this load")
    asked = parser.parse_args()
    for part in asked.part or PARTS:
        rows, loads = PARTS[part]
        head = HEADS[part]
        sys.stdout.write(f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}\n")
        for queue in QUEUES:
            for load in loads:
                if asked.queue in queue.name and load in (asked.load or loads):
                    sys.stdout.write("\n".join(rows(queue, load, asked.replications)) + "\n")
                    sys.stdout.flush()


if __name__ == "__main__":
    main()

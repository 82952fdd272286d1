"""
False verdicts, and what it costs to reach one: a fixed number of requests against looking after every request.

The limit is the true figure divided by a ratio. Where the ratio is 1 the figure is just at its limit, and each pass and each fail
counts as false. The fixed design needs as many requests as it takes to be right in so many runs at the ratios that lie nearest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pytest_inferbench.objectives.decide import ENOUGH, decide_of
from pytest_inferbench.objectives.dependence import seen
from pytest_inferbench.objectives.sequential import looks_between
from pytest_inferbench.objectives.verdict import Outlook
from suites.calibration.pieces import Piece, Row, Truth, claim_of, rows_of, table
from suites.calibration.simulated_queues import Numbers

CONFIDENCE = 0.95
FIGURES = ("p50", "p90", "p99", "mean")
MOST = 50_000
RATIOS = (0.5, 0.7, 0.9, 1.1, 1.4, 2.0)
NEAREST = (0.9, 1.1)
POWERS = (0.8, 0.95)
PLANNED = 250
"""Replications from which the fixed design's number of requests is taken."""
HEADS = (
    "queue",
    "load",
    "figure",
    "fixed: false pass %",
    "false fail %",
    "sequential: false pass %",
    "false fail %",
    "wrong off the limit %",
    "inconclusive off the limit %",
    "median requests",
    "of the fixed design's, right in 80 %",
    "in 95 %",
)
DECIDED = (Outlook.PASS, Outlook.FAIL)


@dataclass(slots=True, kw_only=True)
class Tally:
    """Verdicts on one claim: those of the fixed design at each length, and the sequential one's and when it came."""

    fixed: dict[int, list[Outlook]] = field(default_factory=dict)
    sequential: list[Outlook] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)

    def share(self, outlook: Outlook) -> float:
        """How often the sequential design said so, in percent."""
        return _share(self.sequential, outlook)


Tallies = dict[tuple[str, float], Tally]


def measure(piece: Piece, truth: Truth) -> list[Row]:
    """A row for each figure."""
    looks = looks_between(ENOUGH, MOST)
    tallies: Tallies = {(figure, ratio): Tally() for figure in FIGURES for ratio in (1.0, *RATIOS)}
    for sample, row in rows_of(piece, MOST):
        judge_one(sample.latency[row].astype(np.float64), truth, looks, tallies)
    return [summary(figure, tallies) for figure in FIGURES]


def judge_one(latency: Numbers, truth: Truth, looks: Sequence[int], tallies: Tallies) -> None:
    """One replication, judged at every look by the fixed design, and by the sequential one until it is decided."""
    going = set(tallies)
    spent = 1 - (1 - CONFIDENCE) / len(looks)
    for look in looks:
        what = seen(latency[:look])
        for (figure, ratio), tally in tallies.items():
            claim = claim_of(figure, truth[figure] / ratio)
            if ratio == 1.0 or (ratio in NEAREST and len(tally.fixed.get(look, ())) < PLANNED):
                tally.fixed.setdefault(look, []).append(decide_of(claim, what, confidence=CONFIDENCE).outlook)
            if (figure, ratio) not in going:
                continue
            outlook = decide_of(claim, what, confidence=spent).outlook
            if outlook is not Outlook.INCONCLUSIVE or look == looks[-1]:
                going.discard((figure, ratio))
                tally.sequential.append(outlook)
                tally.requests.append(look)


def summary(figure: str, tallies: Tallies) -> Row:
    """False passes and fails where the truth is the limit, and what the sequential design costs elsewhere; shares in percent."""
    at_limit, off = tallies[figure, 1.0], {ratio: tallies[figure, ratio] for ratio in RATIOS}
    worst = [max(_share(each, outlook) for each in at_limit.fixed.values()) for outlook in DECIDED]
    fixed = {f"fixed_for_{power}": fixed_design(figure, tallies, power) for power in POWERS}
    return {
        "figure": figure,
        "fixed_pass": worst[0],
        "fixed_fail": worst[1],
        "sequential_pass": at_limit.share(Outlook.PASS),
        "sequential_fail": at_limit.share(Outlook.FAIL),
        "wrong": max(tally.share(Outlook.FAIL if ratio < 1 else Outlook.PASS) for ratio, tally in off.items()),
        "inconclusive": float(np.mean([tally.share(Outlook.INCONCLUSIVE) for tally in off.values()])),
        "requests": float(np.median([tally.requests for tally in off.values()])),
        **{f"requests_at_{ratio}": float(np.median(tally.requests)) for ratio, tally in off.items()},
        **{name: float(needed or 0) for name, needed in fixed.items()},
    }


def fixed_design(figure: str, tallies: Tallies, power: float) -> int | None:
    """The fewest requests with which the fixed design is right in such a share of the runs at the nearest ratios."""
    for look in sorted(tallies[figure, NEAREST[0]].fixed):
        rights = [_share(tallies[figure, ratio].fixed[look], Outlook.PASS if ratio < 1 else Outlook.FAIL) for ratio in NEAREST]
        if min(rights) >= 100 * power:
            return look
    return None


def _share(outlooks: Sequence[Outlook], outlook: Outlook) -> float:
    return 100 * sum(each is outlook for each in outlooks) / len(outlooks)


def cells(queue: str, load: float, row: Row) -> tuple[str, ...]:
    """A row of the table."""
    shares = [f"{float(row[name]):.1f}" for name in ("fixed_pass", "fixed_fail", "sequential_pass", "sequential_fail", "wrong")]
    used = float(row["requests"])
    costs = [cost(used, float(row[f"fixed_for_{power}"])) for power in POWERS]
    return (queue, f"{load}", str(row["figure"]), *shares, f"{float(row['inconclusive']):.0f}", f"{used:,.0f}", *costs)


def cost(used: float, needed: float) -> str:
    """``0.21 of 13,333``; the fixed design may need more than the most that was simulated, and the sequential one too."""
    if needed:
        return f"{used / needed:.2f} of {needed:,.0f}"
    return f"< {used / MOST:.2f} (it needs more than {MOST:,})" if used < MOST else f"both need more than {MOST:,}"


def text(pieces: list[tuple[Piece, list[Row]]]) -> str:
    """The table of all pieces."""
    return table(HEADS, [cells(piece.queue.name, piece.load, row) for piece, rows in pieces for row in rows])

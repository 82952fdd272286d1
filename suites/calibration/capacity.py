"""
Whether a search for the highest rate keeps its word, on simulated queues of which the true answer is known, and what it costs.

    python -m suites.calibration.capacity [--replications 1000] [--queue M/G/8] [--load 0.7] [--requests 500] [--most 13500]

The limit is the p90 that the queue truly has at a load, of a run of 40 million requests with another seed: so the true capacity
is that load. Each search goes over rates from 5 % to 400 % of what all slots can answer, neighbours 5 % apart. Every look begins
with an empty queue, as a server at rest has one. What it costs is held against the full grid: the same looks at every rate, each
until it is sure or has had as many requests as it may; and against a grid of one fixed size, which is the last one's everywhere.

Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from heapq import heappop, heappush
from math import isfinite, isnan, sqrt
from typing import NamedTuple

import numpy as np
from scipy.signal import lfilter

from pytest_inferbench.objectives.capacity import Ask, Look, Search, levels_between, sizes_between
from pytest_inferbench.objectives.decide import Claim, Kind, decide
from pytest_inferbench.objectives.overload import outgrown
from pytest_inferbench.objectives.verdict import Outlook
from suites.calibration.pieces import truth_of
from suites.calibration.simulated_queues import QUEUES, Numbers, Queue, lognormal

SEED = 7
LOADS = (0.5, 0.7, 0.85)
LOWEST, HIGHEST, WITHIN = 0.05, 4.0, 0.05
PERCENT = 90.0
GENTLE = Queue(name="M/G/8, independent", servers=8, service=lognormal(0.6), likeness=0.0)
"""As most servers are: how long one answer takes has nothing to do with the one before."""
HEAD = (
    "queue",
    "true capacity",
    "holds the truth %",
    "bounded on both sides %",
    "median width (high / low)",
    "looks",
    "requests, median",
    "of the full grid's %",
    "of a fixed grid's %",
)


class Stay(NamedTuple):
    """When requests came and when they left, in order of arrival; in units of the mean time of service."""

    came: Numbers
    left: Numbers


def stay(queue: Queue, load: float, requests: int, random: np.random.Generator) -> Stay:
    """Requests of a queue that is empty at first."""
    came = np.cumsum(random.exponential(1 / (load * queue.servers), requests))
    shocks = random.standard_normal(requests)
    shocks[1:] *= sqrt(1 - queue.likeness**2)
    services = queue.service(np.asarray(lfilter([1.0], [1.0, -queue.likeness], shocks), dtype=np.float64))
    free, left = [0.0] * queue.servers, []
    for at, service in zip(came.tolist(), services.tolist(), strict=True):
        end = max(at, heappop(free)) + service
        heappush(free, end)
        left.append(end)
    return Stay(came=came, left=np.array(left))


def look_at(queue: Queue, ask: Ask, *, limit: float, confidence: float, random: np.random.Generator) -> Look:
    """One load at one level, judged as a case is: by its percentile, and by whether the queue outgrew it."""
    seen = stay(queue, ask.level, ask.requests, random)
    claim = Claim(kind=Kind.PERCENTILE, operator="<=", limit=limit, percent=PERCENT)
    decision = decide(claim, seen.left - seen.came, confidence=confidence)
    met = claim.met_by(decision.actual)
    outlook = decision.outlook
    if not met and outgrown(seen.came, seen.left, confidence=confidence):
        outlook = Outlook.FAIL
    return Look(level=ask.level, requests=ask.requests, outlook=outlook, leaning=Outlook.PASS if met else Outlook.FAIL)


def search(queue: Queue, limit: float, *, sizes: tuple[int, ...], random: np.random.Generator) -> Search:
    """A whole search."""
    levels = levels_between(LOWEST, HIGHEST, within=WITHIN, whole=False)
    found = Search(metric="max_rate", levels=levels, sizes=sizes, budget=len(levels) * sizes[-1] // 3)
    while (ask := found.next()) is not None:
        found.told(look_at(queue, ask, limit=limit, confidence=found.look_confidence, random=random))
    return found


def exhaustive(queue: Queue, limit: float, *, sizes: tuple[int, ...], random: np.random.Generator) -> int:
    """Requests of the same looks, each level of the grid until it is sure or has had as many as it may."""
    one = Search(metric="max_rate", levels=(1.0,), sizes=sizes, budget=0)
    used = 0
    for level in levels_between(LOWEST, HIGHEST, within=WITHIN, whole=False):
        for size in sizes:
            used += size
            ask = Ask(level=level, requests=size)
            look = look_at(queue, ask, limit=limit, confidence=one.look_confidence, random=random)
            if look.outlook is not Outlook.INCONCLUSIVE:
                break
    return used


def row(queue: Queue, load: float, *, replications: int, sizes: tuple[int, ...]) -> str:
    """One row of the table."""
    limit = truth_of(queue, load)[f"p{PERCENT:g}"]
    random = np.random.default_rng([SEED, round(1000 * load), queue.servers])
    found = [search(queue, limit, sizes=sizes, random=random).found for _ in range(replications)]
    whole = np.mean([exhaustive(queue, limit, sizes=sizes, random=random) for _ in range(max(1, replications // 50))])
    held = [(isnan(each.low) or each.low <= load) and load <= each.high and each.monotone for each in found]
    bounded = [each for each in found if not isnan(each.low) and isfinite(each.high)]
    width = np.median([each.high / each.low for each in bounded]) if bounded else np.nan
    used = np.array([each.requests_used for each in found])
    cells = (
        f"{100 * np.mean(held):.1f}",
        f"{100 * len(bounded) / len(found):.0f}",
        f"{width:.2f}",
        f"{np.mean([len(each.looks) for each in found]):.1f}",
        f"{np.median(used):,.0f}",
        f"{100 * np.median(used) / whole:.0f}",
        f"{100 * np.median(used) * sizes[0] / sizes[-1] / found[0].requests_of_grid:.0f}",
    )
    return f"| {queue.name} | {load} | {' | '.join(cells)} |"


def main(words: Sequence[str] | None = None) -> None:
    """Read what is asked and print the table, a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().partition("\n\n")[0])
    parser.add_argument("--replications", type=int, default=1000)
    parser.add_argument("--queue", default="", help="only queues whose name holds this")
    parser.add_argument("--load", action="append", type=float, help="only this true capacity")
    parser.add_argument("--requests", type=int, default=500, help="of a first look")
    parser.add_argument("--most", type=int, default=13_500, help="requests of one look")
    asked = parser.parse_args(words)
    sys.stdout.write(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}\n")
    for queue in (GENTLE, *QUEUES):
        for load in LOADS:
            if asked.queue in queue.name and load in (asked.load or LOADS):
                sizes = sizes_between(asked.requests, asked.most)
                sys.stdout.write(row(queue, load, replications=asked.replications, sizes=sizes) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()

"""
How full eight GPUs get: 200 cases over 24 servers, through the scheduler, on a clock that jumps.

Run it: ``python -m tests.benchmarks.packing [--seeds 100] [--workers 8]`` from the repository's root. A session's length, from
when its workers have collected, is shown over its lower bound: all GPU-seconds over eight, or the longest server with its cases,
whichever is longer. Estimates are exact in the first row, and off by up to 30 % in the second, each start and each case by its
own amount; the bound is then that of what they take in truth.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from xdist.remote import Producer

from pytest_inferbench.grouping import Member, write_groups
from pytest_inferbench.scheduling import ServerScheduling
from tests.simulated_xdist import COLLECTED_S, World, random_suite

GPUS = 8
LIMIT = 1.10


def ratio(seed: int, *, share: float, workers: int) -> float:
    """Length of one session over its lower bound; an error where a rule was broken."""
    suite = random_suite(seed)
    truth = _truth(suite, random.Random(seed), share)  # noqa: S311 - the same seed must give the same session
    world = World(suite=suite, actual_s=truth, workers=workers)
    with tempfile.TemporaryDirectory() as folder:
        write_groups(Path(folder), suite)
        log = Producer("packing", enabled=False)
        world.run(ServerScheduling(world.config, log, folder=Path(folder), capacity={"h100": GPUS}, clock=world.clock))
    if set(world.starts.values()) != {1} or world.done != dict.fromkeys(suite, 1) or world.devices_max > GPUS:
        raise AssertionError(f"seed {seed}: starts {world.starts}, {world.devices_max} GPUs, {len(world.done)} cases")
    return (world.measured_s - COLLECTED_S) / _bound_s(suite, truth)


def _truth(suite: Mapping[str, Member], draw: random.Random, share: float) -> dict[str, float]:
    startups_s = {member.server: member.startup_s for member in suite.values()}
    estimated_s = {nodeid: member.case_s for nodeid, member in suite.items()} | startups_s
    return {name: seconds * draw.uniform(1 - share, 1 + share) for name, seconds in estimated_s.items()}


def _bound_s(suite: Mapping[str, Member], truth: Mapping[str, float]) -> float:
    """Worked out here anew, so that the table does not hang on what it judges."""
    lengths_s = {member.server: truth[member.server] for member in suite.values()}
    for nodeid, member in suite.items():
        lengths_s[member.server] += truth[nodeid]
    gpus = {member.server: member.devices for member in suite.values()}
    return max(*lengths_s.values(), sum(gpus[server] * seconds for server, seconds in lengths_s.items()) / GPUS)


def _row(name: str, ratios: Sequence[float]) -> str:
    ordered = sorted(ratios)
    p95 = ordered[max(0, -(-95 * len(ordered) // 100) - 1)]
    within = sum(one <= LIMIT for one in ordered)
    figures = f"{statistics.median(ordered):8.3f}{p95:8.3f}{ordered[-1]:8.3f}"
    return f"{name:<22}{figures}{within:>9} of {len(ordered)}\n"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--workers", type=int, default=GPUS)
    wanted = parser.parse_args()
    sys.stdout.write(f"{'length over bound':<22}{'median':>8}{'p95':>8}{'max':>8}{'at most 1.10':>17}\n")
    for name, share in {"estimates exact": 0.0, "off by up to 30 %": 0.3}.items():
        sys.stdout.write(_row(name, [ratio(seed, share=share, workers=wanted.workers) for seed in range(wanted.seeds)]))


if __name__ == "__main__":
    main()

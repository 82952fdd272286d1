"""
How often A/B comparisons in blocks are wrong and right, on simulated queues whose speed drifts while they are measured.

    python -m suites.calibration.paired [REPLICATIONS]

Prints the table of docs/ab.md. A run is 200 requests (after 50 that are not counted) of an M/G/8 queue, as in `gates`: tokens
that depend on those before, prefills with a heavy tail, and a speed of each run's own (the noise). Beside that the machine
drifts: every run's speed is multiplied by that of its instant, alike for both sides. Both tests see the same runs: the one by
blocks, and the one that takes all runs of a side as repeats of each other.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from pytest_inferbench.ab import Side, plan
from pytest_inferbench.objectives.gates import NOISE, Change, Comparison, Figure, Pair
from pytest_inferbench.objectives.paired import compare_blocks
from pytest_inferbench.objectives.tolerance import Tolerance, parse_fail_on
from suites.calibration.gates import (
    CORRELATION,
    DEVIATION,
    LOAD,
    PREFILL_MS,
    PREFILL_SIGMA,
    REQUESTS,
    SERVERS,
    TOKEN_MS,
    TOKENS,
    WARMUP,
)

Values = NDArray[np.float64]

REPLICATIONS = 2000
FAIL_ON = "tpot_p50:5%,ttft_p50:10%,output_throughput:5%"
BLOCKS = 4
SIZE = 0.1
"""How far the machine drifts from the first run to the last, as a share of its speed."""


def _none(random: np.random.Generator, rows: int, runs: int) -> Values:
    del random
    return np.zeros((rows, runs))


def _even(random: np.random.Generator, rows: int, runs: int) -> Values:
    """A machine that warms up, or clears: the same way throughout."""
    signs = np.where(random.random((rows, 1)) < 0.5, -SIZE, SIZE)
    drift: Values = signs * np.linspace(0, 1, runs)
    return drift


def _warming(random: np.random.Generator, rows: int, runs: int) -> Values:
    """Fast at first, and then less and less so: e-fold within a fifth of the session."""
    del random
    return np.tile(SIZE * (1 - np.exp(-5 * np.linspace(0, 1, runs))), (rows, 1))


def _walk(random: np.random.Generator, rows: int, runs: int) -> Values:
    """Neighbours that come and go: a random walk, with a standard deviation of the size at its end."""
    steps: Values = random.standard_normal((rows, runs)) * SIZE / np.sqrt(runs)
    return np.asarray(np.cumsum(steps, axis=1), dtype=np.float64)


def _jump(random: np.random.Generator, rows: int, runs: int) -> Values:
    """A neighbour that comes between two runs, and stays."""
    return np.where(np.arange(runs) >= random.integers(1, runs, (rows, 1)), SIZE, 0.0)


DRIFTS: Mapping[str, Callable[[np.random.Generator, int, int], Values]] = {
    "none": _none,
    "even": _even,
    "warming up": _warming,
    "random walk": _walk,
    "one jump": _jump,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One row: blocks, how much slower B's token really is, the noise of each run, how the machine drifts, what is compared."""

    blocks: int
    slowdown: float = 1.0
    noise: float = 0.01
    drift: str = "none"
    fail_on: str = FAIL_ON


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Of one test, shares of replications: any regression called, and each change of TPOT."""

    any_regression: float
    tpot: dict[Change, float]


def scenarios() -> list[Scenario]:
    """Several numbers of blocks without drift and with an even one; each drift at the number that is measured unless told."""
    both = (1.0, 1.1)
    found = [Scenario(blocks=n, slowdown=slow, drift=drift) for drift in ("none", "even") for slow in both for n in (3, 4, 5)]
    found += [Scenario(blocks=BLOCKS, slowdown=slow, drift=drift) for drift in list(DRIFTS)[2:] for slow in both]
    found += [Scenario(blocks=n, slowdown=slow, noise=0.03, drift="even") for slow in both for n in (3, 4, 5)]
    alone = "tpot_p50:3%"
    few = [(slow, drift) for drift in ("even", "one jump") for slow in (1.0, 1.05)]
    return [*found, *(Scenario(blocks=BLOCKS, slowdown=slow, drift=drift, fail_on=alone) for slow, drift in few)]


def measure(scenario: Scenario, replications: int, seed: int) -> tuple[Rates, Rates]:
    """What the test by blocks says, and the pooled one, of so many sessions."""
    random = np.random.default_rng(seed)
    slots = plan(scenario.blocks)
    slower = np.array([scenario.slowdown if slot.side is Side.B else 1.0 for slot in slots])
    drift = DRIFTS[scenario.drift](random, replications, len(slots))
    noise = scenario.noise * random.standard_normal(drift.shape)
    figures = simulate(random, (slower * np.exp(noise + drift)).ravel())
    tolerances = parse_fail_on(scenario.fail_on)
    sides = {side: [i for i, slot in enumerate(slots) if slot.side is side] for side in Side}
    shaped = {name: values.reshape(drift.shape) for name, values in figures.items()}
    found = [
        compare_blocks([_pair(each, shaped[each.name][row], sides) for each in tolerances], noise=NOISE)
        for row in range(replications)
    ]
    return (
        _rates([[each.decided for each in every] for every in found]),
        _rates([[each.pooled for each in every] for every in found]),
    )


def simulate(random: np.random.Generator, slowness: Values) -> dict[str, Values]:
    """Figures of one run for each slowness: what a token and a prefill take longer; arrivals do not wait for it."""
    shape = (len(slowness), REQUESTS + WARMUP)
    fresh = random.standard_normal(shape)
    fresh[:, 0] /= np.sqrt(1 - CORRELATION**2)  # so that the first one varies as the others do
    alike = lfilter([np.sqrt(1 - CORRELATION**2)], [1, -CORRELATION], fresh, axis=1)
    token_ms = TOKEN_MS * slowness[:, None] * np.exp(DEVIATION * alike)
    heavy = np.exp(PREFILL_SIGMA * random.standard_normal(shape) - PREFILL_SIGMA**2 / 2)
    prefill_ms = PREFILL_MS * slowness[:, None] * heavy
    gap_ms = (PREFILL_MS + TOKEN_MS * (TOKENS - 1)) / SERVERS / LOAD
    arrival_ms = np.cumsum(random.exponential(gap_ms, shape), axis=1)
    service_ms = prefill_ms + token_ms * (TOKENS - 1)
    wait_ms = _waits(arrival_ms, service_ms)
    end_ms = (arrival_ms + wait_ms + service_ms)[:, WARMUP:]
    return {
        "tpot_p50": np.median(token_ms[:, WARMUP:], axis=1),
        "ttft_p50": np.median((wait_ms + prefill_ms)[:, WARMUP:], axis=1),
        "output_throughput": REQUESTS * TOKENS * 1e3 / (end_ms.max(axis=1) - arrival_ms[:, WARMUP]),
    }


def _waits(arrival_ms: Values, service_ms: Values) -> Values:
    """
    How long each request of a first-come queue waits, all runs at once.

    W(n + 1) = sort(max(W(n) + S(n) e1 - T(n), 0)), Kiefer and Wolfowitz, Trans. AMS 78, 1955: the work before each server.
    """
    work = np.zeros((len(arrival_ms), SERVERS))
    gaps_ms = np.diff(arrival_ms, axis=1, append=arrival_ms[:, -1:])
    waits = np.empty_like(arrival_ms)
    for i in range(arrival_ms.shape[1]):
        waits[:, i] = work[:, 0]
        work[:, 0] += service_ms[:, i]
        work = np.sort(np.maximum(work - gaps_ms[:, i : i + 1], 0), axis=1)
    return waits


def _pair(tolerance: Tolerance, runs: Values, sides: Mapping[Side, list[int]]) -> Pair:
    a, b = (Figure(runs=tuple(float(runs[i]) for i in sides[side])) for side in Side)
    return Pair(case_id="queue", tolerance=tolerance, old=a, new=b)


def _rates(found: Sequence[Sequence[Comparison]]) -> Rates:
    tpot = [next(each for each in every if each.tolerance.metric == "tpot") for every in found]
    return Rates(
        any_regression=_share([any(each.change is Change.REGRESSION for each in every) for every in found]),
        tpot={change: _share([each.change is change for each in tpot]) for change in Change},
    )


def _share(found: Sequence[bool]) -> float:
    return sum(found) / len(found)


def row(scenario: Scenario, blocks: Rates, pooled: Rates) -> str:
    """One line of the table, rates in percent: by blocks, and pooled in brackets."""
    slower = "nothing" if scenario.slowdown == 1 else f"{scenario.slowdown - 1:.0%}"
    figures = str(len(parse_fail_on(scenario.fail_on)))
    told = [f"{blocks.any_regression:.1%} ({pooled.any_regression:.1%})"]
    told += [
        f"{blocks.tpot[change]:.1%} ({pooled.tpot[change]:.1%})"
        for change in (Change.REGRESSION, Change.NO_CHANGE, Change.CANNOT_TELL)
    ]
    return f"| {' | '.join([slower, str(scenario.blocks), f'{scenario.noise:.0%}', scenario.drift, figures, *told])} |"


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    replications = int(arguments[0]) if arguments else REPLICATIONS
    heads = ["B truly slower", "blocks", "noise", "drift", "figures"]
    heads += ["any regression", "TPOT: regression", "no change", "cannot tell"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [row(each, *measure(each, replications, seed)) for seed, each in enumerate(scenarios())]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])

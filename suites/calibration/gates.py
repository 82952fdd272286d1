"""
How often regression gates are wrong and right, on simulated queues whose truth is known.

    python suites/calibration/gates.py [REPLICATIONS]

Prints the table of docs/gates.md. A run is 200 requests (after 50 that are not counted) of an M/G/8 queue at a load of 0.6. The
time of a token follows a first-order autoregressive process from request to request (correlation 0.9, deviation 5 %), prefills
are log-normal with a heavy tail, and every run has a speed of its own: the noise between runs. The gate sees what it sees of a
real run: one figure a run and metric, and the errors of blocks within it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.objectives.gates import Change, Figure, Pair, compare
from pytest_inferbench.objectives.tolerance import Tolerance, parse_fail_on
from pytest_inferbench.records.block_errors import BLOCKS

Values = NDArray[np.float64]

REPLICATIONS = 2000
REQUESTS, WARMUP, SERVERS, LOAD = 200, 50, 8, 0.6
TOKENS, TOKEN_MS, PREFILL_MS = 128, 10.0, 60.0
CORRELATION, DEVIATION, PREFILL_SIGMA = 0.9, 0.05, 0.8
FAIL_ON = "tpot_p50:5%,output_throughput:5%,ttft_p99:30%"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """
    One row: runs on each side, how much slower a token really is, the noise between runs and its shape (``normal``, or
    ``heavy``: Student's t with 4 degrees of freedom, of the same deviation), and what is gated.
    """

    before: int
    after: int
    slowdown: float = 1.0
    noise: float = 0.03
    shape: str = "normal"
    fail_on: str = FAIL_ON


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Shares of replications: any regression called; of TPOT: each change; and what the stricter rule would have found."""

    any_regression: float
    tpot: dict[Change, float]
    strict: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Figures of many runs by name: a value and an error (NaN where none is known) for each."""

    values: dict[str, Values]
    errors: dict[str, Values]


def scenarios() -> list[Scenario]:
    """What is asked: nothing changed, and a token that takes 10 % longer, at several numbers of runs."""
    both = [(6, 6), (5, 5), (3, 3), (2, 2), (5, 1), (1, 1)]
    one = "tpot_p50:5%"
    found = [Scenario(before=m, after=n, slowdown=slow) for slow in (1.0, 1.1) for m, n in both]
    found += [Scenario(before=5, after=5, slowdown=slow, fail_on=one) for slow in (1.0, 1.05, 1.1)]
    found += [Scenario(before=5, after=5, slowdown=slow, shape="heavy") for slow in (1.0, 1.1)]
    found += [Scenario(before=5, after=5, slowdown=slow, noise=0.06) for slow in (1.0, 1.1)]
    return [*found, Scenario(before=1, after=1, noise=0.06)]


def measure(scenario: Scenario, replications: int, seed: int) -> Rates:
    """Gate ``replications`` pairs of sets of runs that are drawn anew each."""
    random = np.random.default_rng(seed)
    before = simulate(random, replications * scenario.before, scenario, slowdown=1.0)
    after = simulate(random, replications * scenario.after, scenario, slowdown=scenario.slowdown)
    tolerances = parse_fail_on(scenario.fail_on)
    found = [compare(_pairs(tolerances, (before, after), scenario, i)) for i in range(replications)]
    tpot = [next(each for each in every if each.tolerance.metric == "tpot") for every in found]
    return Rates(
        any_regression=_share([any(each.change is Change.REGRESSION for each in every) for every in found]),
        tpot={change: _share([each.change is change for each in tpot]) for change in Change},
        strict=_share([each.change is Change.REGRESSION and each.surely_beyond for each in tpot]),
    )


def simulate(random: np.random.Generator, runs: int, scenario: Scenario, *, slowdown: float) -> Runs:
    """Figures of so many runs of one queue."""
    total = REQUESTS + WARMUP
    speed = np.exp(scenario.noise * _shocks(random, runs, scenario.shape))[:, None] * slowdown
    token_ms = TOKEN_MS * speed * np.exp(DEVIATION * _correlated(random, runs, total))
    heavy = np.exp(PREFILL_SIGMA * random.standard_normal((runs, total)) - PREFILL_SIGMA**2 / 2)
    prefill_ms = PREFILL_MS * speed * heavy
    # Arrivals do not slow down with the server.
    gap_ms = (PREFILL_MS + TOKEN_MS * (TOKENS - 1)) / SERVERS / LOAD
    arrival_ms = np.cumsum(random.exponential(gap_ms, (runs, total)), axis=1)
    start_ms = _starts(arrival_ms, prefill_ms + token_ms * (TOKENS - 1))
    ttft_ms, tpot_ms = (start_ms - arrival_ms + prefill_ms)[:, WARMUP:], token_ms[:, WARMUP:]
    end_ms = (start_ms + prefill_ms + token_ms * (TOKENS - 1))[:, WARMUP:]
    window_s = (end_ms.max(axis=1) - arrival_ms[:, WARMUP]) / 1e3
    values = {
        "tpot_p50": np.percentile(tpot_ms, 50, axis=1),
        "ttft_p99": np.percentile(ttft_ms, 99, axis=1),
        "output_throughput": REQUESTS * TOKENS / window_s,
    }
    errors = {
        "tpot_p50": _block_errors(tpot_ms, 50) / values["tpot_p50"],
        # Too few requests for the one, and an open loop has none for the other: as in records/block_errors.py.
        "ttft_p99": np.full(runs, np.nan),
        "output_throughput": np.full(runs, np.nan),
    }
    return Runs(values=values, errors=errors)


def _starts(arrival_ms: Values, service_ms: Values) -> Values:
    """When each request of a first-come queue begins (Kiefer and Wolfowitz), all runs at once."""
    free_ms = np.zeros((len(arrival_ms), SERVERS))
    start_ms = np.empty_like(arrival_ms)
    for i in range(arrival_ms.shape[1]):
        first = free_ms.argmin(axis=1)[:, None]
        begun = np.maximum(np.take_along_axis(free_ms, first, axis=1)[:, 0], arrival_ms[:, i])
        np.put_along_axis(free_ms, first, (begun + service_ms[:, i])[:, None], axis=1)
        start_ms[:, i] = begun
    return start_ms


def _correlated(random: np.random.Generator, runs: int, total: int) -> Values:
    fresh = random.standard_normal((runs, total))
    values = np.empty_like(fresh)
    values[:, 0] = fresh[:, 0]
    for i in range(1, total):
        values[:, i] = CORRELATION * values[:, i - 1] + np.sqrt(1 - CORRELATION**2) * fresh[:, i]
    return values


def _shocks(random: np.random.Generator, runs: int, shape: str) -> Values:
    """One a run, of variance 1."""
    return random.standard_t(4, runs) / np.sqrt(2) if shape == "heavy" else random.standard_normal(runs)


def _block_errors(samples: Values, percent: float) -> Values:
    blocks = np.percentile(samples.reshape(len(samples), BLOCKS, -1), percent, axis=2)
    errors: Values = blocks.std(axis=1, ddof=1) / np.sqrt(BLOCKS)
    return errors


def _pairs(tolerances: Sequence[Tolerance], sides: tuple[Runs, Runs], scenario: Scenario, i: int) -> list[Pair]:
    counts = (scenario.before, scenario.after)
    found = []
    for each in tolerances:
        old, new = (_figure(side, each.name, slice(i * n, (i + 1) * n)) for side, n in zip(sides, counts, strict=True))
        found.append(Pair(case_id="queue", tolerance=each, old=old, new=new))
    return found


def _figure(side: Runs, name: str, rows: slice) -> Figure:
    errors = side.errors[name][rows]
    within = tuple(None if np.isnan(error) else float(error) for error in errors)
    return Figure(runs=tuple(float(value) for value in side.values[name][rows]), within=within)


def _share(found: Sequence[bool]) -> float:
    return sum(found) / len(found)


def row(scenario: Scenario, rates: Rates) -> str:
    """One line of the table, rates in percent."""
    runs = f"{scenario.before} and {scenario.after}"
    noise = f"{scenario.noise:.0%}" + (" heavy-tailed" if scenario.shape == "heavy" else "")
    gated = str(len(parse_fail_on(scenario.fail_on)))
    changes = [f"{rates.tpot[change]:.1%}" for change in (Change.REGRESSION, Change.NO_CHANGE, Change.CANNOT_TELL)]
    slower = "nothing" if scenario.slowdown == 1 else f"{scenario.slowdown - 1:.0%}"
    return f"| {' | '.join([slower, runs, noise, gated, f'{rates.any_regression:.1%}', *changes, f'{rates.strict:.1%}'])} |"


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    replications = int(arguments[0]) if arguments else REPLICATIONS
    heads = [
        "truly slower",
        "runs",
        "noise",
        "figures",
        "any regression",
        "TPOT: regression",
        "no change",
        "cannot tell",
        "strict",
    ]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [row(each, measure(each, replications, seed)) for seed, each in enumerate(scenarios())]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])

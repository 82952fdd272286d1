"""How many tokens: lengths drawn from the distributions of a traffic."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pytest_inferbench.cases.case import Lengths, Traffic


class Pair(NamedTuple):
    """Tokens of a prompt and of its answer; ``hash_ids`` of the prompt's blocks, where a trace has them (`blocks`)."""

    input_tokens: int
    output_tokens: int
    hash_ids: tuple[int, ...] = ()


def pairs(traffic: Traffic, rng: np.random.Generator) -> Iterator[Pair]:
    """Lengths without end: drawn ones are never below 1 token in and 2 out, as in genai-bench; fixed ones are as they are."""
    while True:
        tokens = draw(traffic.input_tokens, rng, least=1)
        yield Pair(tokens, draw(traffic.output_tokens, rng, least=2))


def draw(lengths: Lengths, rng: np.random.Generator, *, least: int) -> int:
    """One length: a drawn one is cut to a whole number and is never below ``least``; a fixed or listed one is as it is."""
    match lengths.kind:
        case "fixed":
            return lengths.first
        case "choice":
            return lengths.choices[int(rng.integers(0, len(lengths.choices)))]
        case "normal":
            return max(least, int(rng.normal(lengths.first, lengths.second)))
        case "lognormal":
            return max(least, int(rng.lognormal(*_of_logarithm(lengths.first, lengths.second))))
        case "uniform":
            return max(least, int(rng.uniform(lengths.first, lengths.second)))
        case "trace":
            raise ValueError("the lengths of a trace stand in its file")


def _of_logarithm(mean: float, deviation: float) -> tuple[float, float]:
    """
    Mean and standard deviation of the logarithm of a log-normal quantity with this mean and standard deviation.

    sigma^2 = ln(1 + deviation^2 / mean^2); mu = ln(mean) - sigma^2 / 2
    """
    variance = math.log1p((deviation / mean) ** 2)
    return math.log(mean) - variance / 2, math.sqrt(variance)

"""
What a metric is: a name, a unit, a formula, and the function that computes it.

Rule: a metric's function is pure NumPy over `Traces` or `Totals`; it reads no clock, and only requests that completed enter a
figure. What a request that did not complete means for an objective is decided in the objectives stage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.load.trace import Traces
from pytest_inferbench.metrics.totals import Totals

Samples = NDArray[np.float64]
Mask = NDArray[np.bool_]

# How a unit is spelled at the end of a column's name: ttft_ms, output_throughput_tokens_per_s, error_rate.
_UNIT_IN_NAMES = {"ms": "_ms", "tok/s": "_tokens_per_s", "req/s": "_requests_per_s", "s": "_s", "users": "_users", "1": ""}


class Better(StrEnum):
    """Which direction is better for the people who wait."""

    SMALLER = "smaller"
    BIGGER = "bigger"


class Kind(StrEnum):
    """What one value of a metric belongs to."""

    PER_REQUEST = "latency per request"
    PER_TOKEN = "latency per token"  # noqa: S105 - tokens of text
    PER_EVENT = "latency per event"
    THROUGHPUT = "throughput"
    RATIO = "ratio"
    LENGTH = "length of time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """
    The definition of a metric.

    ``unit`` is a unit of `pytest_inferbench.units` (``1`` for a ratio), ``title`` the name in words, ``formula`` what is
    computed, in the names of `Traces`.
    """

    name: str
    title: str
    unit: str
    formula: str
    better: Better
    kind: Kind

    @property
    def column(self) -> str:
        """The name with its unit, as in tables and messages: ``ttft_ms``, ``output_throughput_tokens_per_s``."""
        return self.name + _UNIT_IN_NAMES[self.unit]


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(Metric):
    """
    A metric with a value for each request, token or event: summarised as a distribution.

    ``has`` says which requests have a value; of a latency per request those are its values, in their order. ``of_stream``: only
    an answer that comes event by event has it; a whole one has an end and nothing before.
    """

    compute: Callable[[Traces], Samples]
    has: Callable[[Traces], Mask]
    of_stream: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar(Metric):
    """
    A metric that is one number for a case.

    ``of_output``: it is about the tokens of answers, and has no meaning where an API makes none.
    """

    compute: Callable[[Totals], float]
    of_output: bool = False

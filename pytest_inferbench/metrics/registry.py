"""
Every metric there is.

Rule: a new metric is one new definition and one line here; nothing else lists metrics by name.
"""

from __future__ import annotations

from difflib import get_close_matches

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.load.trace import Traces
from pytest_inferbench.metrics.capacity import SEARCHED
from pytest_inferbench.metrics.end_to_end import E2E, E2E_FROM_SEND
from pytest_inferbench.metrics.error_rate import ERROR_RATE
from pytest_inferbench.metrics.first_token import TTFT, TTFT_CONTENT, TTFT_FROM_SEND, TTFT_REASONING, TTFT_TOOL
from pytest_inferbench.metrics.goodput import GOODPUT
from pytest_inferbench.metrics.inter_token import INTER_CHUNK, ITL
from pytest_inferbench.metrics.metric import Latency, Metric, Samples, Scalar
from pytest_inferbench.metrics.output_token import TPOT
from pytest_inferbench.metrics.steady_output import STEADY_OUTPUT_THROUGHPUT, STEADY_WINDOW
from pytest_inferbench.metrics.throughput import INPUT_THROUGHPUT, OUTPUT_THROUGHPUT, REQUEST_THROUGHPUT, TOTAL_THROUGHPUT

LATENCIES: tuple[Latency, ...] = (
    TTFT,
    TPOT,
    ITL,
    E2E,
    INTER_CHUNK,
    TTFT_FROM_SEND,
    E2E_FROM_SEND,
    TTFT_CONTENT,
    TTFT_REASONING,
    TTFT_TOOL,
)
SCALARS: tuple[Scalar, ...] = (
    REQUEST_THROUGHPUT,
    INPUT_THROUGHPUT,
    OUTPUT_THROUGHPUT,
    TOTAL_THROUGHPUT,
    GOODPUT,
    ERROR_RATE,
    STEADY_OUTPUT_THROUGHPUT,
    STEADY_WINDOW,
)
# Those of a search are figures of many loads: no load is summarised by them.
_ALL: tuple[Latency | Scalar, ...] = (*LATENCIES, *SCALARS, *SEARCHED.values())
METRICS: dict[str, Latency | Scalar] = {each.name: each for each in _ALL}


def metric(name: str) -> Latency | Scalar:
    """
    The metric of this name.

    Raises:
        ConfigError: there is none; names the nearest ones.
    """
    found = METRICS.get(name)
    if found is None:
        near = get_close_matches(name.lower(), METRICS, n=3, cutoff=0.5)
        advice = f"did you mean {' or '.join(near)}?" if near else f"metrics: {', '.join(METRICS)}"
        raise ConfigError(f"{name!r} is not a metric; {advice}")
    return found


def samples(latency: Latency, traces: Traces) -> Samples:
    """One value a completed request (or token, or event) that has the metric, in the metric's unit."""
    return latency.compute(traces)


def definitions() -> dict[str, dict[str, str]]:
    """Name, unit, formula, direction and kind of every metric, as plain text for records."""
    return {name: _definition(each) for name, each in METRICS.items()}


def _definition(each: Metric) -> dict[str, str]:
    return {"title": each.title, "unit": each.unit, "formula": each.formula, "better": each.better.value, "kind": each.kind.value}

"""Whether an objective can be held against what an API answers at all; asked before anything starts."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.load.api import Api
from pytest_inferbench.metrics.metric import Latency
from pytest_inferbench.metrics.registry import METRICS
from pytest_inferbench.objectives.verdict import Objective


def refuse_unmeasurable(objectives: Sequence[Objective], api: Api, *, file: str | None = None) -> None:
    """
    Nothing, where every objective is on something that answers of the API have.

    Raises:
        ConfigError: one is not; says what to write in its place.
    """
    for objective in objectives:
        problem = _problem(objective, api)
        if problem:
            raise ConfigError(f"{objective.text!r}: {problem}", file=file, field="slo")


def _problem(objective: Objective, api: Api) -> str:
    metric = METRICS[objective.metric]
    if not isinstance(metric, Latency):
        idle = metric.of_output and not api.makes_tokens
        return f"the api {api.name!r} makes no tokens; write an objective on request_throughput" if idle else ""
    if api.stream or not metric.of_stream:
        return ""
    whose = "that are not streamed" if api.makes_tokens else f"of the api {api.name!r}"
    return f"answers {whose} come whole and have no {metric.title}; write an objective on e2e"

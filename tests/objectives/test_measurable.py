"""An objective on what an API never answers is refused before anything starts."""

from __future__ import annotations

import re

import pytest

from pytest_inferbench.cases.case import ApiOptions
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.load.api import Api, api_named
from pytest_inferbench.metrics.metric import Latency
from pytest_inferbench.metrics.registry import METRICS
from pytest_inferbench.objectives.measurable import refuse_unmeasurable
from pytest_inferbench.objectives.slo import parse_objectives

STREAMED = api_named("chat")
WHOLE = api_named("chat", ApiOptions(stream=False))
EMBEDDINGS = api_named("embeddings")
EVERY = [
    f"{name}_p99 <= 1ms" if isinstance(metric, Latency) else f"{name} {'<=' if name == 'error_rate' else '>='} 0.1"
    for name, metric in METRICS.items()
]


def refused(api: Api) -> set[str]:
    """The metrics on which an objective is refused."""
    names = set()
    for objective in parse_objectives(EVERY):
        try:
            refuse_unmeasurable([objective], api)
        except ConfigError:
            names.add(objective.metric)
    return names


def test_a_streamed_answer_has_everything() -> None:
    refuse_unmeasurable(parse_objectives(EVERY), STREAMED)


def test_a_whole_answer_has_an_end_and_throughput() -> None:
    assert set(METRICS) - refused(WHOLE) == {
        "e2e",
        "e2e_from_send",
        "request_throughput",
        "input_throughput",
        "output_throughput",
        "total_throughput",
        "goodput",
        "error_rate",
        "steady_output_throughput",
        "steady_window",
        "max_rate",
        "max_concurrency",
    }
    assert refused(EMBEDDINGS) == refused(WHOLE) | {"output_throughput", "steady_output_throughput"}


@pytest.mark.parametrize(
    ("api", "text", "problem"),
    [
        (
            WHOLE,
            "ttft_p99 <= 500ms",
            "b.yaml: slo: 'ttft_p99 <= 500ms': answers that are not streamed come whole and have no time to first token; write",
        ),
        (EMBEDDINGS, "tpot_p50 <= 5ms", "answers of the api 'embeddings' come whole and have no time per output token; write"),
        (EMBEDDINGS, "output_throughput >= 5", "the api 'embeddings' makes no tokens; write an objective on request_throughput"),
    ],
)
def test_what_is_refused_is_told_with_what_to_write_instead(api: Api, text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(problem)):
        refuse_unmeasurable(parse_objectives([text]), api, file="b.yaml")

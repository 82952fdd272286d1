"""Figures of a search are known by name, and no single load has them."""

from __future__ import annotations

from math import isnan

import pytest

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.metrics.capacity import SEARCHED
from pytest_inferbench.metrics.registry import METRICS
from pytest_inferbench.metrics.summarise import summarise
from pytest_inferbench.metrics.totals import total
from pytest_inferbench.objectives.slo import parse_objective
from tests.traces import streamed, traces_of


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("max_rate >= 40 req/s", "max_rate >= 40 req/s"),
        ("max_rate>=40", "max_rate >= 40 req/s"),
        ("max_concurrency >= 16", "max_concurrency >= 16 users"),
        ("max_concurrency > 1 user", "max_concurrency > 1 users"),
    ],
)
def test_objectives_are_written_as_on_any_other_figure(text: str, canonical: str) -> None:
    objective = parse_objective(text)
    assert objective.text == canonical
    assert parse_objective(objective.text) == objective


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("max_rate <= 40 req/s", "this would pass a slow server and fail a fast one; write max_rate >= 40 req/s"),
        ("max_rate_p99 >= 40", "max_rate is one number and has no p99; write max_rate"),
        ("max_concurrency >= 16 req/s", "'16 req/s' is a request rate, but a number of users belongs here"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        parse_objective(text)


def test_no_load_is_summarised_by_them() -> None:
    traces = traces_of([streamed()])
    assert not SEARCHED.keys() & summarise(traces).scalars.keys()
    assert all(isnan(each.compute(total(traces, good=1))) for each in SEARCHED.values())


def test_columns_name_their_units() -> None:
    assert [METRICS[name].column for name in SEARCHED] == ["max_rate_requests_per_s", "max_concurrency_users"]

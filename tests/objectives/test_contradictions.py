"""Objectives that cannot stand beside each other are refused before anything starts."""

from __future__ import annotations

import pytest

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.objectives.contradictions import refuse_contradictions
from pytest_inferbench.objectives.slo import parse_objectives


@pytest.mark.parametrize(
    ("slo", "words"),
    [
        (("ttft_p99 <= 1s", "ttft_p99 <= 2s"), "'ttft_p99 <= 1000ms' and 'ttft_p99 <= 2000ms' are two limits on one figure"),
        (("goodput >= 1", "goodput >= 2"), "two limits on one figure; keep one"),
        (("ttft_p99 <= 1s", "ttft_p50 <= 2s"), "a p50 is at most the p99; is one of the limits a slip"),
        (("e2e_max <= 1s", "e2e_p90 <= 2s"), "a p90 is at most the max"),
        (("goodput >= 12",), "cannot be met: the load sends 10 req/s, and no server completes more than is sent"),
        (("request_throughput >= 10.5",), "raise the rate, or lower the limit"),
    ],
)
def test_what_contradicts_itself_is_named(slo: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        refuse_contradictions(parse_objectives(slo), rate_per_s=10, file="a.bench.yaml")
    assert (caught.value.file, caught.value.field) == ("a.bench.yaml", "slo")


@pytest.mark.parametrize(
    "slo",
    [
        (),
        ("ttft_p99 <= 1s", "ttft_p99 <= 1s"),
        ("ttft_p50 <= 1s", "ttft_p99 <= 2s", "ttft_mean <= 5s", "tpot_p50 <= 9s"),
        ("goodput >= 10", "request_throughput >= 9", "output_throughput >= 1000"),
    ],
)
def test_what_can_stand_side_by_side_is_let_through(slo: tuple[str, ...]) -> None:
    refuse_contradictions(parse_objectives(slo), rate_per_s=10)


def test_a_closed_loop_sends_as_much_as_is_answered() -> None:
    refuse_contradictions(parse_objectives(["goodput >= 1000"]))

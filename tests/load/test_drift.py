"""Counts of the server held against what was asked for: what is put around every prompt is no drift, anything else is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pytest_inferbench.cases.case import Images, Traffic
from pytest_inferbench.load.drift import PromptDrift, output_shares, prompt_drift
from pytest_inferbench.load.trace import MISSING, Traces
from tests.load.cases import case_of
from tests.traces import MS, Row, lost, streamed, traces_of

CASE = case_of()


def counted(pairs: list[tuple[int, int]]) -> Traces:
    """Requests of so many prompt tokens asked for, and so many by the server."""
    rows = [Row(prompt_tokens=by_server, events=((MS, 1),)) for _, by_server in pairs]
    return replace(traces_of(rows), prompt_tokens_asked=np.array([asked for asked, _ in pairs]))


def drift(pairs: list[tuple[int, int]], **traffic: Any) -> PromptDrift | None:
    case = replace(CASE, api=traffic.pop("api", "chat"), traffic=replace(CASE.traffic, **traffic))
    return prompt_drift(case, counted(pairs), np.ones(len(pairs), dtype=np.bool_))


def test_what_a_template_puts_around_every_prompt_is_the_median() -> None:
    found = drift([(100, 131), (200, 231), (300, 332)])
    assert found == PromptDrift(overhead_tokens=31.0, overhead_tokens_max=256, off_share=0.0)


def test_a_count_that_grows_with_the_prompt_is_off() -> None:
    found = drift([(100, 125), (200, 250), (400, 500), (800, 1000)])
    assert found is not None
    assert found.off_share == 1.0


def test_long_prompts_may_be_off_by_a_share_and_short_ones_by_two_tokens() -> None:
    found = drift([(100, 100), (100, 102), (1000, 1020), (100, 103), (1000, 1021)])
    assert found is not None
    assert found.overhead_tokens == 3.0
    assert drift([(100, 100)] * 3 + [(100, 102), (1000, 1020)]) == PromptDrift(
        overhead_tokens=0.0, overhead_tokens_max=256, off_share=0.0
    )
    off = drift([(100, 100)] * 3 + [(100, 103), (1000, 1021)])
    assert off is not None
    assert off.off_share == 0.4


@pytest.mark.parametrize(
    ("traffic", "most"),
    [({"api": "completions"}, 4), ({"api": "embeddings", "documents": 3}, 12), ({"turns": 3}, 320), ({"api": "anthropic"}, 256)],
)
def test_how_much_is_explained_depends_on_what_is_sent(traffic: dict[str, Any], most: int) -> None:
    found = drift([(100, 101)], **traffic)
    assert found is not None
    assert found.overhead_tokens_max == most


def test_messages_of_a_conversation_have_something_around_each() -> None:
    found = drift([(100, 110), (200, 220), (300, 330)], turns=3)
    assert found is not None
    assert found.off_share == 0.0


@pytest.mark.parametrize("traffic", [{"images": Images(width=8, height=8)}, {"api": "rerank"}, {"api": "rerank-tei"}])
def test_what_only_the_server_can_count_is_not_compared(traffic: dict[str, Any]) -> None:
    assert drift([(100, 900)], **traffic) is None


def test_prompts_that_the_server_did_not_count_are_not_compared() -> None:
    traces = counted([(100, 100), (100, 140)])
    assert prompt_drift(CASE, traces, np.array([False, False])) is None
    found = prompt_drift(CASE, traces, np.array([False, True]))
    assert found is not None
    assert found.overhead_tokens == 40.0
    assert prompt_drift(CASE, traces_of([lost()]), np.array([True])) is None


def test_answers_are_shorter_or_longer_than_asked_for() -> None:
    rows = [streamed(tokens=8), streamed(tokens=7), streamed(tokens=9), streamed(tokens=1), lost()]
    assert output_shares(traces_of(rows)) == (0.5, 0.25)


def test_answers_of_unknown_length_are_neither() -> None:
    rows = [Row(output_tokens=MISSING, end_ns=MS), Row(output_tokens=0, output_tokens_asked=0, end_ns=MS)]
    assert output_shares(traces_of(rows)) == (0.0, 0.0)
    assert output_shares(traces_of([lost()])) == (0.0, 0.0)


def test_a_case_without_traffic_of_its_own_has_one_document_and_one_turn() -> None:
    assert (Traffic.__dataclass_fields__["documents"].default, Traffic.__dataclass_fields__["turns"].default) == (1, 1)

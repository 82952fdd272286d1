"""A sweep's rates come from its two ends."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from pytest_inferbench.cases.case import Case, Load
from pytest_inferbench.errors import LoadError
from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.records.record import Record
from pytest_inferbench.sweep import resolved, sweep_lines
from tests.records.example import example_record

SERIAL = Load(concurrency=1, sweep_place=0, sweep_of=3)
AT_ONCE = Load(rate_per_s=inf, arrival="poisson", sweep_place=4, sweep_of=3)


def between(place: int) -> Case:
    load = Load(arrival="poisson", sweep_place=place, sweep_of=3)
    return replace(example_record().case, id=f"x-sweep{place}of3", load=load, slo=("ttft_p99 <= 1s",))


def end(
    load: Load, throughput: float, *, outlook: Outlook = Outlook.PASS, completed: int = 9, model: str | None = None
) -> Record:
    record = example_record()
    summary = record.summary
    assert summary is not None
    counts = replace(summary.counts, completed=completed)
    case = replace(record.case, id=f"x-{load.label}", load=load, model=model or record.case.model)
    return replace(
        record,
        case=case,
        summary=replace(summary, counts=counts, scalars={**summary.scalars, "request_throughput": throughput}),
        verdict=replace(record.verdict, outlook=outlook),
    )


ENDS = (end(SERIAL, 2.0), end(AT_ONCE, 10.0, outlook=Outlook.FAIL))


@pytest.mark.parametrize(("place", "rate"), [(1, 4.0), (2, 6.0), (3, 8.0)])
def test_rates_lie_evenly_between_the_ends(place: int, rate: float) -> None:
    found = resolved(between(place), ENDS)
    assert found == replace(between(place), load=replace(between(place).load, rate_per_s=rate))
    assert found.load.label == f"sweep{place}of3"


def test_the_last_example_record_an_end_counts() -> None:
    assert resolved(between(2), (end(SERIAL, 9.0), *ENDS)).load.rate_per_s == 6.0


@pytest.mark.parametrize("load", [SERIAL, AT_ONCE, Load(concurrency=4), Load(rate_per_s=3.0, arrival="poisson")])
def test_a_case_that_has_its_level_is_left_alone(load: Load) -> None:
    case = replace(example_record().case, load=load)
    assert resolved(case, ()) is case


@pytest.mark.parametrize(
    ("records", "what"),
    [
        (ENDS[1:], "one user at a time"),
        (ENDS[:1], "all requests at once"),
        ((end(SERIAL, 2.0, model="other"), ENDS[1]), "one user at a time"),
    ],
)
def test_an_end_that_was_not_measured_is_missed(records: tuple[Record, ...], what: str) -> None:
    with pytest.raises(LoadError) as caught:
        resolved(between(1), records)
    said = "which this session has not measured; select the whole sweep, without -n"
    assert str(caught.value) == f"the rate of this case comes from those with {what}, {said}"


@pytest.mark.parametrize(
    "spoilt",
    [end(AT_ONCE, 10.0, outlook=Outlook.INVALID), end(AT_ONCE, 0.0, completed=0), replace(end(AT_ONCE, 10.0), summary=None)],
)
def test_an_end_that_says_nothing_gives_no_rate(spoilt: Record) -> None:
    with pytest.raises(LoadError) as caught:
        resolved(between(1), (ENDS[0], spoilt))
    assert str(caught.value) == "the rate of this case comes from x-rinf, whose figures say nothing: see there"


def test_a_server_that_is_no_faster_with_all_at_once_has_nothing_to_sweep() -> None:
    with pytest.raises(LoadError) as caught:
        resolved(between(1), (ENDS[0], end(AT_ONCE, 2.0)))
    assert str(caught.value) == (
        "there is no rate between the ends of this sweep: all requests at once are answered at 2 req/s, one user's at 2 req/s; "
        "ask for more requests, or give rates"
    )


def test_a_sweep_is_told_from_idle_to_saturation() -> None:
    level = replace(between(1).load, rate_per_s=6.25)
    broken = replace(end(replace(level, sweep_place=2), 0.0, completed=0))
    assert list(sweep_lines([end(AT_ONCE, 10.0), end(SERIAL, 2.0), broken, end(level, 6.1)])) == [
        "sweep: one user: 2 req/s answered",
        "sweep: 6.25 req/s: 6.1 req/s answered",
        "sweep: all at once: 10 req/s answered",
    ]
    assert list(sweep_lines([end(Load(concurrency=4), 3.0)])) == []

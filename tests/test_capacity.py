"""The search of a case, on a server that is a simulated queue: what is driven, what is judged, and what the record says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from math import inf, isnan

import numpy as np
import pytest

from pytest_inferbench.capacity import Probe, Searching, refuse_unsearchable
from pytest_inferbench.cases.case import Case, Load, Origin, SearchSpec, Tool
from pytest_inferbench.errors import ConfigError, EngineDied
from pytest_inferbench.load.audit import Finding
from pytest_inferbench.metrics.summarise import summarise
from pytest_inferbench.objectives.judge import Sureness, judge
from pytest_inferbench.objectives.overload import OUTGROWN
from pytest_inferbench.objectives.slo import parse_objectives
from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.records.codec import from_json, to_json
from pytest_inferbench.records.record import Record
from pytest_inferbench.result import Result
from tests.records.example import CASE, example_record
from tests.traces import Row, traces_of

PASS, FAIL, UNSURE, INVALID = Outlook.PASS, Outlook.FAIL, Outlook.INCONCLUSIVE, Outlook.INVALID
RATE = SearchSpec(metric="max_rate", low=1.0, high=200.0)
USERS = SearchSpec(metric="max_concurrency", low=1.0, high=64.0)
GROWS = "grows with the load, and a search is for the highest load"
SPOILT = Finding(what="requests were sent late", advice="use a faster machine", invalidates=True)


def case_of(spec: SearchSpec = RATE, *slo: str, **options: object) -> Case:
    load = Load(arrival="closed" if spec.closed else "poisson", requests=400, search=spec)
    changed = {"confidence": 0.95, **options}
    return replace(CASE, load=load, slo=slo or ("ttft_p90 <= 500ms",), origin=Origin(file="x.bench.yaml"), **changed)  # type: ignore[arg-type]  # fields of a case by name


@dataclass
class Server:
    """Eight slots, each answers 5 requests a second: no more than 40 a second in all. Latencies are those of its queue."""

    slots: int = 8
    service_s: float = 0.2
    driven: list[Probe] = field(default_factory=list)
    spoilt_from: float = inf
    dies_at: float = inf

    def drive(self, probe: Probe) -> Result:
        self.driven.append(probe)
        load = probe.case.load
        level = float(load.concurrency or load.rate_per_s or 0)
        if level >= self.dies_at:
            raise EngineDied("the server ended while it was measured: out of memory")
        random = np.random.default_rng(len(self.driven))
        sent_s, left_s = (
            self.closed(load.requests or 0, int(level), random)
            if load.concurrency
            else self.open(load.requests or 0, level, random)
        )
        rows = [Row(sent_ns=round(at * 1e9), events=((round(left * 1e9), 1),)) for at, left in zip(sent_s, left_s, strict=True)]
        traces = traces_of(rows, open_loop=load.open_loop)
        summary = summarise(traces)
        findings = (SPOILT,) if level >= self.spoilt_from else ()
        sureness = Sureness(confidence=probe.case.confidence)
        verdict = judge(probe.objectives, traces, summary=summary, findings=findings, sureness=sureness)
        record = replace(example_record(traces), case=probe.case, verdict=verdict, summary=summary, folder=probe.name)
        return Result(record=record, traces=traces)

    def open(self, requests: int, rate: float, random: np.random.Generator) -> tuple[Sequence[float], Sequence[float]]:
        free, sent, left = [0.0] * self.slots, [], []
        now = 1.0
        for _ in range(requests):
            now += float(random.exponential(1 / rate))
            end = max(now, heappop(free)) + float(random.exponential(self.service_s))
            heappush(free, end)
            sent.append(now)
            left.append(end)
        return sent, left

    def closed(self, requests: int, users: int, random: np.random.Generator) -> tuple[Sequence[float], Sequence[float]]:
        free, idle, sent, left = [0.0] * self.slots, [1.0] * users, [], []
        for _ in range(requests):
            now = heappop(idle)
            end = max(now, heappop(free)) + float(random.exponential(self.service_s))
            heappush(free, end)
            heappush(idle, end)
            sent.append(now)
            left.append(end)
        return sent, left


def searching(case: Case) -> Searching:
    return Searching(case, parse_objectives(case.slo))


def empty_record(case: Case, **changed: object) -> Record:
    """What is known of a case that drove no load of its own."""
    return replace(example_record(), case=case, summary=None, audit=None, findings=(), planned=None, telemetry=None, **changed)  # type: ignore[arg-type]  # fields of a record by name


def run(case: Case, server: Server | None = None) -> tuple[Searching, Record, Server]:
    server = server or Server()
    found = searching(case)
    found.run(server.drive)
    return found, found.into(empty_record(case)), server


# -- what is driven --------------------------------------------------------------------------------------------------------


def test_the_rate_that_a_server_holds_is_found_and_bounded() -> None:
    found, record, _ = run(case_of())
    capacity = found.capacity
    # By the formula of a queue with eight slots 90 % are within 500 ms up to 32.9 req/s; at 40 they wait for ever.
    assert 10 < capacity.low <= 33
    assert 33 <= capacity.high <= 80
    assert record.verdict.outlook is PASS
    assert record.capacity == capacity


def test_each_level_is_a_case_of_its_own_with_a_record_of_its_own() -> None:
    case = case_of(replace(RATE, budget=5000), "ttft_p90 <= 500ms", "max_rate >= 20 req/s", fresh_server=True, expected_miss="x")
    found, _, server = run(case)
    ids = [probe.case.id for probe in server.driven]
    assert len(set(ids)) == len(ids)
    first = server.driven[0]
    assert (first.name, first.case.id) == ("probe-01-r20", f"{case.id}-probe1-r20")
    assert (first.case.load.rate_per_s, first.case.load.requests, first.case.load.search) == (20.0, 400, None)
    assert [each.text for each in first.objectives] == ["ttft_p90 <= 500ms"]
    assert first.case.expected_miss is None
    # One start for all of them.
    assert [probe.case.fresh_server for probe in server.driven] == [True] + [False] * (len(ids) - 1)
    assert {probe.case.server_key for probe in server.driven} == {case.server_key}
    assert [look.folder for look in found.capacity.looks] == [probe.name for probe in server.driven]


def test_each_look_must_be_surer_than_the_whole() -> None:
    _, _, server = run(case_of(replace(RATE, most=3600, budget=3000)))
    assert {probe.case.confidence for probe in server.driven} == {1 - 0.05 / 6}


def test_figures_as_seen_are_enough_where_nobody_asks_for_more() -> None:
    found, _, server = run(case_of(confidence=0.0))
    assert {probe.case.confidence for probe in server.driven} == {0.0}
    assert {look.outlook for look in found.capacity.looks} == {PASS, FAIL}
    assert found.capacity.confidence == 0
    assert found.capacity.high / found.capacity.low < 1.06


def test_users_are_searched_for_in_a_closed_loop() -> None:
    found, record, server = run(case_of(USERS, "ttft_p90 <= 800ms", "max_concurrency >= 2"))
    assert {probe.case.load.rate_per_s for probe in server.driven} == {None}
    assert all(isinstance(probe.case.load.concurrency, int) for probe in server.driven)
    assert 8 <= found.capacity.low < found.capacity.high <= 32
    assert record.case.load.concurrency == found.capacity.low
    assert record.case.load.label == "maxconcurrency"


def test_an_overloaded_server_fails_though_nothing_can_be_said_of_its_percentile() -> None:
    found, _, _ = run(case_of(replace(RATE, low=100.0)))
    failed = [look for look in found.capacity.looks if look.outlook is FAIL]
    assert OUTGROWN in {look.reason for look in failed}
    assert all(look.figures[0].actual > look.figures[0].limit for look in failed)


def test_where_the_search_is_is_said_before_each_load() -> None:
    words: list[str] = []
    case = case_of(RATE, "ttft_p90 <= 500ms", "max_rate >= 10 req/s")
    found = Searching(case, parse_objectives(case.slo), on_progress=words.append)
    found.run(Server().drive)
    assert words[0] == "search: trying 10 req/s with 400 requests"
    assert any(each.startswith("search: 10 req/s passes, ") and " fails; trying " in each for each in words)
    assert found.words == words[-1]


# -- what the record says --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "outlook"), [(5, PASS), (100, FAIL)])
def test_an_objective_on_the_capacity_decides(limit: int, outlook: Outlook) -> None:
    _, record, _ = run(case_of(RATE, "ttft_p90 <= 500ms", f"max_rate >= {limit} req/s"))
    assert record.verdict.outlook is outlook
    judgement = record.verdict.judgements[-1]
    assert (judgement.objective.metric, judgement.outlook) == ("max_rate", outlook)
    assert {each.objective.text for each in record.verdict.judgements} == {
        "ttft_p90 <= 500ms",
        "error_rate <= 0",
        f"max_rate >= {limit} req/s",
    }


def test_the_record_has_the_figures_of_the_level_that_was_found_and_the_capacity_beside_them() -> None:
    found, record, _ = run(case_of())
    best = found.best
    assert best is not None
    assert best.record.case.load.rate_per_s == found.capacity.low
    assert record.summary is not None
    assert best.record.summary is not None
    assert record.summary.scalars == {**best.record.summary.scalars, "max_rate": found.capacity.low}
    assert record.case.load.rate_per_s == found.capacity.low
    assert record.case.id == CASE.id
    assert record.case.load.label == "maxrate"


def test_a_record_with_a_capacity_comes_back_as_it_was() -> None:
    _, record, _ = run(case_of(replace(RATE, budget=2000)))
    assert record.capacity is not None
    assert record.capacity.looks
    assert repr(from_json(json.loads(json.dumps(to_json(record), allow_nan=False)))) == repr(record)


def test_where_not_even_the_lowest_level_holds_the_case_fails() -> None:
    _, record, _ = run(case_of(replace(RATE, low=100.0)))
    assert record.verdict.outlook is FAIL
    assert record.verdict.reasons[0] == "no level passes for sure, down to 100 req/s"
    assert record.case.load.rate_per_s is None
    assert record.summary is not None
    assert isnan(record.summary.scalars["max_rate"])


def test_where_nothing_is_sure_the_case_is_inconclusive_and_says_why() -> None:
    _, record, _ = run(case_of(replace(RATE, budget=400)))
    assert record.verdict.outlook is UNSURE
    assert record.verdict.reasons[0].startswith(
        "400 more requests would be more than the 400 that the search may use; no level passes"
    )


def test_levels_at_which_the_client_was_too_slow_bound_nothing() -> None:
    found, record, _ = run(case_of(), Server(slots=400, spoilt_from=60))
    assert found.capacity.high == inf
    assert 20 < found.capacity.low < 60
    assert record.verdict.outlook is PASS
    assert "cannot be believed" in record.verdict.reasons[0]


def test_where_no_level_can_be_believed_the_case_is_invalid() -> None:
    _, record, _ = run(case_of(), Server(spoilt_from=0))
    assert record.verdict.outlook is INVALID


def test_what_was_found_until_a_server_died_is_kept_with_the_fault() -> None:
    case = case_of(RATE, "ttft_p90 <= 500ms", "max_rate >= 10 req/s")
    found, server = searching(case), Server(dies_at=50)
    with pytest.raises(EngineDied):
        found.run(server.drive)
    broken = empty_record(case, error="the server ended", verdict=replace(example_record().verdict, outlook=FAIL))
    record = found.into(broken)
    assert record.verdict == broken.verdict
    assert record.capacity is not None
    assert record.capacity.low == 10
    assert record.summary is not None


def test_a_search_that_was_stopped_before_its_first_load_has_nothing() -> None:
    case = case_of()
    record = searching(case).into(empty_record(case, error="interrupted"))
    assert record.capacity is not None
    assert record.capacity.reason == "nothing was measured"
    assert record.summary is None


# -- what cannot be searched with ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "problem"),
    [
        (
            case_of(RATE, "max_rate >= 40 req/s"),
            "a search for max_rate needs an objective that is to be held; give one on a latency, such as ttft_p99 <= 500ms",
        ),
        (
            case_of(RATE, "ttft_p99 <= 1s", "goodput >= 12 req/s"),
            f"'goodput >= 12 req/s': goodput {GROWS}; hold it with a rate, in another case",
        ),
        (
            case_of(USERS, "ttft_p99 <= 1s", "output_throughput >= 12 tok/s"),
            f"'output_throughput >= 12 tok/s': output_throughput {GROWS}; hold it with a number of users, in another case",
        ),
        (
            case_of(USERS, "ttft_p99 <= 1s", "max_rate >= 12 req/s"),
            "'max_rate >= 12 req/s': this case does not search for it; give its load search: {for: max_rate, from: 1, to: 100}",
        ),
        (
            replace(case_of(RATE, "max_rate >= 12 req/s"), load=Load(concurrency=1)),
            "'max_rate >= 12 req/s': this case does not search for it; give its load search: {for: max_rate, from: 1, to: 100}",
        ),
    ],
)
def test_objectives_that_cannot_be_searched_with_are_refused(case: Case, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        refuse_unsearchable(case, parse_objectives(case.slo))
    assert str(caught.value) == f"x.bench.yaml: slo: {problem}"


def test_a_search_is_not_sent_again() -> None:
    case = case_of()
    refuse_unsearchable(replace(case, load=Load(concurrency=1)), parse_objectives(case.slo), replayed=True)
    with pytest.raises(ConfigError, match="searches for its load and cannot be sent again: what it asks depends on what it sees"):
        refuse_unsearchable(case, parse_objectives(case.slo), replayed=True)


def test_the_load_of_another_tool_has_no_level_to_search_for() -> None:
    case = case_of(RATE, tool=Tool(name="genai-bench", image="x", results="/y"))
    with pytest.raises(ConfigError, match=r"load\.search: the load of genai-bench is its own, and no level of it can be chosen"):
        refuse_unsearchable(case, parse_objectives(case.slo))


def test_other_cases_are_left_alone() -> None:
    case = replace(case_of(RATE, "goodput >= 12 req/s"), load=Load(concurrency=1))
    refuse_unsearchable(case, parse_objectives(case.slo))
    with pytest.raises(ValueError, match="does not search for anything"):
        searching(case)


def test_too_many_levels_are_refused() -> None:
    case = case_of(replace(RATE, high=1e6, within=1e-4))
    with pytest.raises(
        ConfigError, match=r"x\.bench\.yaml: load\.search: 138,162 levels between 1 and 1e\+06 are more than 10000"
    ):
        searching(case)

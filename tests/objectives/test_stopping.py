"""A load ends when its verdict is sure, at looks that were fixed beforehand, and not because of what only seems so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.case import Case
from pytest_inferbench.load.stopped import Stopper
from pytest_inferbench.load.trace import Outcome, Traces
from pytest_inferbench.objectives import stopping as module
from pytest_inferbench.objectives.decide import Claim, Decision, Kind
from pytest_inferbench.objectives.decide import decide as really_decide
from pytest_inferbench.objectives.dependence import Series
from pytest_inferbench.objectives.evidence import evidence_of
from pytest_inferbench.objectives.judge import Sureness
from pytest_inferbench.objectives.sequential import looks_between
from pytest_inferbench.objectives.slo import parse_objectives
from pytest_inferbench.objectives.stopping import TIMES, Bounds, Stopping, stopper_for
from pytest_inferbench.objectives.verdict import Outlook
from tests.load.cases import case_of
from tests.traces import MS, streamed, traces_of

S = 1000 * MS
MOST = 3000
Ends = tuple[int, str] | None


def stopping(
    *slo: str, least: int = 200, most: int | None = MOST, seconds: float | None = None, users: int | None = None
) -> Stopping:
    bounds = Bounds(least=least, most=most, seconds=seconds)
    return Stopping(objectives=parse_objectives(slo), confidence=0.95, bounds=bounds, users=users)


def steady(count: int = MOST, *, every_ms: float = 50.0, mean_ms: float = 100.0, seed: int = 1) -> Traces:
    """Requests of an open loop that have nothing to do with each other: first tokens after 50 ms and an exponential rest."""
    ttft_ms = 50 + np.random.default_rng(seed).exponential(mean_ms - 50, count)
    return opened([(round(i * every_ms * MS), ms) for i, ms in enumerate(ttft_ms.tolist())])


def queued(seed: int, count: int = 3000) -> Traces:
    """Requests of a queue with one slot that is busy for half of the time; each waits for those before it."""
    random = np.random.default_rng(seed)
    sent_s, busy_s = np.cumsum(random.exponential(1.0, count)), random.exponential(0.5, count)
    done_s = np.cumsum(busy_s) + np.maximum.accumulate(sent_s - np.concatenate(([0.0], np.cumsum(busy_s)[:-1])))
    return opened(
        [(round(sent * S), round((done - sent) * 1000, 3)) for sent, done in zip(sent_s.tolist(), done_s.tolist(), strict=True)]
    )


def opened(requests: Sequence[tuple[int, float]]) -> Traces:
    rows = [streamed(ttft_ms=ttft_ms, itl_ms=2, tokens=3, sent_ns=sent_ns) for sent_ns, ttft_ms in requests]
    return traces_of(rows, open_loop=True)


def first(traces: Traces, count: int) -> Traces:
    """The first so many requests."""
    columns: dict[str, Any] = {each.name: getattr(traces, each.name) for each in fields(traces)}
    per_request = {name: value[:count] for name, value in columns.items() if isinstance(value, np.ndarray | tuple)}
    events = int(traces.event_offset[count])
    per_event = {name: columns[name][:events] for name in ("event_ns", "event_tokens")}
    errors = {row: words for row, words in traces.errors.items() if row < count}
    return replace(traces, **{**per_request, **per_event, "event_offset": traces.event_offset[: count + 1], "errors": errors})


def ends(stopper: Stopping, traces: Traces, counts: Sequence[int] | None = None) -> Ends:
    """After how many requests the load ends, and why; None where it does not."""
    for count in looks_between(200, len(traces)) if counts is None else counts:
        if stopper.ready(requests=count, seconds=0.0):
            found = stopper.look(first(traces, count), seconds=0.0)
            if found is not None:
                assert (found.at, found.of, found.looks) == (count, stopper.bounds.most, stopper.looks)
                return count, found.why
    return None


def lose(traces: Traces, *rows: int) -> Traces:
    outcome = traces.outcome.copy()
    outcome[[*rows]] = int(Outcome.FAILED)
    return replace(traces, outcome=outcome, errors=dict.fromkeys(rows, "HTTP 500"))


# -- when it ends ----------------------------------------------------------------------------------------------------------


def test_a_load_far_from_its_limits_ends_early_and_says_what_is_sure() -> None:
    met = ends(stopping("ttft_p50 <= 300ms"), steady())
    assert met is not None
    assert met[0] <= MOST / 3
    assert met[1] == "sure at 95 % that ttft_p50 <= 300ms is met"
    missed = ends(stopping("ttft_p50 <= 60ms"), steady())
    assert missed is not None
    assert missed[0] <= MOST / 3
    assert missed[1] == "sure at 95 % that ttft_p50 <= 60ms is missed"


def test_a_load_at_its_limit_goes_on_to_its_end() -> None:
    traces = steady()
    limit = float(np.median(traces.first_token_ns - traces.start_ns)) / MS
    assert ends(stopping(f"ttft_p50 <= {limit}ms"), traces) is None


def test_all_objectives_must_be_met_and_one_that_is_missed_is_enough() -> None:
    traces = steady()
    both = ends(stopping("ttft_p50 <= 300ms", "ttft_mean <= 300ms"), traces)
    assert both is not None
    assert both[1] == "sure at 95 % that ttft_p50 <= 300ms and ttft_mean <= 300ms are met"
    near = float(np.median(traces.first_token_ns - traces.start_ns)) / MS
    assert ends(stopping("ttft_mean <= 300ms", f"ttft_p50 <= {near}ms"), traces) is None
    one = ends(stopping(f"ttft_p50 <= {near}ms", "ttft_mean <= 60ms"), traces)
    assert one is not None
    assert one[1] == "sure at 95 % that ttft_mean <= 60ms is missed"


def test_a_request_that_is_lost_settles_the_verdict_at_the_next_look() -> None:
    near = f"ttft_p50 <= {float(np.median(steady().first_token_ns - steady().start_ns)) / MS}ms"
    traces = lose(steady(), 5)
    found = ends(stopping(near), traces)
    assert found == (looks_between(200, MOST)[0], "sure at 95 % that error_rate <= 0 is missed")
    # Whoever allows for errors has said so.
    assert ends(stopping(near, "error_rate <= 5%"), traces) is None


def test_a_largest_value_that_is_met_so_far_ends_nothing_and_one_that_is_missed_does() -> None:
    traces = steady()
    assert ends(stopping("ttft_max <= 60s"), traces) is None
    assert ends(stopping("ttft_max <= 60s", "ttft_p50 <= 300ms"), traces) is None
    missed = ends(stopping("ttft_max <= 100ms"), traces)
    assert missed is not None
    assert missed[1] == "sure at 95 % that ttft_max <= 100ms is missed"


def test_that_no_request_was_lost_is_not_waited_for_and_alone_ends_nothing() -> None:
    assert ends(stopping("error_rate <= 0"), steady()) is None
    met = ends(stopping("error_rate <= 0", "ttft_p50 <= 300ms"), steady())
    assert met is not None
    assert met[1] == "sure at 95 % that ttft_p50 <= 300ms is met"


def test_a_fact_of_the_whole_load_is_not_known_before_its_end() -> None:
    assert ends(stopping("steady_window >= 1s", "ttft_p50 <= 300ms"), steady()) is None


# -- what only seems so ----------------------------------------------------------------------------------------------------


@pytest.fixture
def credulous(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is decided is taken from the figures as they are, so that only the rules of this module hold anything back."""

    def decide(claim: Claim, values: Series, **_: Any) -> Decision:
        figure = float(np.median(values)) if claim.kind is Kind.PERCENTILE else float(np.mean(values))
        return Decision(outlook=Outlook.PASS if claim.met_by(figure) else Outlook.FAIL)

    monkeypatch.setattr(module, "decide", decide)


def test_a_queue_that_grows_never_passes_however_quick_the_first_were(credulous: None) -> None:
    growing = opened([(i * 10 * MS, 1.0 * i) for i in range(MOST)])
    assert ends(stopping("ttft_p50 <= 60s"), growing) is None
    assert ends(stopping("ttft_p50 <= 60s"), steady()) is not None


def test_a_queue_that_grows_fails_where_its_later_half_does_too(credulous: None) -> None:
    growing = opened([(i * 10 * MS, 1000.0 + i) for i in range(MOST)])
    found = ends(stopping("ttft_p50 <= 300ms"), growing)
    assert found is not None
    assert found[1].endswith("is missed")
    better = opened([(i * 10 * MS, 10.0 * (500 - i) if i < 150 else 100.0) for i in range(MOST)])
    assert ends(stopping("ttft_p50 <= 300ms"), better, counts=[231]) is None


def test_a_queue_that_only_grows_is_missed_though_no_interval_can_be_given() -> None:
    """Twice as many requests come as one slot answers."""
    sent_ms, done_ms, rows = np.cumsum(np.random.default_rng(2).exponential(50.0, MOST)), 0.0, []
    for at_ms, busy_ms in zip(sent_ms.tolist(), np.random.default_rng(3).exponential(100.0, MOST).tolist(), strict=True):
        done_ms = max(done_ms, at_ms) + busy_ms
        rows.append((round(at_ms * MS), round(done_ms - at_ms, 3)))
    found = ends(stopping("ttft_p90 <= 5s"), opened(rows))
    assert found is not None
    assert found[0] < MOST / 2
    assert found[1] == "sure at 95 % that ttft_p90 <= 5000ms is missed"


def test_a_slow_start_does_not_fail_a_load_that_is_quick_later(credulous: None) -> None:
    """Most of the requests so far are slow; those after the ramp-up are not."""
    traces = opened([(i * 50 * MS, 5000.0 if i < 120 else 100.0) for i in range(MOST)])
    assert np.median(first(traces, 231).first_token_ns - first(traces, 231).start_ns) == 5 * S
    assert ends(stopping("ttft_p50 <= 300ms"), traces, counts=[231]) is None


def test_the_verdict_of_all_requests_must_be_sure_too_as_it_will_be_made_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    outlooks = iter([Outlook.PASS, Outlook.INCONCLUSIVE])
    monkeypatch.setattr(module, "decide", lambda *_, **__: Decision(outlook=next(outlooks, Outlook.PASS)))
    traces = first(steady(), 231)
    assert stopping("ttft_p50 <= 300ms").look(traces, seconds=0.0) is None
    assert stopping("ttft_p50 <= 300ms").look(traces, seconds=0.0) is not None


def closed(users: int, count: int, *, answer_ms: float = 400.0) -> Traces:
    """Users whose answers all take about as long: four tokens, evenly."""
    spread = np.random.default_rng(3)
    rows = []
    for _ in range(users):
        sent_ns = 0
        for _ in range(count // users):
            itl_ms = answer_ms / 4 * spread.uniform(0.9, 1.1)
            rows.append(streamed(ttft_ms=itl_ms, itl_ms=itl_ms, tokens=4, sent_ns=sent_ns))
            sent_ns += round(4 * itl_ms * MS)
    return traces_of(sorted(rows, key=lambda row: row.sent_ns))


def test_the_tokens_that_the_last_requests_still_bring_are_not_missed_as_throughput(credulous: None) -> None:
    """40 users make 400 tokens a second; the last of 231 requests end while others run that are not known yet."""
    begun = first(closed(40, 3000), 231)
    (objective,) = parse_objectives(["output_throughput >= 385 tok/s"])
    seen = evidence_of(objective, begun)
    assert seen is not None
    assert seen.values.mean() < 380
    assert stopping(objective.text, users=40).look(begun, seconds=0.0) is None


@pytest.mark.parametrize(("limit", "end"), [(600, "missed"), (250, "met")])
def test_a_throughput_far_from_its_limit_is_sure(limit: int, end: str) -> None:
    found = ends(stopping(f"output_throughput >= {limit} tok/s", users=40), closed(40, 3000))
    assert found is not None
    assert found[1] == f"sure at 95 % that output_throughput >= {limit} tok/s is {end}"


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("slo", ["ttft_p99 <= 500ms", "itl_p50 <= 1s", "output_throughput >= 1 tok/s", "goodput >= 1 req/s"])
def test_of_a_few_requests_nothing_is_sure(count: int, slo: str) -> None:
    assert stopping(slo, least=1).look(first(steady(), count), seconds=0.0) is None
    assert stopping(slo, least=1).look(first(closed(4, 100), count), seconds=0.0) is None


# -- when it looks ---------------------------------------------------------------------------------------------------------


def test_it_looks_at_numbers_that_grow_by_half_and_the_verdict_is_the_last_look() -> None:
    stopper = stopping("ttft_p50 <= 300ms", least=300, most=3000)
    assert stopper.looks == len(looks_between(300, 3000)) == 6
    ready = [count for count in range(3001) if stopper.ready(requests=count, seconds=0.0)]
    assert (ready[0], ready[-1]) == (looks_between(300, 3000)[0], 3000)
    near = stopping("ttft_p50 <= 85ms", least=300, most=3000)
    assert ends(near, steady(), counts=range(1, 3001)) is None
    assert not near.ready(requests=3000, seconds=1e9)


def test_looking_after_every_request_ends_a_load_where_the_planned_looks_do() -> None:
    traces = steady()
    planned = ends(stopping("ttft_p50 <= 150ms"), traces)
    assert planned is not None
    assert ends(stopping("ttft_p50 <= 150ms"), traces, counts=range(1, MOST)) == planned


@given(st.integers(201, 20_000), st.lists(st.integers(1, 3000), max_size=40))
def test_however_requests_come_there_are_no_more_looks_than_planned(most: int, steps: list[int]) -> None:
    stopper, taken = stopping("ttft_p50 <= 300ms", most=None, seconds=float(most)), 0
    one = traces_of([streamed()])
    for seconds in np.cumsum(steps).tolist():
        if stopper.ready(requests=1000, seconds=float(seconds)):
            assert stopper.look(one, seconds=float(seconds)) is None
            taken += 1
    assert taken <= stopper.looks - 1


def test_looking_again_and_again_at_a_server_that_is_just_at_its_limit_seldom_seems_sure() -> None:
    """
    In a queue of that kind a request takes 1 / (2 - 1) = 1 s on average. At most 5 % on each side are stated.

    Were requests taken for independent ones, and each look as sure as if there were no other, half of these loads would pass.
    """
    found = [ends(stopping("ttft_mean <= 1s"), queued(seed, 1500)) for seed in range(40)]
    assert sum(each is not None and each[1].endswith("met") for each in found) <= 5
    assert sum(each is not None and each[1].endswith("missed") for each in found) <= 5


def test_each_look_is_as_sure_as_the_verdict_that_shares_the_chance_of_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = set()

    def noted(*arguments: Any, confidence: float) -> Decision:
        asked.add(confidence)
        return really_decide(*arguments, confidence=confidence)

    monkeypatch.setattr(module, "decide", noted)
    stopper = stopping("ttft_p50 <= 85ms")
    ends(stopper, steady())
    assert asked == {Sureness(confidence=0.95, looks=stopper.looks).of_each_look}


def test_a_load_of_which_only_the_time_is_limited_is_looked_at_after_parts_of_it() -> None:
    stopper = stopping("ttft_p50 <= 300ms", most=None, seconds=600.0)
    assert stopper.looks == TIMES
    begin_s = 600 / 1.5 ** (TIMES - 1)
    assert not stopper.ready(requests=10_000, seconds=begin_s - 0.01)
    assert not stopper.ready(requests=199, seconds=begin_s)
    assert stopper.ready(requests=200, seconds=begin_s)
    found = stopper.look(steady(1500), seconds=75.0)
    assert found is not None
    assert (found.at, found.of, found.at_s, found.of_s) == (1500, None, 75.0, 600.0)
    near = stopping("ttft_p50 <= 85ms", most=None, seconds=600.0)
    assert near.look(steady(1500), seconds=75.0) is None
    assert not near.ready(requests=1500, seconds=79.0)
    assert near.ready(requests=1500, seconds=600 / 1.5**4)


# -- who looks -------------------------------------------------------------------------------------------------------------

SLO = parse_objectives(["ttft_p50 <= 300ms"])


def asking(turns: int = 1, **load: Any) -> Case:
    case = case_of(requests=load.pop("requests", 5000), stop_when_sure=True, **load)
    return replace(case, traffic=replace(case.traffic, turns=turns))


def test_a_case_that_asks_for_it_has_a_stopper_with_its_own_numbers() -> None:
    found = stopper_for(replace(asking(concurrency=8, requests_min=150), confidence=0.9), SLO)
    assert found is not None
    assert (found.bounds, found.users) == (Bounds(least=150, most=5000, seconds=None), 8)
    assert (found.confidence, found.looks) == (0.9, len(looks_between(150, 5000)))
    stopper: Stopper = found
    assert stopper.looks == found.looks


def test_where_figures_count_as_seen_a_load_ends_at_the_usual_confidence() -> None:
    found = stopper_for(replace(asking(), confidence=0.0), SLO)
    assert found is not None
    assert found.confidence == 0.95


@pytest.mark.parametrize(
    ("case", "objectives"),
    [(case_of(requests=5000), SLO), (asking(), ()), (asking(requests=200), SLO), (asking(requests=20), SLO)],
    ids=["not-asked", "no-objective", "nothing-to-spare", "less-than-the-least"],
)
def test_otherwise_nobody_ends_its_load(case: Case, objectives: Any) -> None:
    assert stopper_for(case, objectives) is None


def test_conversations_go_round_twice_before_anybody_decides() -> None:
    """Their first turns are the short ones."""
    found = stopper_for(asking(turns=10, concurrency=16), SLO)
    assert found is not None
    assert (found.bounds.least, found.users) == (320, None)

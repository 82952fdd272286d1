"""
When a load may end because its verdict is sure.

Whoever looks often enough sees anything by chance. So there are a few looks, fixed beforehand: at numbers of requests that grow
by half (`sequential.looks_between`), or, where only the time of the load is limited, at such parts of it. They share the chance
of an error with the verdict at the end, in equal parts: each look decides with the confidence 1 - (1 - confidence) / looks, and
so does that verdict, which is made of all that was measured.

At a look every objective is held against the requests so far, in order of arrival up to the first that still runs, twice: against
all of them, as the verdict will be, and against those after the ramp-up only (`metrics.steady`). What both say alike is decided.
The load may end where every objective passes, or where one fails: that settles the verdict. A load that is not steady yet cannot
pass; it fails where all requests and the later half of them do.

Rule: what is true of the requests seen, and of no others, ends no load with a pass: a largest value may still grow. That no
request was lost is such a thing, too, but whoever asks for it would never be sure, so it is not waited for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pytest_inferbench.cases.case import Case
from pytest_inferbench.cases.confidence import CONFIDENCE
from pytest_inferbench.load.stopped import Stopped
from pytest_inferbench.load.trace import Traces
from pytest_inferbench.metrics.error_rate import ERROR_RATE
from pytest_inferbench.metrics.steady import Window, steady_window, within
from pytest_inferbench.metrics.steady_output import STEADY_OUTPUT_THROUGHPUT
from pytest_inferbench.metrics.totals import window_ns
from pytest_inferbench.objectives.decide import Kind, decide
from pytest_inferbench.objectives.dependence import Series
from pytest_inferbench.objectives.evidence import Evidence, evidence_of
from pytest_inferbench.objectives.judge import NO_ERRORS, Sureness
from pytest_inferbench.objectives.limits import goodput_limits
from pytest_inferbench.objectives.overload import or_outgrown
from pytest_inferbench.objectives.sequential import GROWTH, looks_between
from pytest_inferbench.objectives.verdict import Objective, Outlook

TIMES = 12
"""Looks of a load of which only the time is limited: the first after an 86th of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """
    How short and how long a load may be.

    Attributes:
        least: the fewest requests that a load may end with.
        most: the most requests; None: as many as the time allows.
        seconds: the longest time; None: as long as the requests take.
    """

    least: int
    most: int | None
    seconds: float | None


def stopper_for(case: Case, objectives: Sequence[Objective]) -> Stopping | None:
    """
    Who ends the load of a case when its verdict is sure; None where nobody may.

    That is where the case does not ask for it, has no objective, or has no requests to spare; a new one is needed for each load.
    """
    load = case.load
    if not load.stop_when_sure or not objectives:
        return None
    stopping = Stopping(
        objectives=tuple(objectives),
        # A verdict of figures as seen has no confidence of its own to be sure with.
        confidence=case.confidence or CONFIDENCE,
        bounds=Bounds(least=_least(case), most=load.requests, seconds=load.duration_s),
        users=load.concurrency if case.traffic.turns == 1 else None,
    )
    return stopping if stopping.looks > 1 else None


def _least(case: Case) -> int:
    """The fewest requests of a case; as many as two whole conversations of each user, of which the first all begin alike."""
    users = case.load.concurrency or 1
    return max(case.load.requests_min, 2 * users * case.traffic.turns if case.traffic.turns > 1 else 0)


@dataclass(slots=True, kw_only=True)
class Stopping:
    """
    Looks at one load while it runs (a `load.stopped.Stopper`).

    Attributes:
        objectives: of the case.
        confidence: a pass of an objective is wrong with at most the chance 1 - confidence, whenever the load ends; so is a fail.
        bounds: how short and how long the load may be.
        users: of a closed loop; None: as many as were ever in flight at once.
        looks: how many there are, the verdict at the end included.
    """

    objectives: tuple[Objective, ...]
    confidence: float
    bounds: Bounds
    users: int | None = None
    looks: int = field(init=False)
    _ahead: list[float] = field(init=False)

    def __post_init__(self) -> None:
        """Fix when to look."""
        planned = _planned(self.bounds)
        # The last of them is the verdict.
        self.looks, self._ahead = len(planned), planned[:-1]
        if not any(each.metric == NO_ERRORS.metric for each in self.objectives):
            self.objectives = (*self.objectives, NO_ERRORS)

    def ready(self, *, requests: int, seconds: float) -> bool:
        """Whether the first so many requests of a load, sent within its first so many seconds, are enough for the next look."""
        return bool(self._ahead) and requests >= self.bounds.least and self._amount(requests, seconds) >= self._ahead[0]

    def look(self, traces: Traces, *, seconds: float) -> Stopped | None:
        """What is sure of a load by now, in a word; None where it is to go on."""
        amount = self._amount(len(traces), seconds)
        self._ahead = [each for each in self._ahead if each > amount]
        why = self._sure(traces)
        if why is None:
            return None
        self._ahead = []
        bounds = self.bounds
        return Stopped(at=len(traces), of=bounds.most, at_s=seconds, of_s=bounds.seconds, looks=self.looks, why=why)

    def _amount(self, requests: int, seconds: float) -> float:
        return requests if self.bounds.most is not None else seconds

    def _sure(self, traces: Traces) -> str | None:
        """What settles the verdict; None where nothing does."""
        part = _part(traces, users=self.users)
        outlooks = {each: self._outlook(each, traces, part) for each in self.objectives}
        missed = [each.text for each, outlook in outlooks.items() if outlook is Outlook.FAIL]
        sure = f"sure at {self.confidence * 100:.6g} %"
        if missed:
            return f"{sure} that {missed[0]} is missed"
        waited = {each: outlook for each, outlook in outlooks.items() if each.metric != ERROR_RATE.name or each.limit}
        if not part.steady or not waited or set(waited.values()) != {Outlook.PASS}:
            return None
        return f"{sure} that {' and '.join(each.text for each in waited)} {'is' if len(waited) == 1 else 'are'} met"

    def _outlook(self, objective: Objective, traces: Traces, part: _Part) -> Outlook:
        """What all requests and those of a part say alike; inconclusive where they differ."""
        limits = goodput_limits(self.objectives)
        evidence = evidence_of(objective, traces, limits=limits)
        if evidence is None:
            return Outlook.INCONCLUSIVE
        confidence = Sureness(confidence=self.confidence, looks=self.looks).of_each_look
        found = None
        for values in _both(evidence, objective, traces, part, limits):
            decision = decide(evidence.claim, values, confidence=confidence)
            outlook = or_outgrown(decision, evidence.claim, traces, confidence=confidence).outlook
            if outlook is Outlook.PASS and evidence.claim.kind is Kind.LARGEST:
                outlook = Outlook.INCONCLUSIVE
            if outlook not in {Outlook.PASS, Outlook.FAIL} or found not in {None, outlook}:
                return Outlook.INCONCLUSIVE
            found = outlook
        return found or Outlook.INCONCLUSIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """The part of a load after its ramp-up, from ``start_ns`` on; the later half of it where it was not ``steady``."""

    traces: Traces
    start_ns: int
    until_ns: int
    steady: bool


def _part(traces: Traces, *, users: int | None) -> _Part:
    window = steady_window(traces, users=users)
    begin_ns = traces.start_ns
    start_ns = int(np.median(begin_ns)) if window is None else window.start_ns
    return _Part(
        traces=within(traces, Window(start_ns=start_ns, end_ns=int(traces.end_ns.max()))),
        start_ns=start_ns,
        until_ns=int(begin_ns.max()),
        steady=window is not None,
    )


def _both(evidence: Evidence, objective: Objective, traces: Traces, part: _Part, limits: Mapping[str, float]) -> Iterator[Series]:
    """The values of all requests, and those of a part."""
    yield evidence.values
    if evidence.claim.counted:
        return
    if evidence.claim.kind is not Kind.THROUGHPUT:
        later = evidence_of(objective, part.traces, limits=limits)
        yield np.zeros(0) if later is None else later.values
    elif objective.metric != STEADY_OUTPUT_THROUGHPUT.name:
        yield _meanwhile(evidence.values, window_ns(traces), part)


def _meanwhile(values: Series, window: tuple[int, int] | None, part: _Part) -> Series:
    """
    Of a throughput in equal parts of a time those between the ramp-up and the last request's send.

    After that send others were sent that are not known yet, and what they brought is missing.
    """
    if window is None:
        return np.zeros(0)
    edges_ns = np.linspace(*window, len(values) + 1)
    kept: Series = values[(edges_ns[:-1] >= part.start_ns) & (edges_ns[1:] <= part.until_ns)]
    return kept


def _planned(bounds: Bounds) -> list[float]:
    """At which numbers of requests, or after how many seconds, to look; the last is the end of the load."""
    if bounds.most is not None:
        return [*looks_between(min(bounds.least, bounds.most), bounds.most)]
    seconds = bounds.seconds or 0.0
    return [seconds / GROWTH**each for each in reversed(range(TIMES))]

"""
A case that looks for its level: which loads it takes, what each of them says, and the case's record.

Rule: nothing here drives a load. Whoever does is handed in, and gives back a result for each level, which is judged like that of
any case with such a load; so every level has a record of its own, and the case's record says what they say together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isnan

from pytest_inferbench.cases.case import Case, SearchSpec
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.load.trace import Traces
from pytest_inferbench.metrics.capacity import SEARCHED
from pytest_inferbench.metrics.metric import Better, Kind
from pytest_inferbench.metrics.registry import METRICS
from pytest_inferbench.objectives.capacity import (
    GROWTH,
    Ask,
    Capacity,
    Figure,
    Look,
    Search,
    judged,
    levels_between,
    sizes_between,
)
from pytest_inferbench.objectives.judge import is_met, worst
from pytest_inferbench.objectives.verdict import Objective, Outlook, Verdict
from pytest_inferbench.records.record import Record
from pytest_inferbench.records.run_directory import safe_name
from pytest_inferbench.result import Result
from pytest_inferbench.units import format_quantity

MOST = GROWTH**2
"""Where a suite says nothing, one load has at most so many times the requests of a first load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """
    One load of a search.

    Attributes:
        case: the case at a level, with an id of its own; its confidence is that of one look.
        objectives: those that it is judged by; what is searched for is not among them.
        name: of its folder, below the case's own: ``probe-01-r12.5``.
    """

    case: Case
    objectives: tuple[Objective, ...]
    name: str


def refuse_unsearchable(case: Case, objectives: Sequence[Objective], *, replayed: bool = False) -> None:
    """
    Nothing, where the case does not search, or can be searched with these objectives.

    Raises:
        ConfigError: it is to be sent again (``replayed``), or another tool drives its load; there is no objective besides that on
            what is searched for; one is on a throughput, which more load makes better; or one is on a capacity that is not
            searched for.
    """
    file = case.origin.file if case.origin else None
    spec = case.load.search
    searched = None if spec is None else spec.metric
    for each in objectives:
        if each.metric in SEARCHED and each.metric != searched:
            how = f"search: {{for: {each.metric}, from: 1, to: 100}}"
            raise ConfigError(f"{each.text!r}: this case does not search for it; give its load {how}", file=file, field="slo")
    if spec is None:
        return
    if replayed:
        advice = "what it asks depends on what it sees; replay one of its loads, from its folder"
        raise ConfigError(f"{case.id} searches for its load and cannot be sent again: {advice}", file=file, field="load.search")
    if case.tool is not None:
        raise ConfigError(
            f"the load of {case.tool.name} is its own, and no level of it can be chosen", file=file, field="load.search"
        )
    others = [each for each in objectives if each.metric != spec.metric]
    if not others:
        advice = "give one on a latency, such as ttft_p99 <= 500ms"
        raise ConfigError(f"a search for {spec.metric} needs an objective that is to be held; {advice}", file=file, field="slo")
    for each in others:
        if METRICS[each.metric].kind is Kind.THROUGHPUT and METRICS[each.metric].better is Better.BIGGER:
            said = (
                f"grows with the load, and a search is for the highest load; hold it with a {_level_word(spec)}, in another case"
            )
            raise ConfigError(f"{each.text!r}: {each.metric} {said}", file=file, field="slo")


class Searching:
    """
    The search of one case.

    Args:
        case: has a load that searches.
        objectives: all that hold for it.
        on_progress: told in words where the search is, before each load.

    Attributes:
        words: the last of these words; empty before the first load.

    Raises:
        ConfigError: see `refuse_unsearchable`, or the levels are too many.
    """

    def __init__(
        self, case: Case, objectives: Sequence[Objective], *, on_progress: Callable[[str], None] = lambda _: None
    ) -> None:
        spec = case.load.search
        if spec is None:
            raise ValueError(f"{case.id} does not search for anything")
        refuse_unsearchable(case, objectives)
        self.words = ""
        self._case, self._spec = case, spec
        self._sought = tuple(each for each in objectives if each.metric == spec.metric)
        self._held = tuple(each for each in objectives if each.metric != spec.metric)
        self._on_progress = on_progress
        self._search = _search_of(case, spec, [each.limit for each in self._sought])
        self._best: Result | None = None

    @property
    def capacity(self) -> Capacity:
        """What is known so far."""
        return self._search.found

    @property
    def best(self) -> Result | None:
        """The load at the highest level that passes; where none does, the lowest that was tried; None before the first."""
        return self._best

    @property
    def traces(self) -> Traces | None:
        """The requests of that load."""
        return None if self._best is None else self._best.traces

    def run(self, drive: Callable[[Probe], Result]) -> Capacity:
        """
        Search to the end; ``drive`` drives one load on a server that is at rest, keeps its record and gives back its result.

        What ``drive`` raises ends the search; what was found until then can still be asked for.
        """
        while (ask := self._search.next()) is not None:
            self.words = self._where(ask)
            self._on_progress(self.words)
            probe = self._probe(ask)
            result = drive(probe)
            self._search.told(look_of(ask, result, folder=probe.name))
            self._keep_best(ask, result)
        return self.capacity

    def into(self, record: Record) -> Record:
        """The case's record, as far as the search came: that of its best load, with what all of them say together."""
        found, best = self.capacity, self._best
        if best is None:
            return replace(record, capacity=found)
        of_best = best.record
        summary = of_best.summary
        if summary is not None:
            summary = replace(summary, scalars={**summary.scalars, found.metric: found.value})
        return replace(
            record,
            case=self._case if isnan(found.value) else _at_level(self._case, self._spec, found.value),
            verdict=record.verdict if record.error is not None else self._verdict(of_best.verdict),
            summary=summary,
            audit=of_best.audit,
            findings=of_best.findings,
            planned=of_best.planned,
            telemetry=of_best.telemetry,
            capacity=found,
        )

    def _verdict(self, of_best: Verdict) -> Verdict:
        found = self.capacity
        judgements = (*of_best.judgements, *(judged(each, found) for each in self._sought))
        reasons = (*([found.reason] if found.reason else []), *of_best.reasons)
        if all(look.outlook is Outlook.INVALID for look in found.looks):
            outlook = Outlook.INVALID
        elif self._sought:
            outlook = worst(judgements[len(of_best.judgements) :])
        elif isnan(found.value):
            outlook = Outlook.FAIL if found.monotone and found.high == self._search.levels[0] else Outlook.INCONCLUSIVE
        else:
            outlook = Outlook.PASS
        return Verdict(outlook=outlook, judgements=judgements, reasons=reasons)

    def _keep_best(self, ask: Ask, result: Result) -> None:
        found = self.capacity
        low = found.low if not isnan(found.low) else min(look.level for look in found.looks)
        if ask.level == low:
            self._best = result

    def _probe(self, ask: Ask) -> Probe:
        number = len(self._search.looks) + 1
        at_level = _at_level(self._case, self._spec, ask.level)
        load = replace(at_level.load, search=None, requests=ask.requests, stop_when_sure=False)
        case = replace(
            at_level,
            # Another id: plans draw other words for it, so that no prompt cache knows them from the load before.
            id=f"{self._case.id}-probe{number}-{load.label}",
            load=load,
            confidence=self._search.look_confidence,
            slo=tuple(each.text for each in self._held),
            expected_miss=None,
            # One start for all of them.
            fresh_server=self._case.fresh_server and number == 1,
        )
        return Probe(case=case, objectives=self._held, name=safe_name(f"probe-{number:02}-{load.label}"))

    def _where(self, ask: Ask) -> str:
        """``search: 12.5 req/s passes, 50 req/s fails; trying 25 req/s with 400 requests``."""
        found, unit = self.capacity, SEARCHED[self._spec.metric].unit
        known = [] if isnan(found.low) else [f"{format_quantity(found.low, unit)} passes"]
        if found.high <= self._search.levels[-1]:
            known.append(f"{format_quantity(found.high, unit)} fails")
        so_far = f"{', '.join(known)}; " if known else ""
        return f"search: {so_far}trying {format_quantity(ask.level, unit)} with {ask.requests} requests"


def look_of(ask: Ask, result: Result, *, folder: str) -> Look:
    """
    What a load says of its level: the verdict of its objectives, or a fail where the server did not keep up with the rate.

    No interval can be given for a figure that grows for as long as a load lasts (`objectives.overload`).
    """
    verdict, judgements = result.verdict, result.verdict.judgements
    met = [is_met(each.objective, each.actual) for each in judgements if not isnan(each.actual)]
    leaning = None if not met else Outlook.PASS if all(met) else Outlook.FAIL
    outlook, reasons = verdict.outlook, [each.reason for each in judgements if each.outlook is not Outlook.PASS and each.reason]
    return Look(
        level=ask.level,
        requests=result.record.summary.counts.attempted if result.record.summary is not None else ask.requests,
        outlook=outlook,
        leaning=leaning,
        reason="; ".join((*reasons, *verdict.reasons)) if outlook is not Outlook.PASS else "",
        folder=folder,
        figures=tuple(
            Figure(objective=each.objective.text, limit=each.objective.limit, actual=each.actual, low=each.low, high=each.high)
            for each in judgements
        ),
    )


def _search_of(case: Case, spec: SearchSpec, limits: Sequence[float]) -> Search:
    requests = case.load.requests or 0
    most = spec.most or MOST * requests
    try:
        levels = levels_between(spec.low, spec.high, within=spec.within, whole=spec.closed, also=limits)
    except ValueError as error:
        raise ConfigError(str(error), file=case.origin.file if case.origin else None, field="load.search") from error
    return Search(
        metric=spec.metric,
        levels=levels,
        sizes=sizes_between(requests, most),
        start=max((limit for limit in limits if limit in levels), default=None),
        budget=spec.budget or max(len(levels) * most // 3, most),
        confidence=case.confidence,
    )


def _at_level(case: Case, spec: SearchSpec, level: float) -> Case:
    at = {"concurrency": int(level)} if spec.closed else {"rate_per_s": level}
    return replace(case, load=replace(case.load, **at))


def _level_word(spec: SearchSpec) -> str:
    return "number of users" if spec.closed else "rate"

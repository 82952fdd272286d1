"""
The load of a case from its level and its options, and what of them contradicts each other.

Rule: an option that would do nothing is an error, because whoever wrote it believes that it does something.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import inf

from pytest_inferbench.cases.case import RAMPS, Arrival, Case, Load, SearchSpec
from pytest_inferbench.cases.fields import Fields
from pytest_inferbench.cases.matrix import Level, Options, Row
from pytest_inferbench.errors import ConfigError

REQUESTS_DEFAULT = 100
REQUESTS_MIN = Load().requests_min
SEARCH_REQUESTS_DEFAULT = 500
"""Enough for a first load to be sure of a p99, where few requests are slow and none has much to do with another one."""
CAPACITIES = ("max_rate", "max_concurrency")
SHAPES = ("arrival", "burstiness", "ramp_from", "steps", "ramp_up", "max_in_flight")
"""Options that say how requests arrive, and so belong to a kind of level."""

_DEFAULT: dict[str, Arrival] = {
    "concurrency": "closed",
    "rate": "poisson",
    "sweep": "poisson",
    "trace": "trace",
    "search": "poisson",
}


def load_of(row: Row, fields: Fields) -> Load:
    """
    The load of one row of a matrix; ``fields`` is what was written, for messages that point there.

    Raises:
        ConfigError: the level and the options contradict each other.
    """
    level, options = row.combination.level, row.options
    arrival = options.arrival or ("closed" if _closed(level) else _DEFAULT[level.kind])
    for name, problem in _contradictions(row, arrival):
        raise _at(name, row, fields, problem)
    if level.kind == "sweep" and not level.value:
        return _serial(level, options)
    if level.search is not None:
        return _searched(level.search, options, arrival)
    unbounded = options.requests is None and options.duration is None and level.kind != "trace"
    return Load(
        concurrency=int(level.value) if level.kind == "concurrency" else None,
        rate_per_s=_rate_per_s(level),
        trace=level.trace,
        arrival=arrival,
        requests=REQUESTS_DEFAULT if unbounded else options.requests,
        duration_s=options.duration,
        warmup=options.warmup,
        stop_when_sure=options.stop is not None and _stoppable(level, arrival),
        requests_min=options.least or REQUESTS_MIN,
        burstiness=options.burstiness or 1.0,
        ramp_from_per_s=options.ramp_from,
        steps=options.steps,
        ramp_up_s=options.ramp_up or 0.0,
        max_in_flight=options.max_in_flight,
        time_scale=level.value if level.kind == "trace" else 1.0,
        sweep_place=int(level.value) if level.kind == "sweep" else None,
        sweep_of=level.of,
    )


def _rate_per_s(level: Level) -> float | None:
    """The rate of a level; none yet between the ends of a sweep, the last of which sends all at once."""
    if level.kind == "sweep":
        return inf if level.value > (level.of or 0) else None
    return level.value if level.kind == "rate" else None


def _serial(level: Level, options: Options) -> Load:
    """The idle end of a sweep: one user, to whom nothing applies that shapes rates."""
    requests = REQUESTS_DEFAULT if options.requests is None else options.requests
    return Load(
        concurrency=1,
        requests=requests,
        duration_s=options.duration,
        warmup=options.warmup,
        stop_when_sure=options.stop is not None,
        requests_min=options.least or REQUESTS_MIN,
        sweep_place=0,
        sweep_of=level.of,
    )


def when_sure(case: Case) -> Case:
    """The case with a load that ends as soon as its verdict is sure; itself where there is nothing to end, or it is not ours."""
    load = case.load
    ends = load.steady and load.rate_per_s != inf and case.tool is None
    return replace(case, load=replace(load, stop_when_sure=True)) if ends else case


def _stoppable(level: Level, arrival: Arrival) -> bool:
    """Whether the load may end early: not where all is sent at once, nor where it is another one later."""
    return _rate_per_s(level) != inf and arrival not in (*RAMPS, "trace")


def _searched(search: SearchSpec, options: Options, arrival: Arrival) -> Load:
    """A load whose level is still to be found."""
    return Load(
        arrival=arrival,
        requests=SEARCH_REQUESTS_DEFAULT if options.requests is None else options.requests,
        warmup=options.warmup,
        burstiness=options.burstiness or 1.0,
        ramp_up_s=options.ramp_up or 0.0,
        max_in_flight=options.max_in_flight,
        search=search,
    )


def _closed(level: Level) -> bool:
    return level.kind == "concurrency" or (level.search is not None and level.search.closed)


def _contradictions(row: Row, arrival: Arrival) -> Iterator[tuple[str, str]]:
    """Fields and what is wrong with them; the first is the one to tell."""
    level, options = row.combination.level, row.options
    yield from _of_level(row, arrival)
    yield from _of_capacity(level, options.slo)
    if level.search is not None:
        yield from _of_search(level.search, options, arrival)
    if options.burstiness is not None and arrival != "gamma":
        yield "burstiness", f"does nothing with arrival {arrival}; write arrival: gamma, or leave it out"
    if options.ramp_from is not None and arrival not in RAMPS:
        yield "ramp_from", f"does nothing with arrival {arrival}; write one of {', '.join(RAMPS)}, or leave it out"
    if options.steps is not None and arrival != "steps":
        yield "steps", f"does nothing with arrival {arrival}; write arrival: steps, or leave it out"
    if arrival in RAMPS:
        yield from _of_ramp(level, options, arrival)
    yield from _of_stop(level, options, arrival)
    if _rate_per_s(level) == inf and options.requests is None and options.duration is not None:
        yield "duration", "does not end a load of rate inf, which sends everything at once; give requests"


def _of_stop(level: Level, options: Options, arrival: Arrival) -> Iterator[tuple[str, str]]:
    least = options.least or REQUESTS_MIN
    if options.stop is None:
        if options.least is not None:
            yield "least", "does nothing without stop: when-sure, whose least number of requests it is"
    elif level.kind == "search":
        yield "stop", "does nothing with a search, each of whose loads ends when it is sure; leave it out"
    elif arrival in (*RAMPS, "trace"):
        yield "stop", f"does not go with arrival {arrival}, whose load is not the same throughout; leave it out"
    elif level == Level("rate", inf):
        yield "stop", "does nothing at rate inf, which sends everything at once; leave it out"
    elif options.requests is None and options.duration is None:
        yield "stop", "needs the most that may be sent: give requests, such as 20000, or duration"
    elif options.requests is not None and options.requests <= least:
        yield "stop", f"cannot end before {least} requests, and the load has {options.requests}; give more, or fewer as 'least'"


def _of_level(row: Row, arrival: Arrival) -> Iterator[tuple[str, str]]:
    level, options = row.combination.level, row.options
    closed = _closed(level)
    if level.kind == "concurrency" and arrival != "closed":
        meant = "a number of users is a closed loop; give rate"
        yield "arrival", f"{arrival!r} does not go with concurrency {level.value:g}: {meant}"
    if level.kind == "sweep" and arrival in ("closed", *RAMPS):
        yield "arrival", f"{arrival!r} does not go with a sweep, whose rates are steady; write poisson, constant or gamma"
    if level.kind == "rate" and arrival == "closed":
        meant = f"a rate is no closed loop; write poisson, constant, gamma, {', '.join(RAMPS[:-1])} or {RAMPS[-1]}"
        yield "arrival", f"{arrival!r} does not go with rate {level.value:g}: {meant}"
    if level.kind == "trace" and arrival != "trace":
        yield "arrival", f"{arrival!r} does not go with a trace, which has its own times; leave it out"
    if (level.kind == "trace") != (row.combination.traffic.input_tokens.kind == "trace"):
        yield "traffic", "of a trace and a load level of another kind were mixed; give traffic and rate, or trace alone"
    if options.ramp_up is not None and not closed:
        yield "ramp_up", "is how the users of a closed loop start; give concurrency, or an arrival of linear for a rising rate"
    if options.max_in_flight is not None and closed:
        yield "max_in_flight", "is a cap on an open loop; in a closed loop, concurrency is that already"


def _of_capacity(level: Level, slo: Sequence[str]) -> Iterator[tuple[str, str]]:
    """An objective on a capacity that nobody looks for; only its name is read here, and objectives are read later."""
    searched = None if level.search is None else level.search.metric
    for text in slo:
        name = next((each for each in CAPACITIES if text.strip().startswith(each)), None)
        if name is not None and name != searched:
            how = f"search: {{for: {name}, from: 1, to: 100}} in the load, in place of a level"
            found = "no load has it by itself" if searched is None else f"the search is for {searched}"
            yield "slo", f"{text.strip()!r}: {found}; give {how}"


def _of_search(search: SearchSpec, options: Options, arrival: Arrival) -> Iterator[tuple[str, str]]:
    if search.closed and arrival != "closed":
        yield "arrival", f"{arrival!r} does not go with a search for max_concurrency, whose users are a closed loop; leave it out"
    if not search.closed and arrival in ("closed", *RAMPS):
        meant = "whose rates are steady; write poisson, constant or gamma"
        yield "arrival", f"{arrival!r} does not go with a search for max_rate, {meant}"
    if options.duration is not None:
        yield "duration", "does not go with a search, which counts requests; give requests, those of a first load at a level"
    for name, value in (("stop", options.stop), ("least", options.least)):
        if value is not None:
            yield name, "does nothing in a search, which asks again where few requests are not sure; leave it out"
    requests = SEARCH_REQUESTS_DEFAULT if options.requests is None else options.requests
    if search.most is not None and search.most < requests:
        yield "search", f"most is {search.most}, and a first load has {requests} requests already; give more, or fewer requests"


def _of_ramp(level: Level, options: Options, arrival: Arrival) -> Iterator[tuple[str, str]]:
    if inf in (level.value, options.ramp_from):
        yield "arrival", f"{arrival!r} cannot reach an infinite rate; give a finite one"
    if arrival == "exponential" and options.ramp_from is None:
        yield "ramp_from", "is missing: an exponential ramp multiplies the rate, and cannot begin at none"
    if arrival == "steps" and options.steps is None:
        yield "steps", "is missing: say how many levels the ramp has, such as 5"


def _at(name: str, row: Row, fields: Fields, problem: str) -> ConfigError:
    given = fields.get(name)
    if given is not None and given.value == getattr(row.options, name, None):
        return given.error(problem)
    return ConfigError(problem, file=row.origin.file, line=row.origin.line, field=name)

"""
An automatic sweep: rates between an idle server and a saturated one, found while it is measured.

Rule: every level of a sweep is a case of its own, with its own id, verdict and record; its rate is decided once, from records of
the same session, and then stands in its own record like any other rate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pytest_inferbench.cases.case import Case, Load
from pytest_inferbench.errors import LoadError
from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.records.record import Record


def resolved(case: Case, records: Sequence[Record]) -> Case:
    """
    The case with its rate; every other case as it is.

    The k-th of n rates of a sweep is idle + (saturated - idle) * k / (n + 1), where idle is the ``request_throughput`` of one
    user and saturated that of all requests at once.

    Raises:
        LoadError: one of the two ends was not measured in this session, or its figures say nothing.
    """
    place, of = case.load.sweep_place, case.load.sweep_of
    if not case.load.swept or place is None or of is None:
        return case
    idle, saturated = (_throughput_per_s(case, records, end) for end in (0, of + 1))
    if saturated <= idle:
        raise LoadError(
            f"there is no rate between the ends of this sweep: all requests at once are answered at {saturated:.4g} req/s, one "
            f"user's at {idle:.4g} req/s; ask for more requests, or give rates"
        )
    return replace(case, load=replace(case.load, rate_per_s=idle + (saturated - idle) * place / (of + 1)))


def sweep_lines(records: Sequence[Record]) -> Iterator[str]:
    """What the levels of a sweep asked for and what was sustained, from idle to saturation; nothing where there is no sweep."""
    for record in sorted(records, key=lambda each: each.case.load.sweep_place or 0):
        load, summary = record.case.load, record.summary
        if load.sweep_of is None or summary is None or not summary.counts.completed:
            continue
        asked = f"{load.rate_per_s:.4g} req/s" if load.swept else "all at once" if load.sweep_place else "one user"
        yield f"sweep: {asked}: {summary.scalars['request_throughput']:.4g} req/s answered"


def _throughput_per_s(case: Case, records: Sequence[Record], place: int) -> float:
    ends = [record for record in records if record.case.load.sweep_place == place and _frame(record.case) == _frame(case)]
    what = "one user at a time" if place == 0 else "all requests at once"
    if not ends:
        raise LoadError(
            f"the rate of this case comes from those with {what}, which this session has not measured; select the whole sweep, "
            "without -n"
        )
    summary = ends[-1].summary
    if summary is None or not summary.counts.completed or ends[-1].verdict.outlook is Outlook.INVALID:
        raise LoadError(f"the rate of this case comes from {ends[-1].case.id}, whose figures say nothing: see there")
    return summary.scalars["request_throughput"]


def _frame(case: Case) -> Case:
    """All that the levels of one sweep have in common."""
    load = Load(concurrency=1, sweep_of=case.load.sweep_of)
    return replace(case, id="", load=load, slo=(), origin=None, expected_miss=None)

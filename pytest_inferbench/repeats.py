"""Cases that are measured several times, so that a gate sees how runs differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_inferbench.cases.case import Case

REPEATS_MAX = 1000


def repeated(cases: Sequence[Case], times: int, *, restart: bool) -> tuple[Case, ...]:
    """
    Each case so many times, all of them once before any comes again: what drifts meanwhile hits all of them alike.

    Ids end in ``-rep1``, ``-rep2`` ...; figures of cases whose `Case.base_id` is the same are repeats of each other. With
    ``restart`` each gets a server that has answered nobody before.
    """
    if times == 1 and not restart:
        return tuple(cases)
    return tuple(
        replace(
            case,
            id=case.id if times == 1 else f"{case.id}-rep{repeat}",
            repeat=None if times == 1 else repeat,
            fresh_server=restart or case.fresh_server,
        )
        for repeat in range(1, times + 1)
        for case in cases
    )

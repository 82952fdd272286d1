"""
How many load processes a load needs, and which part of it is whose.

Rule: pure; nothing here looks at the machine.

What a load costs is estimated from its plan: a request costs `REQUEST_CPU_S` and each token that is streamed `TOKEN_CPU_S` of a
core (what ``suites/fidelity/measure.py`` shows of common cores), and an answer of n tokens takes `ANSWER_BEGINS_S` +
n / `USER_TOKENS_PER_S`. How fast the server will be is not known beforehand; in an open loop of a steady rate that does not
matter, since what is in flight longer costs less a second.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from math import ceil

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.cases.case import Case
from pytest_inferbench.load.row import FIRST, ROW_FIELDS

TOKEN_CPU_S = 16e-6
REQUEST_CPU_S = 150e-6
USER_TOKENS_PER_S = 50.0
ANSWER_BEGINS_S = 0.1
BUSY_SHARE_WANTED = 0.6
"""A process that is busier than this may read late when answers come in bursts; the audit allows 90 %."""
WARMUP_USERS = 8


def workers_for(case: Case, plan_rows: Callable[[], bytes], *, warmup: int, cores: int, asked: int | None = None) -> int:
    """
    How many load processes drive a case: as many as keep each at most 60 % busy, but one core stays free, for the server.

    ``plan_rows`` gives the plan's rows as bytes, of which the first ``warmup`` are warm-up; ``cores`` are those that this process
    may use. ``asked`` is what a person asked for, which goes before everything but this: no process is without a user, or without
    a slot of ``max_in_flight``. Unasked, a load with such a cap has one process: several would not lend each other their slots.
    """
    load = case.load
    users = load.concurrency or load.max_in_flight
    most = max(1, cores - 1) if asked is None else max(1, asked)
    most = most if users is None else min(most, users)
    if asked is not None or most == 1:
        return most
    if load.max_in_flight is not None:
        return 1
    return min(most, max(1, ceil(busy_share(case, plan_rows(), warmup=warmup) / BUSY_SHARE_WANTED)))


def busy_share(case: Case, plan_rows: bytes, *, warmup: int) -> float:
    """
    The share of one core that a load is expected to keep busy at its peak; more than 1 where one core is too few.

    Sum over the requests in flight of (request + tokens x token) / time of the answer; its highest value in an open loop.
    """
    rows = np.frombuffer(plan_rows, dtype=np.dtype(list(ROW_FIELDS)))[warmup:]
    if not len(rows):
        return 0.0
    tokens = rows["output_tokens"].astype(np.float64)
    answer_s = ANSWER_BEGINS_S + tokens / USER_TOKENS_PER_S
    cpu_s = REQUEST_CPU_S + TOKEN_CPU_S * tokens * case.api_options.stream
    if case.load.concurrency is not None:
        return float(case.load.concurrency * cpu_s.sum() / answer_s.sum())
    begins_s = _begins_s(rows["due_ns"] / 1e9, rows["after"] != FIRST, answer_s)
    order = np.argsort(np.concatenate((begins_s, begins_s + answer_s)), kind="stable")
    changes = np.concatenate((cpu_s / answer_s, -cpu_s / answer_s))
    return float(np.cumsum(changes[order]).max())


def share(total: int, index: int, workers: int) -> int:
    """How many of ``total`` users or slots belong to one process: numbers ``index``, ``index`` + ``workers``, and so on."""
    return total // workers + (index < total % workers)


def warmup_users(total: int, index: int, workers: int, *, warmup: int) -> int:
    """Users of a process in the warm-up: its share of ``total``, but one where it has rows and would have none to send them."""
    return max(share(total, index, workers), int(index < warmup))


def cores_of_their_own(workers: int, usable: Collection[int]) -> list[int | None]:
    """
    The core of each process: the last ones of those that are usable; None where it may run on any.

    A single process is not pinned, and none is where there are fewer cores than processes.
    """
    if workers == 1 or workers > len(usable):
        return [None] * workers
    return [*sorted(usable)[-workers:]]


def _begins_s(due_s: NDArray[np.float64], follows: NDArray[np.bool_], answer_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """When requests are sent: at their own instants, and later turns after the answer before them and their think time."""
    waits_s = np.where(follows, due_s + np.concatenate(([0.0], answer_s[:-1])), 0.0)
    waited_s = np.cumsum(waits_s)
    first = np.maximum.accumulate(np.where(follows, 0, np.arange(len(due_s))))
    return np.asarray(due_s[first] + waited_s - waited_s[first])

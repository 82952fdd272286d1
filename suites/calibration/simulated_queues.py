"""
Simulated queues of which the truth is known, for many replications at once.

Requests come as a Poisson process, or in rushes; each of ``servers`` slots answers one at a time, first come first served. How
long an answer takes is autocorrelated from request to request (an AR(1) of normal values, made into the service's own
distribution), and may have a heavy tail. Instants and lengths of time are in units of the mean time of service.

Waits follow the recursion of Kiefer and Wolfowitz (*On the theory of queues with many servers*, Trans. AMS 78, 1955), of which
Lindley's is the case of one server: a request starts when it has come and the slot that is free first is free.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Matrix = NDArray[np.float32]
Numbers = NDArray[np.float64]

RUSHED = 0.5
"""Gaps between requests while they rush, in mean gaps; 1.5 of them while they do not."""
STEPS = 10
SLOWEST = 3.0
"""How much slower a full batch is than one request alone."""
_CHUNK = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """
    A queue: its slots, how its service is distributed, and how alike the services of neighbouring requests are.

    ``service`` makes standard normal values into times of service with a mean of 1; ``likeness`` is the correlation of
    neighbouring normal values. ``rush``: how long, in requests, times last in which they come thrice as often as in the times
    between; 0 for a Poisson process. ``batched``: slots share one machine, which is slower the more of them are busy.
    """

    name: str
    servers: int
    service: Callable[[Numbers], Numbers]
    likeness: float
    rush: int = 0
    batched: bool = False

    def rate(self, load: float) -> float:
        """How many requests come a unit of time at a load, which is the share of the most that it can answer."""
        return load * self.servers / (SLOWEST if self.batched else 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """
    What was seen, a replication a row and a request a column, in order of arrival.

    ``latency`` is from arrival to end, ``end`` the instant of the end, ``service`` how long an answer took (and so how many
    tokens it had), and ``start`` the instant from which each row counts.
    """

    latency: Matrix
    service: Matrix
    end: NDArray[np.float64]
    start: Numbers


def lognormal(sigma: float) -> Callable[[Numbers], Numbers]:
    """Times of service whose logarithm has this standard deviation."""
    return lambda normal: np.exp(sigma * normal - sigma**2 / 2)


def pareto(alpha: float, cap: float) -> Callable[[Numbers], Numbers]:
    """Pareto's times of service, (1 - U)^(-1 / alpha), none longer than ``cap`` times the shortest; the mean is 1."""
    mean = (alpha - cap ** (1 - alpha)) / (alpha - 1)
    return lambda normal: np.minimum(ndtr(-normal) ** (-1 / alpha), cap) / mean


def simulate(queue: Queue, load: float, *, shape: tuple[int, int], seed: int) -> Sample:
    """``shape`` replications and requests of a queue at a load (the share of time that its slots work), after its warm-up."""
    if queue.batched:
        return _simulate_batched(queue, load, shape=shape, seed=seed)
    rows, columns = shape
    skipped = warm_up(load)
    random = np.random.default_rng(seed)
    latency, service = np.empty((rows, columns), dtype=np.float32), np.empty((rows, columns), dtype=np.float32)
    end = np.empty((rows, columns))
    free, now = np.zeros((queue.servers, rows)), np.zeros(rows)
    normal, each = random.standard_normal(rows), np.arange(rows)
    start, rushing = now, np.zeros(rows, dtype=np.bool_)
    for first in range(-skipped, columns, _CHUNK):
        count = min(_CHUNK, columns - first)
        gaps = random.exponential(1 / queue.rate(load), (count, rows))
        if queue.rush:
            rushes = rushing ^ (np.cumsum(random.random((count, rows)) < 1 / queue.rush, axis=0) % 2).astype(np.bool_)
            gaps *= np.where(rushes, RUSHED, 2 - RUSHED)
            rushing = rushes[-1]
        normals = _autocorrelated(random.standard_normal((count, rows)), normal, queue.likeness)
        normal, services = normals[-1], queue.service(normals)
        for i in range(count):
            if first + i == 0:
                start = now
            now = now + gaps[i]
            slot = free.argmin(axis=0) if queue.servers > 1 else 0
            done = np.maximum(now, free[slot, each]) + services[i]
            free[slot, each] = done
            if first + i >= 0:
                latency[:, first + i] = done - now
                service[:, first + i] = services[i]
                end[:, first + i] = done
    return Sample(latency=latency, service=service, end=end, start=start)


def _simulate_batched(queue: Queue, load: float, *, shape: tuple[int, int], seed: int) -> Sample:
    """
    A batch that is stepped through: each step gives every request in it a token, and lasts from 1 to `SLOWEST` / `STEPS` units.

    A request of a mean length takes `STEPS` steps. Requests enter the batch between two steps, while it has room.
    """
    rows, columns = shape
    total = columns + warm_up(load)
    random = np.random.default_rng(seed)
    arrival = np.cumsum(random.exponential(1 / queue.rate(load), (total, rows)), axis=0)
    services = queue.service(_autocorrelated(random.standard_normal((total, rows)), random.standard_normal(rows), queue.likeness))
    steps = np.ceil(services * STEPS).astype(np.int64)
    end = np.zeros((total + 1, rows))
    left, who = np.zeros((queue.servers, rows), dtype=np.int64), np.full((queue.servers, rows), total)
    head, now, each = np.zeros(rows, dtype=np.int64), np.zeros(rows), np.arange(rows)
    while (head < total).any() or left.any():
        busy = (left > 0).sum(axis=0)
        following = arrival[np.minimum(head, total - 1), each]
        now = np.where((busy == 0) & (head < total), np.maximum(now, following), now)
        entering = np.flatnonzero((busy < queue.servers) & (head < total) & (following <= now))
        if len(entering):
            slot = left[:, entering].argmin(axis=0)
            left[slot, entering], who[slot, entering] = steps[head[entering], entering], head[entering]
            head[entering] += 1
            continue
        now = now + (1 + (SLOWEST - 1) * busy / queue.servers) / STEPS
        left -= left > 0
        slots, done = np.nonzero((left == 0) & (who < total))
        end[who[slots, done], done] = now[done]
        who[slots, done] = total
    latency = (end[:total] - arrival)[-columns:].T
    service = (steps / STEPS)[-columns:].T
    return Sample(
        latency=latency.astype(np.float32),
        service=service.astype(np.float32),
        end=np.ascontiguousarray(end[total - columns : total].T),
        start=arrival[total - columns],
    )


def warm_up(load: float) -> int:
    """How many requests to leave out until a queue that began empty has forgotten it: 300 / (1 - load)^2, at least 1,000."""
    return max(1000, round(300 / (1 - load) ** 2))


def _autocorrelated(shocks: Numbers, before: Numbers, likeness: float) -> Numbers:
    """x[i] = likeness x[i - 1] + sqrt(1 - likeness^2) shock[i], down the columns."""
    for i in range(len(shocks)):
        shocks[i] = likeness * (before if not i else shocks[i - 1]) + sqrt(1 - likeness**2) * shocks[i]
    return shocks


OTHERS = (
    Queue(name="M/G/8 in rushes, lognormal", servers=8, service=lognormal(0.8), likeness=0.3, rush=100),
    Queue(name="batch of 16, lognormal", servers=16, service=lognormal(0.8), likeness=0.5, batched=True),
)
"""Queues of other kinds, on which no constant of the method was chosen."""
QUEUES = (
    Queue(name="M/G/1, lognormal", servers=1, service=lognormal(0.6), likeness=0.3),
    Queue(name="M/G/8, lognormal", servers=8, service=lognormal(1.0), likeness=0.7),
    Queue(name="M/G/8, Pareto", servers=8, service=pareto(1.8, 100), likeness=0.5),
    Queue(name="M/G/32, lognormal", servers=32, service=lognormal(0.6), likeness=0.9),
)
LOADS = (0.3, 0.5, 0.7, 0.8, 0.9)

"""
Whether more requests came than a server can answer, so that a queue grew for as long as they came.

A percentile of such a load has no true value to be sure of: each request waits longer than the one before it, and values that
only grow count as a few independent ones, however many there are. What is sure is that it would not end.

The number in flight of a queue that keeps up, even only just, is less than a random walk without a drift, reflected at its
start; so what it grows by within some time is less than the size of that walk, |B(t)| (Harrison, *Brownian motion and stochastic
flow systems*, 1985). More than the quantile of that is growth. How far the walk goes is estimated from what the number changed by
in equal parts of the time.

The first third of the time is left out, and at least twice as long as the first requests took: until then a server fills up.
"""

from __future__ import annotations

from dataclasses import replace
from math import isfinite

import numpy as np

from pytest_inferbench.load.trace import MISSING, Traces
from pytest_inferbench.objectives.bounds import t_quantile as quantile
from pytest_inferbench.objectives.decide import Claim, Decision, Kind
from pytest_inferbench.objectives.dependence import Series, in_batches
from pytest_inferbench.objectives.verdict import Outlook

OUTGROWN = "more requests came than were answered for as long as they came, so every one would wait longer than the one before"
PARTS = 20
GROWTH_MIN = 3.0
"""Requests: fewer more in flight at the end than at the beginning say nothing, however evenly they came."""
_FILLING = 1 / 3
_FILLING_MAX = 2 / 3
_FIRST_SHARE, _FIRST_MIN = 0.05, 5


def or_outgrown(found: Decision, claim: Claim, traces: Traces, *, confidence: float) -> Decision:
    """
    A decision on a claim about a load; a fail where it is not sure, and a latency is over its limit in a queue that only grew.

    No interval can be given for such a latency, and none is needed.
    """
    latency = claim.kind in {Kind.PERCENTILE, Kind.MEAN}
    if found.outlook is not Outlook.INCONCLUSIVE or not latency or claim.met_by(found.actual):
        return found
    return replace(found, outlook=Outlook.FAIL, reason=OUTGROWN) if overloaded(traces, confidence=confidence) else found


def overloaded(traces: Traces, *, confidence: float) -> bool:
    """Whether an open loop sent more than its server could answer; see `outgrown`."""
    if not traces.open_loop or not len(traces):
        return False
    begin_ns = traces.intended_send_ns.min()
    ended_s = np.where(np.equal(traces.end_ns, MISSING), np.inf, (traces.end_ns - begin_ns) / 1e9)
    return outgrown((traces.intended_send_ns - begin_ns) / 1e9, ended_s, confidence=confidence)


def outgrown(sent_s: Series, ended_s: Series, *, confidence: float = 0.95) -> bool:
    """
    Whether the number in flight grew for sure while requests were sent.

    ``sent_s`` are the instants at which requests were meant to be sent, ``ended_s`` those at which they ended, in the same order;
    infinite where one never did. With a server that keeps up this is wrong with at most the chance 1 - confidence.
    """
    if len(sent_s) < PARTS:
        return False
    order = np.argsort(sent_s, kind="stable")
    sent_s, ended_s = sent_s[order], ended_s[order]
    begin_s, end_s = float(sent_s[0]), float(sent_s[-1])
    first = max(_FIRST_MIN, int(_FIRST_SHARE * len(sent_s)))
    filling_s = max(_FILLING * (end_s - begin_s), 2 * float(np.median(ended_s[:first] - sent_s[:first])))
    if not isfinite(filling_s) or filling_s > _FILLING_MAX * (end_s - begin_s):
        return False
    edges_s = np.linspace(begin_s + filling_s, end_s, PARTS + 1)
    in_flight = np.searchsorted(sent_s, edges_s, side="right") - np.searchsorted(np.sort(ended_s), edges_s, side="right")
    each = in_batches(np.diff(in_flight).astype(np.float64), PARTS)
    likely = quantile((1 + confidence) / 2, PARTS - 1) * each.error
    return each.mean > likely and each.mean * PARTS >= GROWTH_MIN

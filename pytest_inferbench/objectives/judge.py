"""
From figures to a verdict.

Rule: nothing that is wrong is ever green. A request that did not complete is over every limit, a case whose figures must not be
believed is invalid whatever they say, and what could not be measured, or is not sure, is inconclusive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan, nan

import numpy as np

from pytest_inferbench.cases.confidence import CONFIDENCE
from pytest_inferbench.load.audit import Finding
from pytest_inferbench.load.trace import Outcome, Traces
from pytest_inferbench.metrics.books import contradictions
from pytest_inferbench.metrics.goodput import GOODPUT, good_requests
from pytest_inferbench.metrics.metric import Kind, Latency
from pytest_inferbench.metrics.registry import METRICS
from pytest_inferbench.metrics.summary import Counts, Summary
from pytest_inferbench.metrics.totals import total
from pytest_inferbench.objectives.decide import decide
from pytest_inferbench.objectives.evidence import evidence_of, silent, tokens_lost
from pytest_inferbench.objectives.limits import goodput_limits
from pytest_inferbench.objectives.overload import or_outgrown
from pytest_inferbench.objectives.percentile import requests_needed, statistic_of
from pytest_inferbench.objectives.slo import parse_objective
from pytest_inferbench.objectives.verdict import Judgement, Objective, Outlook, Verdict

NO_ERRORS = parse_objective("error_rate <= 0")
"""Holds for every case that has no objective of its own on the error rate."""

_NO_PROMPT_COUNT = "the prompt tokens of some requests are known neither from the server's usage nor from a tokenizer"
_NO_OUTPUT_COUNT = "some answers came whole, and the server did not say how many tokens they have"
_UNKNOWN = {
    "input_throughput": _NO_PROMPT_COUNT,
    "output_throughput": _NO_OUTPUT_COUNT,
    "steady_output_throughput": "some answers came whole, and nobody knows when their tokens came",
    "total_throughput": f"{_NO_PROMPT_COUNT}, or {_NO_OUTPUT_COUNT}",
}
_WORST_FIRST = (Outlook.INVALID, Outlook.FAIL, Outlook.INCONCLUSIVE, Outlook.PASS)
_REASONS_MAX = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Sureness:
    """
    How sure a verdict has to be.

    Attributes:
        confidence: that each outlook is right, stated; 0: the figures as seen are held against the limits.
        looks: how often the case may have been looked at, the last time included; each may err with an equal part of the rest.
    """

    confidence: float = CONFIDENCE
    looks: int = 1

    @property
    def of_each_look(self) -> float:
        """The confidence of this look, so that all together keep the stated one (Bonferroni)."""
        return 1 - (1 - self.confidence) / self.looks


def judge(
    objectives: Sequence[Objective],
    traces: Traces,
    *,
    summary: Summary,
    findings: Sequence[Finding] = (),
    sureness: Sureness | None = None,
) -> Verdict:
    """
    Hold a case's figures against its objectives.

    ``findings`` are what the client found out about itself. A case of which no request completed fails, with the server's own
    words; one that nothing was sent for, that was stopped before anything completed, or that the client itself spoiled is
    invalid, and so is each of its judgements.
    """
    spoiled = invalid_reasons(traces, summary=summary, findings=findings)
    if not any(objective.metric == NO_ERRORS.metric for objective in objectives):
        objectives = (*objectives, NO_ERRORS)
    if spoiled:
        return Verdict(outlook=Outlook.INVALID, judgements=_unjudged(objectives), reasons=spoiled)
    limits = goodput_limits(objectives)
    held = tuple(_judgement(objective, traces, summary=summary, limits=limits) for objective in objectives)
    judgements = tuple(_sure(each, traces, limits=limits, sureness=sureness or Sureness()) for each in held)
    return Verdict(outlook=worst(judgements), judgements=judgements, reasons=_faults(traces, summary.counts))


def judge_summary(objectives: Sequence[Objective], summary: Summary, *, told_by: str) -> Verdict:
    """
    Hold figures that another tool told against objectives, where there are no requests to look at.

    ``told_by`` is that tool. A figure that it does not tell, or by another definition than ours, is inconclusive; so is every
    latency where a request did not complete, since tools leave these out.
    """
    if not any(objective.metric == NO_ERRORS.metric for objective in objectives):
        objectives = (*objectives, NO_ERRORS)
    counts = summary.counts
    if not counts.attempted:
        reason = f"{told_by} tells of no request; give it more to do"
        return Verdict(outlook=Outlook.INVALID, judgements=_unjudged(objectives), reasons=(reason,))
    judgements = tuple(_judged_as_told(objective, summary, told_by) for objective in objectives)
    lost = counts.attempted - counts.completed
    reasons = (f"{lost} of {counts.attempted} requests did not complete, says {told_by}",) if lost else ()
    return Verdict(outlook=worst(judgements), judgements=judgements, reasons=reasons)


def _judged_as_told(objective: Objective, summary: Summary, told_by: str) -> Judgement:
    unknown = f"{told_by} does not tell it, or by another definition than ours"
    if objective.statistic is None:
        actual = summary.scalars.get(objective.metric, nan)
        return _held(objective, actual, reason=unknown if isnan(actual) else "")
    found = summary.distributions.get(objective.metric)
    actual = nan if found is None else float(getattr(found, objective.statistic, nan))
    if summary.counts.completed < summary.counts.attempted and not isnan(actual):
        return _held(objective, nan, reason=f"{told_by} leaves out requests that did not complete, which count as endless")
    return _held(objective, actual, reason=unknown if isnan(actual) else "")


def invalid_reasons(traces: Traces, *, summary: Summary, findings: Sequence[Finding] = ()) -> tuple[str, ...]:
    """Why the figures of a case must not be believed; empty where they may be."""
    counts = summary.counts
    reasons = [f"{finding.what}; {finding.advice}" for finding in findings if finding.invalidates]
    if not counts.attempted:
        reasons.append("no request was sent; give the load more requests or a longer duration")
    elif counts.cancelled == counts.attempted:
        reasons.append("every request was stopped before it completed; give the load more time")
    reasons += [f"{each}; this is a fault of the harness, please report it" for each in contradictions(traces)]
    if counts.attempted != len(traces):
        reasons.append(f"the summary is of {counts.attempted} requests and the traces of {len(traces)}; pass those of one case")
    return tuple(reasons)


def worst(judgements: Sequence[Judgement]) -> Outlook:
    """The worst outlook of several: invalid, then fail, then inconclusive, then pass."""
    return min((judgement.outlook for judgement in judgements), key=_WORST_FIRST.index, default=Outlook.INCONCLUSIVE)


def reasons_counted(errors: Sequence[str], *, most: int = _REASONS_MAX) -> tuple[str, ...]:
    """``12 x HTTP 503: overloaded``, the commonest first; what is beyond ``most`` is counted together."""
    common = Counter(errors).most_common()
    lines = [f"{times} x {words}" for words, times in common[:most]]
    rest = common[most:]
    if rest:
        lines.append(f"{sum(times for _, times in rest)} x other reasons ({len(rest)} kinds)")
    return tuple(lines)


def _unjudged(objectives: Sequence[Objective]) -> tuple[Judgement, ...]:
    reason = "not judged: the case is invalid"
    return tuple(_decided(objective, Outlook.INVALID, actual=float("nan"), reason=reason) for objective in objectives)


def _faults(traces: Traces, counts: Counts) -> tuple[str, ...]:
    """What the server got wrong, in its own words."""
    if counts.completed == counts.attempted:
        return ()
    head = f"{counts.attempted - counts.completed} of {counts.attempted} requests did not complete"
    if not counts.completed:
        head = f"none of {counts.attempted} requests completed"
    lost = [traces.errors.get(int(row), "no reason was recorded") for row in np.flatnonzero(~traces.completed)]
    return (head, *reasons_counted(lost))


def _judgement(objective: Objective, traces: Traces, *, summary: Summary, limits: dict[str, float]) -> Judgement:
    definition = METRICS[objective.metric]
    if isinstance(definition, Latency):
        return _judged_latency(objective, definition, traces)
    if definition is GOODPUT:
        # Computed here, from the limits of these very objectives, whatever the summary was made with.
        actual = GOODPUT.compute(total(traces, good=good_requests(traces, limits)))
        return _held(objective, actual, reason=_goodput_reason(limits))
    actual = summary.scalars[objective.metric]
    return _held(objective, actual, reason=_scalar_reason(objective.metric, summary, actual=actual))


def _sure(seen: Judgement, traces: Traces, *, limits: dict[str, float], sureness: Sureness) -> Judgement:
    """The judgement of a figure as it was seen, made sure; as it is where no confidence is asked, or none can be."""
    # Where nothing completed there is nothing to be unsure of.
    if isnan(seen.actual) or not traces.completed.any():
        return seen
    if not sureness.confidence:
        return replace(seen, reason="; ".join(part for part in (seen.reason, _too_few(seen.objective, len(traces))) if part))
    evidence = evidence_of(seen.objective, traces, limits=limits)
    if evidence is None:
        return seen
    confidence = sureness.of_each_look
    found = or_outgrown(
        decide(evidence.claim, evidence.values, confidence=confidence), evidence.claim, traces, confidence=confidence
    )
    reason = "; ".join(part for part in (seen.reason, found.reason) if part)
    return replace(
        seen,
        outlook=found.outlook,
        reason=reason,
        low=found.low,
        high=found.high,
        confidence=sureness.confidence,
        counting=found.counting,
    )


def _too_few(objective: Objective, requests: int) -> str:
    """What to know of a percentile of few requests that is taken as it was seen; empty where they are enough."""
    needed = requests_needed(objective.statistic) if objective.statistic else 1
    if requests >= needed:
        return ""
    return f"as seen: {requests} requests cannot establish a {objective.statistic}, at least {needed} can"


def _judged_latency(objective: Objective, latency: Latency, traces: Traces) -> Judgement:
    statistic = objective.statistic or "max"
    samples = latency.compute(traces)
    endless = _endless(latency, traces)
    actual = statistic_of(samples, statistic, endless=endless)
    return _held(objective, actual, reason=_latency_reason(latency, traces, samples_count=samples.size))


def _endless(latency: Latency, traces: Traces) -> int:
    """How many values of a latency never came to an end: at least one for each request that did not complete."""
    if latency.kind is not Kind.PER_REQUEST:
        return int(tokens_lost(traces).sum())
    return int(np.count_nonzero(~traces.completed)) + int(np.count_nonzero(silent(latency, traces)))


def _held(objective: Objective, actual: float, *, reason: str) -> Judgement:
    if isnan(actual):
        return _decided(objective, Outlook.INCONCLUSIVE, actual=actual, reason=f"could not be measured: {reason}")
    outlook = Outlook.PASS if is_met(objective, actual) else Outlook.FAIL
    return _decided(objective, outlook, actual=actual, reason=reason)


def is_met(objective: Objective, actual: float) -> bool:
    """Whether a value in the metric's unit meets the objective."""
    limit = objective.limit
    return {"<=": actual <= limit, "<": actual < limit, ">=": actual >= limit, ">": actual > limit}[objective.operator]


def _decided(objective: Objective, outlook: Outlook, *, actual: float, reason: str) -> Judgement:
    unit = METRICS[objective.metric].unit
    return Judgement(objective=objective, outlook=outlook, actual=actual, unit=unit, reason=reason)


def _latency_reason(latency: Latency, traces: Traces, *, samples_count: int) -> str:
    """What a reader must know of a latency's figure; empty where it speaks for itself."""
    attempted, completed = len(traces), int(np.count_nonzero(traces.completed))
    parts = []
    if attempted > completed:
        parts.append(f"{attempted - completed} of {attempted} requests did not complete and count as endless")
    if not samples_count and completed:
        parts.append(f"none of {completed} completed requests has a {latency.title}")
    elif latency.kind is Kind.PER_REQUEST and samples_count < completed:
        parts.append(f"{completed - samples_count} of {completed} completed requests have no {latency.title}")
    return "; ".join(parts)


def _goodput_reason(limits: dict[str, float]) -> str:
    if not limits:
        return "no objective on ttft, tpot or e2e beside it, so every completed request counts as good"
    return "good: " + ", ".join(f"{name} <= {limit:g} ms" for name, limit in limits.items())


def _scalar_reason(name: str, summary: Summary, *, actual: float) -> str:
    counts = summary.counts
    lost = counts.attempted - counts.completed
    if name == NO_ERRORS.metric and lost:
        kinds = {Outcome.FAILED: counts.failed, Outcome.TIMED_OUT: counts.timed_out, Outcome.CANCELLED: counts.cancelled}
        each = ", ".join(f"{number} {kind.name.lower().replace('_', ' ')}" for kind, number in kinds.items() if number)
        return f"{lost} of {counts.attempted} requests did not complete: {each}"
    if isnan(actual) and name.startswith("steady_") and isnan(summary.scalars["steady_window"]):
        return "the load was never steady: ask for more requests, or a longer one"
    if isnan(actual) and summary.window_s > 0:
        return _UNKNOWN.get(name, "it has no value")
    return "the load took no time" if isnan(actual) else ""

"""
What a person reads when a case did not pass.

Rule: pure text from plain arguments. Three faults are never mixed up: an SLO missed (the server answered, too slowly), a server
fault (it did not answer), and an invalid case (the figures must not be believed).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, isinf, isnan

from pytest_inferbench.cases.confidence import confidence_text
from pytest_inferbench.metrics.registry import METRICS
from pytest_inferbench.metrics.summary import Counts
from pytest_inferbench.objectives.judge import NO_ERRORS, reasons_counted
from pytest_inferbench.objectives.verdict import Judgement, Objective, Outlook, Verdict
from pytest_inferbench.redaction import redact_text
from pytest_inferbench.units import format_quantity

_WORDS_MAX = 240
_DECIMALS_MAX = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """
    What is said around a verdict.

    ``engine`` is who answered, in words; ``log`` its log file; ``again`` the command that runs just this case again; ``errors``
    the reason of each request that did not complete, one each.
    """

    case_id: str
    counts: Counts | None = None
    engine: str | None = None
    log: str | None = None
    again: str | None = None
    errors: tuple[str, ...] = ()


def explain(verdict: Verdict, context: Context) -> str:
    """
    The text of a case's failed assertion: what was missed and by how much, which case, who answered, how to run it again.

    Also says why a case is invalid or inconclusive, and what was met where it passed.
    """
    lines = [*_headlines(verdict, context.counts), _case_line(context)]
    lines += _labelled("errors", reasons_counted(tuple(_one_line(error) for error in context.errors)))
    who = [part for part in (context.engine, context.log and f"log {context.log}") if part]
    lines += _labelled("engine", (", ".join(who),) if who else ())
    lines += _labelled("again", (context.again,) if context.again else ())
    return "\n".join(redact_text(line) for line in lines)


def headline(judgement: Judgement) -> str:
    """One judgement in one line: ``SLO missed: ttft_ms_p99 = 412.6, limit 350.0 (+17.9 %)``."""
    objective = judgement.objective
    if judgement.outlook is Outlook.INVALID:
        return f"INVALID: {objective.text}: {judgement.reason}"
    if judgement.outlook is Outlook.INCONCLUSIVE:
        seen = "" if isnan(judgement.actual) else f"{_figures(judgement.actual, objective)[0]} seen{between(judgement)}; "
        return f"INCONCLUSIVE: {objective.text}: {seen}{judgement.reason}"
    start = "SLO missed" if judgement.outlook is Outlook.FAIL else "SLO met"
    reason = f"; {judgement.reason}" if judgement.reason else ""
    return f"{start}: {_column(objective)} = {_comparison(judgement.actual, objective)}{between(judgement)}{reason}"


def between(judgement: Judgement) -> str:
    """``, 95 % sure: 380.2 to 431.0``: what the true figure lies between; empty where nobody asked, or where it is a fact."""
    low, high = judgement.low, judgement.high
    if not judgement.confidence or isnan(low) or isnan(high) or low == high:
        return ""
    unit = METRICS[judgement.objective.metric].unit
    ends = [format_quantity(end, "1") if unit == "1" else "endless" if isinf(end) else f"{end:.1f}" for end in (low, high)]
    return f", {confidence_text(judgement.confidence)} sure: {ends[0]} to {ends[1]}"


def _headlines(verdict: Verdict, counts: Counts | None) -> list[str]:
    if verdict.outlook is Outlook.INVALID:
        return [f"INVALID: {reason}" for reason in map(_one_line, verdict.reasons)] or ["INVALID: no figure can be believed"]
    wrong = [judgement for judgement in verdict.judgements if judgement.outlook is not Outlook.PASS]
    # No figure tells what a server that died, or answered nothing, got wrong: its own words do.
    fault = verdict.outlook is Outlook.FAIL and (not wrong or counts is None or not counts.completed)
    first = [f"Server fault: {_one_line(reason)}" for reason in verdict.reasons[:1] if fault]
    # The objective that nobody wrote is no news where it is met, or where the line above has said it.
    shown = [each for each in wrong or verdict.judgements if each.objective != NO_ERRORS or (wrong and not fault)]
    return first + [headline(judgement) for judgement in shown]


def _case_line(context: Context) -> str:
    line = f"  case    {context.case_id}"
    if context.counts is None:
        return line
    counts = context.counts
    ways = {"failed": counts.failed, "timed out": counts.timed_out, "cancelled": counts.cancelled}
    # "0 failed" is worth saying; that nothing was cancelled is not.
    parts = [f"{number} {way}" for way, number in ways.items() if number or way == "failed"]
    return f"{line}      requests {counts.attempted} sent, {counts.completed} ok, {', '.join(parts)}"


def _labelled(label: str, lines: tuple[str, ...]) -> list[str]:
    return [f"  {label if not i else '':<7} {line}" for i, line in enumerate(lines)]


def _one_line(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _WORDS_MAX else flat[: _WORDS_MAX - 1] + "…"


def _column(objective: Objective) -> str:
    column = METRICS[objective.metric].column
    return column if objective.statistic is None else f"{column}_{objective.statistic}"


def _comparison(actual: float, objective: Objective) -> str:
    """``412.6, limit 350.0 (+17.9 %)``; ratios as percent; no percentage of nothing or of infinity."""
    strict = {"<": "below ", ">": "above "}.get(objective.operator, "")
    shown, limit = _figures(actual, objective)
    off = f" ({(actual / objective.limit - 1) * 100:+.1f} %)" if objective.limit and isfinite(actual) else ""
    return f"{shown}, limit {strict}{limit}{off}"


def _figures(actual: float, objective: Objective) -> tuple[str, str]:
    """Actual and limit with as many decimals as it takes to tell them apart."""
    if METRICS[objective.metric].unit == "1":
        return format_quantity(actual, "1"), format_quantity(objective.limit, "1")
    if isinf(actual):
        return "endless", f"{objective.limit:.1f}"
    for decimals in range(1, _DECIMALS_MAX + 1):
        figures = f"{actual:.{decimals}f}", f"{objective.limit:.{decimals}f}"
        if figures[0] != figures[1] or actual == objective.limit:
            return figures
    return repr(actual), repr(objective.limit)

"""What stands on top of the report: the verdict of the run in a sentence, the table of its cases, and the charts across them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import escape

from pytest_inferbench.objectives.verdict import Judgement, Outlook
from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting.case_page import pill, words
from pytest_inferbench.reporting.figures import NOTHING, count, limit, number
from pytest_inferbench.reporting.interactive import asset, chart_div, plotly_js
from pytest_inferbench.reporting.overview_charts import Group, comparison_charts, groups, sweep_charts
from pytest_inferbench.reporting.terminal import reasons, statistic

_SWEEPS_OPEN = 3
_COLUMNS = (
    ("TTFT p50", "ms", ("ttft", "p50")),
    ("TTFT p99", "ms", ("ttft", "p99")),
    ("TPOT p50", "ms", ("tpot", "p50")),
    ("TPOT p99", "ms", ("tpot", "p99")),
    ("E2E p99", "ms", ("e2e", "p99")),
)
_WORST_FIRST = (Outlook.INVALID, Outlook.FAIL, Outlook.INCONCLUSIVE, Outlook.PASS)


def verdict_sentence(records: Sequence[Record], expected: Collection[str] = ()) -> str:
    """
    The verdict of the run in one sentence, plain text.

    Args:
        records: all cases of the run.
        expected: node ids of cases that are marked as expected to fail.
    """
    if not records:
        return "No case was measured."
    passed = sum(record.verdict.outlook is Outlook.PASS for record in records)
    missed = [record for record in records if record.verdict.outlook is not Outlook.PASS]
    bad = [record for record in missed if record.node_id not in expected]
    parts = [
        f"{sum(record.verdict.outlook is each for record in bad)} {_MEANING[each]}" for each in _WORST_FIRST if _any(bad, each)
    ]
    if len(bad) < len(missed):
        parts.append(f"{len(missed) - len(bad)} failed as expected")
    if not parts:
        return "The only case passes." if len(records) == 1 else f"All {len(records)} cases pass."
    return f"{passed} of {len(records)} case{'' if len(records) == 1 else 's'} pass; {', '.join(parts)}."


_MEANING = {
    Outlook.INVALID: "could not be measured",
    Outlook.FAIL: "missed an objective",
    Outlook.INCONCLUSIVE: "had too few requests to tell",
    Outlook.PASS: "passed",
}


def _any(records: Sequence[Record], outlook: Outlook) -> bool:
    return any(record.verdict.outlook is outlook for record in records)


def overview_html(records: Sequence[Record], expected: Collection[str] = ()) -> str:
    """The overview of the run, with the report's style and, once, its scripts."""
    found = groups(records)
    sweeps = [group for group in found if len(group.records) > 1]
    parts = [
        f"<style>{asset('report.css')}</style>",
        '<section class="ib-overview">',
        f'<p class="ib-verdict ib-{_worst(records, expected).value}">{words(verdict_sentence(records, expected))}</p>',
        _simulated_note(records),
        _cases_table(records, expected),
        _charts(found),
        *(_sweep(group, is_open=position < _SWEEPS_OPEN) for position, group in enumerate(sweeps)),
        "</section>",
    ]
    return "".join(parts)


def scripts_html() -> str:
    """plotly.js and the few lines that draw the charts with it: once in a report."""
    return f"<script>{plotly_js()}</script><script>{asset('report.js')}</script>"


def _worst(records: Sequence[Record], expected: Collection[str]) -> Outlook:
    outlooks = {record.verdict.outlook for record in records if record.node_id not in expected}
    return next((each for each in _WORST_FIRST if each in outlooks), Outlook.PASS)


def _simulated_note(records: Sequence[Record]) -> str:
    simulated = sum(record.simulated for record in records)
    if not simulated:
        return ""
    return (
        f'<p class="ib-banner">SIMULATED: {simulated} of {len(records)} cases ran against the simulated model server; '
        "none of their figures was measured on real hardware.</p>"
    )


def _cases_table(records: Sequence[Record], expected: Collection[str]) -> str:
    heads = "".join(f"<th>{name} <small>{unit}</small></th>" for name, unit, _ in _COLUMNS)
    head = f"<tr><th>case</th><th>verdict</th><th>requests</th>{heads}<th>output <small>tok/s</small></th></tr>"
    rows = "".join(_case_row(record, expected=record.node_id in expected) for record in records)
    return f'<table class="ib-table ib-wide ib-cases"><thead>{head}</thead><tbody>{rows}</tbody></table>'


def _case_row(record: Record, *, expected: bool) -> str:
    summary = record.summary
    limits = _limits(record)
    cells = [_cell(statistic(record, *where), limits.get(where)) for _, _, where in _COLUMNS]
    throughput = summary.scalars.get("output_throughput") if summary else None
    cells.append(_cell(throughput, limits.get(("output_throughput", None))))
    requests = f"{count(summary.counts.completed)}/{count(summary.counts.attempted)}" if summary else NOTHING
    why = "".join(f'<div class="ib-note">{words(reason)}</div>' for reason in reasons(record))
    badges = (' <span class="ib-pill ib-simulated">SIMULATED</span>' if record.simulated else "") + (
        ' <span class="ib-note">expected</span>' if expected and record.verdict.outlook is not Outlook.PASS else ""
    )
    lead = f"<td>{words(record.case.id)}{why}</td><td>{pill(record.verdict.outlook)}{badges}</td>"
    return f'<tr>{lead}<td class="ib-figure">{requests}</td>{"".join(cells)}</tr>'


def _limits(record: Record) -> dict[tuple[str, str | None], Judgement]:
    """The judgement of each figure that an objective speaks of."""
    return {(each.objective.metric, each.objective.statistic): each for each in record.verdict.judgements}


def _cell(value: float | None, judgement: Judgement | None) -> str:
    if judgement is None:
        return f'<td class="ib-figure">{number(value)}</td>'
    objective = judgement.objective
    note = f'<div class="ib-note">{escape(limit(objective.operator, objective.limit))}</div>'
    return f'<td class="ib-figure ib-is-{judgement.outlook.value}">{number(value)}{note}</td>'


def _charts(found: Sequence[Group]) -> str:
    charts = comparison_charts(found)
    return (
        f'<h3>Cases against each other</h3><div class="ib-charts ib-wide-charts">{"".join(map(chart_div, charts))}</div>'
        if charts
        else ""
    )


def _sweep(group: Group, *, is_open: bool) -> str:
    charts = "".join(map(chart_div, sweep_charts(group)))
    what = {"concurrency": "users at once", "rate": "request rate", "speed": "speed of replay"}[group.axis]
    summary = f"<summary>{words(group.name)}: {len(group.records)} cases by {what}</summary>"
    return (
        f'<details class="ib-sweep"{" open" if is_open else ""}>{summary}<div class="ib-charts ib-four">{charts}</div></details>'
    )

"""
What stands on top of the report: the verdict of the run, what changed, what needs a look, and the charts across its cases.

The charts here are drawings that need no script; where one may run, it draws in their place ones that can be asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from html import escape

from pytest_inferbench.objectives.verdict import Judgement, Outlook
from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting.case_page import pill, words
from pytest_inferbench.reporting.changes_section import Changes, changes_html, regressed
from pytest_inferbench.reporting.definitions import definitions_html
from pytest_inferbench.reporting.figures import NOTHING, count, length_of_time, limit, number
from pytest_inferbench.reporting.interactive import asset, embedded, still_chart
from pytest_inferbench.reporting.overview_charts import comparison_charts, groups, pareto_chart
from pytest_inferbench.reporting.run_table import run_table
from pytest_inferbench.reporting.terminal import reasons, statistic

_ATTENTION_MAX = 8
_TABLE_OPEN_MAX = 12
_COLUMNS = (
    ("TTFT p50", "ms", ("ttft", "p50")),
    ("TTFT p99", "ms", ("ttft", "p99")),
    ("TPOT p50", "ms", ("tpot", "p50")),
    ("TPOT p99", "ms", ("tpot", "p99")),
    ("E2E p99", "ms", ("e2e", "p99")),
)
_WORST_FIRST = (Outlook.INVALID, Outlook.FAIL, Outlook.INCONCLUSIVE, Outlook.PASS)
_NAMES_MAX = 3


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


def overview_html(records: Sequence[Record], expected: Collection[str] = (), *, changes: Changes | None = None) -> str:
    """The overview of the run, with the report's style."""
    parts = [
        f"<style>{asset('report.css')}</style>",
        '<section class="ib-overview">',
        _verdict(records, expected, changes),
        _simulated_note(records),
        changes_html(changes),
        _attention(records, expected),
        '<div class="ib-filters" id="ib-filters" hidden></div>',
        _charts(records),
        _cases_table(records, expected),
        definitions_html(records),
        "</section>",
        '<h3 class="ib-all-tests">All tests</h3>',
    ]
    return "".join(parts)


def scripts_html(records: Sequence[Record], expected: Collection[str] = (), packed: Sequence[str] = ()) -> str:
    """The data of the report, once, and the scripts that draw them."""
    return (
        f'<script type="application/json" id="ib-run">{embedded(run_table(records, expected))}</script>'
        f'<script type="text/plain" id="ib-packed-cases">{chr(10).join(packed)}</script>'
        f"<script>{asset('chart.js')}</script><script>{asset('overview.js')}</script><script>{asset('report.js')}</script>"
    )


def _verdict(records: Sequence[Record], expected: Collection[str], changes: Changes | None) -> str:
    outlook, sentence = _worst(records, expected), verdict_sentence(records, expected)
    if changes is not None and (worse := regressed(changes.comparisons)):
        # Whoever reads one line must not take a run for good that is slower than the one before.
        outlook = Outlook.FAIL if outlook is not Outlook.INVALID else outlook
        sentence += f" {worse} {'is' if worse == 1 else 'are'} worse than in {changes.baseline}."
    sentence = f'<p class="ib-verdict ib-{outlook.value}">{words(sentence)}</p>'
    listed = "".join(f"<div><dt>{name}</dt><dd>{words(value)}</dd></div>" for name, value in _facts(records))
    return f'{sentence}<dl class="ib-facts ib-run-facts">{listed}</dl>'


def _facts(records: Sequence[Record]) -> list[tuple[str, str]]:
    """What was run, in a line."""
    summaries = [record.summary for record in records if record.summary]
    found = [
        ("models", _names(record.case.model for record in records)),
        ("engines", _names(record.case.engine.name for record in records)),
        ("hardware", _names(record.case.hardware for record in records)),
        ("cases", count(len(records))),
        ("requests", count(sum(summary.counts.attempted for summary in summaries))),
        ("output tokens", count(sum(summary.output_tokens for summary in summaries))),
        ("measured for", length_of_time(sum(summary.window_s for summary in summaries))),
        ("began", min((record.started_at for record in records), default="")[:16].replace("T", " ")),
        ("run", _names(record.run_id for record in records)),
    ]
    return [(name, value) for name, value in found if value]


def _names(values: Iterable[str]) -> str:
    """The most frequent ones, and how many more there are."""
    counts = Counter(values)
    most = [name for name, _ in counts.most_common(_NAMES_MAX)]
    left = len(counts) - len(most)
    return ", ".join(most) + (f" and {left} more" if left else "")


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


def _attention(records: Sequence[Record], expected: Collection[str]) -> str:
    """The cases that did not pass and were not expected to miss, the worst first, each with its reasons."""
    bad = [
        (place, record)
        for place, record in enumerate(records)
        if record.verdict.outlook is not Outlook.PASS and record.node_id not in expected
    ]
    if not bad:
        return ""
    bad.sort(key=lambda each: _WORST_FIRST.index(each[1].verdict.outlook))
    rows = [_attention_row(place, record) for place, record in bad]
    more = rows[_ATTENTION_MAX:]
    rest = f'<details><summary>{count(len(more))} more</summary><ul class="ib-attention">{"".join(more)}</ul></details>'
    listed = f'<ul class="ib-attention">{"".join(rows[:_ATTENTION_MAX])}</ul>{rest if more else ""}'
    return f'<section class="ib-part"><h3>Needs a look</h3>{listed}</section>'


def _attention_row(place: int, record: Record) -> str:
    why = "".join(f'<div class="ib-note">{words(reason)}</div>' for reason in reasons(record))
    return f'<li data-case="{place}">{pill(record.verdict.outlook)}<div>{_case_link(place, record)}{why}</div></li>'


def _case_link(place: int, record: Record) -> str:
    badge = ' <span class="ib-pill ib-simulated">SIMULATED</span>' if record.simulated else ""
    return f'<button type="button" class="ib-open" data-case="{place}">{words(record.case.id)}</button>{badge}'


def _charts(records: Sequence[Record]) -> str:
    """The charts across cases, as drawings; the script puts its own in their place."""
    found = groups(records)
    charts = (*comparison_charts(found), pareto_chart(found)) if found else ()
    drawn = "".join(still_chart(chart) for chart in charts if not chart.empty)
    if not drawn:
        return ""
    return f'<section class="ib-part" id="ib-across"><h3>Across the cases</h3><div class="ib-stills">{drawn}</div></section>'


def _cases_table(records: Sequence[Record], expected: Collection[str]) -> str:
    heads = "".join(f'<th scope="col">{name} <small>{unit}</small></th>' for name, unit, _ in _COLUMNS)
    lead = "".join(f'<th scope="col">{name}</th>' for name in ("case", "verdict", "requests"))
    head = f'<tr>{lead}{heads}<th scope="col">output <small>tok/s</small></th></tr>'
    rows = "".join(_case_row(place, record, expected=record.node_id in expected) for place, record in enumerate(records))
    table = f'<table class="ib-table ib-wide ib-cases"><thead>{head}</thead><tbody>{rows}</tbody></table>'
    opened = " open" if len(records) <= _TABLE_OPEN_MAX else ""
    title = f"Figures of {'the case' if len(records) == 1 else f'all {count(len(records))} cases'} against their objectives"
    return f'<details class="ib-part ib-all"{opened}><summary>{title}</summary><div class="ib-scroll">{table}</div></details>'


def _case_row(place: int, record: Record, *, expected: bool) -> str:
    summary = record.summary
    limits = _limits(record)
    cells = [_cell(statistic(record, *where), limits.get(where)) for _, _, where in _COLUMNS]
    throughput = summary.scalars.get("output_throughput") if summary else None
    cells.append(_cell(throughput, limits.get(("output_throughput", None))))
    requests = f"{count(summary.counts.completed)}/{count(summary.counts.attempted)}" if summary else NOTHING
    why = "".join(f'<div class="ib-note">{words(reason)}</div>' for reason in reasons(record))
    note = ' <span class="ib-note">expected</span>' if expected and record.verdict.outlook is not Outlook.PASS else ""
    lead = f"<td>{_case_link(place, record)}{why}</td><td>{pill(record.verdict.outlook)}{note}</td>"
    return f'<tr data-case="{place}">{lead}<td class="ib-figure">{requests}</td>{"".join(cells)}</tr>'


def _limits(record: Record) -> dict[tuple[str, str | None], Judgement]:
    """The judgement of each figure that an objective speaks of."""
    return {(each.objective.metric, each.objective.statistic): each for each in record.verdict.judgements}


def _cell(value: float | None, judgement: Judgement | None) -> str:
    if judgement is None:
        return f'<td class="ib-figure">{number(value)}</td>'
    objective = judgement.objective
    note = f'<div class="ib-note">{escape(limit(objective.operator, objective.limit))}</div>'
    return f'<td class="ib-figure ib-is-{judgement.outlook.value}">{number(value)}{note}</td>'

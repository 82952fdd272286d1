"""
What the report shows of one case: its HTML, with a place for each of its charts.

Rule: every word that comes from a config, a model, a log or a server goes through `words`, which escapes it.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from math import inf, isfinite, isnan, nan
from typing import Any
from urllib.parse import quote

from pytest_inferbench.load.audit import Audit, Finding
from pytest_inferbench.load.trace import Traces
from pytest_inferbench.metrics.registry import metric
from pytest_inferbench.metrics.summary import Counts, Distribution, Summary
from pytest_inferbench.objectives.verdict import Judgement, Outlook
from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting.capacity_chart import capacity_charts, capacity_words, level_table
from pytest_inferbench.reporting.case_charts import distribution_charts, timeline_chart
from pytest_inferbench.reporting.chart import Chart
from pytest_inferbench.reporting.definitions import anchor
from pytest_inferbench.reporting.environment_facts import environment_html
from pytest_inferbench.reporting.figures import (
    NOTHING,
    count,
    difference,
    length_of_time,
    limit,
    number,
    printable,
    printable_lines,
    quantity,
)
from pytest_inferbench.reporting.interactive import chart_data
from pytest_inferbench.reporting.per_request import requests_of
from pytest_inferbench.reporting.request_tables import errors_html, slowest_html
from pytest_inferbench.reporting.telemetry_facts import telemetry_html
from pytest_inferbench.reporting.timeline import timeline_charts

SEARCH_HEADS = ("level", "requests", "verdict", "figures", "why")
STATISTICS = ("mean", "p50", "p90", "p95", "p99", "max")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFiles:
    """
    What lies beside a case: its files as (name, address from the report) pairs, the end of its server's log, what its manifest
    says of the machine, and charts of what GPUs and server did meanwhile.
    """

    links: tuple[tuple[str, str], ...] = ()
    log_tail: str = ""
    environment: dict[str, Any] = field(default_factory=dict)
    lanes: tuple[Chart, ...] = ()


def words(text: object) -> str:
    """Words of others, safe in HTML text and in an attribute."""
    return escape(printable(str(text)))


def pill(outlook: Outlook) -> str:
    """A verdict as a coloured word."""
    return f'<span class="ib-pill ib-{outlook.value}">{outlook.value}</span>'


def case_data(record: Record, traces: Traces | None, files: CaseFiles) -> dict[str, Any]:
    """
    Everything about one case as plain JSON: ``html``, one ``<section>``, and ``charts``, lists by the name of their place in it.

    A place is an empty element whose ``data-charts`` is the name; none is left for charts that are not there.
    """
    requests = requests_of(traces) if traces is not None else None
    charts: dict[str, tuple[Chart, ...]] = {"search": capacity_charts(record)}
    if traces is not None and requests is not None:
        each = timeline_chart(record, requests)
        charts["distribution"] = distribution_charts(record, requests)
        charts["timeline"] = timeline_charts(record, traces, files.lanes)
        charts["requests"] = () if each.empty else (each,)
    parts = [
        _head(record),
        _trouble(record),
        _objectives(record),
        _search(record),
        _place("", "search", charts),
        errors_html(traces) if traces is not None else "",
        _requests(record.summary) if record.summary else "",
        _place("How latencies are distributed", "distribution", charts),
        _place("What happened when", "timeline", charts),
        _place("", "requests", charts),
        slowest_html(traces, requests) if traces is not None and requests is not None else "",
        _metrics(record.summary) if record.summary else "",
        telemetry_html(record.telemetry),
        _audit(record),
        _server(record, files),
        environment_html(files.environment),
        _files(files),
    ]
    return {
        "html": f'<section class="ib-case">{"".join(parts)}</section>',
        "charts": {name: [chart_data(chart) for chart in shown] for name, shown in charts.items() if shown},
    }


def _search(record: Record) -> str:
    """What a case that looks for its load found, and the loads that it took."""
    if record.capacity is None:
        return ""
    heads = "".join(f'<th scope="col">{each}</th>' for each in SEARCH_HEADS)
    rows = "".join(f"<tr>{''.join(f'<td>{words(cell)}</td>' for cell in row)}</tr>" for row in level_table(record.capacity))
    table = f'<div class="ib-scroll"><table class="ib-table"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    return f"<h4>The search for its load</h4><p>{words(capacity_words(record.capacity))}</p>{table}"


def _place(title: str, name: str, charts: Mapping[str, tuple[Chart, ...]]) -> str:
    if not charts.get(name):
        return ""
    return f'{f"<h4>{title}</h4>" if title else ""}<div class="ib-charts ib-charts-{name}" data-charts="{name}"></div>'


def _head(record: Record) -> str:
    case = record.case
    badge = '<span class="ib-pill ib-simulated">SIMULATED</span>' if record.simulated else ""
    facts = {
        "model": case.model,
        "engine": _engine_words(record),
        "hardware": case.hardware,
        "tensor parallel": case.tensor_parallel,
        "traffic": case.traffic.text,
        "load": _load_words(record),
        "API": case.api if case.api_options.stream else f"{case.api}, not streamed",
        "started": record.started_at,
        "took": length_of_time(record.wall_s),
    }
    listed = "".join(_fact(name, value) for name, value in facts.items())
    again = f'<p class="ib-again">again: <code>{words(record.again)}</code></p>' if record.again else ""
    head = f"<h3>{words(case.id)} {pill(record.verdict.outlook)} {badge}</h3>"
    return f'{head}<dl class="ib-facts">{listed}</dl>{again}'


def _engine_words(record: Record) -> str:
    version = record.served.engine_version if record.served else None
    return f"{record.case.engine.name} {version}" if version else record.case.engine.name


def _load_words(record: Record) -> str:
    load = record.case.load
    if load.concurrency is not None:
        return f"{count(load.concurrency)} users at once" + load.shape.removeprefix("closed loop")
    if load.trace is not None:
        return f"{load.shape}, times multiplied by {load.time_scale:g}"
    if load.search is not None and load.rate_per_s is None:
        return f"searched for, and none was found, {load.shape}"
    rate = "unknown" if load.rate_per_s is None else f"{number(load.rate_per_s)} req/s"
    return f"{rate}, {load.shape}"


def _trouble(record: Record) -> str:
    parts = [f'<pre class="ib-error">{escape(printable_lines(record.error))}</pre>'] if record.error else []
    if others := [reason for reason in record.verdict.reasons if reason != record.error]:
        parts.append(f"<ul>{''.join(f'<li>{words(reason)}</li>' for reason in others)}</ul>")
    return f'<div class="ib-trouble">{"".join(parts)}</div>' if parts else ""


def _objectives(record: Record) -> str:
    if not record.verdict.judgements:
        return '<h4>Objectives</h4><p class="ib-note">This case has none: it passes when it can be measured.</p>'
    rows = "".join(_objective_row(judgement) for judgement in record.verdict.judgements)
    heads = "".join(
        f'<th scope="col">{each}</th>' for each in ("objective", "verdict", "actual", "interval", "limit", "difference")
    )
    return f'<h4>Objectives</h4><table class="ib-table"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'


def _objective_row(judgement: Judgement) -> str:
    objective = judgement.objective
    reason = "" if judgement.outlook is Outlook.PASS else f'<div class="ib-note">{words(judgement.reason)}</div>'
    cells = (
        quantity(judgement.actual, judgement.unit),
        interval_words(judgement),
        limit(objective.operator, objective.limit, judgement.unit),
        difference(judgement.actual, objective.limit),
    )
    figures = "".join(f'<td class="ib-figure">{words(cell)}</td>' for cell in cells)
    return f"<tr><td>{words(objective.text)}{reason}</td><td>{pill(judgement.outlook)}</td>{figures}</tr>"


def interval_words(judgement: Judgement) -> str:
    """Between which values the figure lies, with the confidence of the judgement; a dash where nobody can tell."""
    low, high = (float(getattr(judgement, name, nan)) for name in ("low", "high"))
    if isnan(low) and isnan(high):
        return NOTHING
    if not isfinite(high):
        return NOTHING if high != inf or not isfinite(low) else f"at least {quantity(low, judgement.unit)}"
    if not isfinite(low):
        return f"at most {quantity(high, judgement.unit)}"
    return f"{quantity(low, judgement.unit)} to {quantity(high, judgement.unit)}"


def _requests(summary: Summary) -> str:
    facts = "".join(
        f"<div{' class=ib-bad' if bad and value != '0' else ''}><dt>{name}</dt><dd>{value}</dd></div>"
        for name, value, bad in _count_rows(summary.counts, summary)
    )
    return f'<h4>Requests</h4><dl class="ib-facts">{facts}</dl>'


def _count_rows(counts: Counts, summary: Summary) -> tuple[tuple[str, str, bool], ...]:
    return (
        ("attempted", count(counts.attempted), False),
        ("completed", count(counts.completed), False),
        ("failed", count(counts.failed), True),
        ("timed out", count(counts.timed_out), True),
        ("cancelled", count(counts.cancelled), True),
        ("prompt tokens", count(_known(summary.prompt_tokens, summary.scalars["input_throughput"])), False),
        ("output tokens", count(_known(summary.output_tokens, summary.scalars["output_throughput"])), False),
        ("measured for", length_of_time(summary.window_s), False),
    )


def _known(tokens: int, throughput: float) -> int | None:
    """A sum of tokens; None where a throughput that is no number says that some of them are not known."""
    return None if isnan(throughput) else tokens


def _metrics(summary: Summary) -> str:
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("metric", "unit", *STATISTICS, "count"))
    rows = "".join(_distribution_row(name, each) for name, each in summary.distributions.items())
    scalars = "".join(_fact(metric(name).title, quantity(value, metric(name).unit)) for name, value in summary.scalars.items())
    head = f"<thead><tr>{heads}</tr></thead>"
    table = f'<div class="ib-scroll"><table class="ib-table ib-wide ib-metrics">{head}<tbody>{rows}</tbody></table></div>'
    return f'<h4>Metrics</h4>{table}<dl class="ib-facts">{scalars}</dl>'


def _distribution_row(name: str, distribution: Distribution) -> str:
    definition = metric(name)
    values = "".join(f'<td class="ib-figure">{number(getattr(distribution, each))}</td>' for each in STATISTICS)
    link = f'<a href="#{anchor(name)}" class="ib-mean"><code>{words(name)}</code></a>'
    title = f'<td title="{words(definition.formula)}">{link} {words(definition.title)}</td>'
    lead = f"{title}<td>{words(definition.unit)}</td>"
    return f'<tr>{lead}{values}<td class="ib-figure">{count(distribution.count)}</td></tr>'


def _audit(record: Record) -> str:
    if record.audit is None and not record.findings:
        return ""
    listed = f"<ul>{''.join(map(_finding, record.findings))}</ul>"
    if not record.findings:
        listed = '<p class="ib-note">The client found nothing that could change the figures.</p>'
    facts = "".join(_fact(name, value) for name, value in (_audit_facts(record.audit) if record.audit else ()))
    own = f'<details><summary>what it measured of itself</summary><dl class="ib-facts">{facts}</dl></details>' if facts else ""
    return f"<h4>Audit of the client</h4>{listed}{own}"


def _finding(finding: Finding) -> str:
    mark = ' class="ib-bad"' if finding.invalidates else ""
    return f'<li{mark}>{words(finding.what)} <span class="ib-note">{words(finding.advice)}</span></li>'


def _fact(name: str, value: object) -> str:
    return f"<div><dt>{words(name)}</dt><dd>{words(value)}</dd></div>"


def _audit_facts(audit: Audit) -> tuple[tuple[str, str], ...]:
    floor, connections = audit.floor, audit.connections
    return (
        ("clock", audit.clock),
        ("floor of this machine, p99", quantity(None if floor is None else floor.first_p99_ms, "ms")),
        ("connections opened", count(None if connections is None else connections.opened)),
        ("wait for a connection, p99", quantity(None if connections is None else connections.wait_ms_p99, "ms")),
        ("send lag p50", quantity(audit.send_lag_ms_p50, "ms")),
        ("send lag p99", quantity(audit.send_lag_ms_p99, "ms")),
        ("read lag p99", quantity(audit.read_lag_ms_p99, "ms")),
        ("wait for a CPU p99", quantity(audit.cpu_wait_ms_p99, "ms")),
        ("merged reads", quantity(audit.merged_reads_share, "1")),
        ("busiest load process", quantity(audit.loop_busy_share, "1")),
        ("CPU steal", quantity(audit.steal_share, "1")),
        ("clock drift", quantity(audit.clock_drift_ms, "ms")),
        ("rate asked", quantity(audit.rate_asked_per_s, "req/s")),
        ("rate of the plan", quantity(audit.rate_planned_per_s, "req/s")),
        ("rate achieved", quantity(audit.rate_achieved_per_s, "req/s")),
        ("sent again", count(audit.resends)),
        ("load processes", count(audit.workers)),
        ("prompt lengths by", audit.token_source),
        ("prompt tokens from cache", quantity(audit.cached_share, "1")),
        ("answers shorter than asked", quantity(audit.output_short_share, "1")),
    )


def _server(record: Record, files: CaseFiles) -> str:
    served = record.served
    command = shlex.join(served.command) if served and served.command else ""
    parts = []
    if served:
        start = f", ready after {length_of_time(served.started_in_s)}" if served.started_in_s is not None else ""
        parts.append(f"<p>{words(served.engine)} serving <b>{words(served.model)}</b> at {words(served.url)}{start}</p>")
        where = [served.image_digest, *served.gpus]
        parts += [f"<p>{words(each)}</p>" for each in where if each]
    if command:
        parts.append(f"<pre>{words(command)}</pre>")
    if files.log_tail:
        parts.append(f"<details><summary>end of its log</summary><pre>{escape(printable_lines(files.log_tail))}</pre></details>")
    return f"<h4>Server</h4>{''.join(parts)}" if parts else ""


def _files(files: CaseFiles) -> str:
    links = " · ".join(f'<a href="{escape(quote(address, safe="/.:~"))}">{words(name)}</a>' for name, address in files.links)
    return f"<h4>Files</h4><p>{links}</p>" if links else ""


def figure_cells(record: Record | None) -> tuple[tuple[str, str, float | None], ...]:
    """The case's figures in the table of results: column, text, and the number it is sorted by."""
    summary = record.summary if record else None
    values: tuple[tuple[str, float | None], ...] = (
        ("ttft_p99", _statistic(summary, "ttft", "p99")),
        ("tpot_p50", _statistic(summary, "tpot", "p50")),
        ("output_throughput", summary.scalars.get("output_throughput") if summary else None),
    )
    return tuple((name, number(value) if record else NOTHING, value) for name, value in values)


def _statistic(summary: Summary | None, name: str, statistic: str) -> float | None:
    distribution = summary.distributions.get(name) if summary else None
    return None if distribution is None or not distribution.count else float(getattr(distribution, statistic))

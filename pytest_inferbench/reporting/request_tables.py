"""The requests of a case that are worth a look: the slowest ones, and those that did not complete, by reason."""

from __future__ import annotations

from collections import Counter, defaultdict
from html import escape
from math import isnan

import numpy as np

from pytest_inferbench.load.trace import MISSING, Outcome, Traces
from pytest_inferbench.redaction import redact_text
from pytest_inferbench.reporting.figures import NOTHING, count, number, printable
from pytest_inferbench.reporting.per_request import Requests, origin_ns

_SLOWEST = 10
_REASONS = 12
_REASON_LETTERS = 600


def slowest_html(traces: Traces, requests: Requests) -> str:
    """The slowest of the completed requests; empty where there is none."""
    known = np.flatnonzero(~np.isnan(requests.e2e_ms))
    if not len(known):
        return ""
    slowest = known[np.argsort(-requests.e2e_ms[known], kind="stable")[:_SLOWEST]]
    heads = ("request", "sent after (s)", "wait to be sent (ms)", "TTFT (ms)", "TPOT (ms)", "E2E (ms)", "tokens in", "tokens out")
    rows = "".join(_slow_row(traces, requests, int(row)) for row in slowest)
    title = (
        "The slowest request" if len(slowest) == 1 else f"The {len(slowest)} slowest of {count(len(known))} completed requests"
    )
    return f"<h4>{title}</h4>{_table(heads, rows)}"


def _slow_row(traces: Traces, requests: Requests, row: int) -> str:
    waited_ns = int(traces.send_ns[row]) - int(traces.start_ns[row])
    cells = (
        number(float(requests.sent_s[row])),
        number(waited_ns / 1e6),
        number(float(requests.ttft_ms[row])),
        number(float(requests.tpot_ms[row])),
        number(float(requests.e2e_ms[row])),
        _tokens(int(traces.prompt_tokens[row])),
        _tokens(int(traces.output_tokens[row])),
    )
    figures = "".join(f'<td class="ib-figure">{cell}</td>' for cell in cells)
    return f"<tr><td><code>{escape(printable(traces.request_id[row]))}</code></td>{figures}</tr>"


def _tokens(value: int) -> str:
    return NOTHING if value == MISSING else count(value)


def errors_html(traces: Traces) -> str:
    """How many requests did not complete for which reason, in the server's own words; empty where all did."""
    lost = np.flatnonzero(~traces.completed)
    if not len(lost):
        return ""
    first: dict[tuple[str, str], int] = {}
    counts: Counter[tuple[str, str]] = Counter()
    statuses: dict[tuple[str, str], set[int]] = defaultdict(set)
    for row in lost.tolist():
        outcome = Outcome(int(traces.outcome[row])).name.lower().replace("_", " ")
        key = outcome, traces.errors.get(row, "no reason was given")
        counts[key] += 1
        first.setdefault(key, row)
        statuses[key].add(int(traces.status[row]))
    rows = "".join(_error_row(traces, key, counts[key], first[key], statuses[key]) for key, _ in counts.most_common(_REASONS))
    left = len(counts) - _REASONS
    note = f'<p class="ib-note">and {count(left)} more reasons</p>' if left > 0 else ""
    title = f"Why {count(len(lost))} of {count(len(traces))} requests did not complete"
    return f"<h4>{title}</h4>{_table(('outcome', 'reason', 'requests', 'HTTP status', 'first after (s)'), rows)}{note}"


def _error_row(traces: Traces, key: tuple[str, str], times: int, first: int, statuses: set[int]) -> str:
    outcome, reason = key
    start_ns = int(traces.start_ns[first])
    after_s = float("nan") if start_ns == MISSING else (start_ns - origin_ns(traces)) / 1e9
    shown = ", ".join(str(each) if each else NOTHING for each in sorted(statuses))
    words = escape(printable(redact_text(reason))[:_REASON_LETTERS])
    figures = (count(times), shown, NOTHING if isnan(after_s) else number(after_s))
    cells = "".join(f'<td class="ib-figure">{each}</td>' for each in figures)
    return f'<tr><td>{outcome}</td><td class="ib-reason">{words}</td>{cells}</tr>'


def _table(heads: tuple[str, ...], rows: str) -> str:
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    table = f'<table class="ib-table ib-wide"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<div class="ib-scroll">{table}</div>'

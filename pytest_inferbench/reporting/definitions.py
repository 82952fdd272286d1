"""What the figures of a report mean: once for all cases, each with an anchor that the cases' tables point at."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pytest_inferbench.metrics.registry import METRICS
from pytest_inferbench.records.record import Record

_WORDS = (
    ("output per GPU", "output_throughput / GPUs of the server, in tok/s; a server on a CPU counts as one GPU"),
    ("speed per user", "1000 / tpot_p50, in tok/s: how fast the median user sees tokens come"),
    ("front", "cases that no other one beats both in output per GPU and in speed per user"),
    (
        "pass, fail",
        "every objective is met; at least one is missed. Requests that did not complete count as over every limit of latency",
    ),
    ("inconclusive", "too few requests to tell"),
    ("invalid", "the harness or the server broke, or the client itself could have changed the verdict; never counts as passed"),
)


def anchor(name: str) -> str:
    """The id of a metric's definition in the page."""
    return f"ib-means-{name}"


def definitions_html(records: Sequence[Record]) -> str:
    """The definitions of all metrics that some case has, and of the words on the page."""
    names = {name for record in records if record.summary for name in (*record.summary.distributions, *record.summary.scalars)}
    rows = "".join(
        f'<div id="{anchor(name)}"><dt>{escape(each.title)} <code>{escape(name)}</code> '
        f"<small>{escape(each.unit) if each.unit != '1' else 'share'}, {each.better.value} is better</small></dt>"
        f"<dd>{escape(each.formula)}</dd></div>"
        for name, each in METRICS.items()
        if name in names
    )
    rows += "".join(f"<div><dt>{escape(word)}</dt><dd>{escape(meaning)}</dd></div>" for word, meaning in _WORDS)
    return f'<details class="ib-part ib-means" id="ib-means"><summary>What the figures mean</summary><dl>{rows}</dl></details>'

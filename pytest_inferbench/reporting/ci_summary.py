"""
What a CI server shows of a run: a summary in Markdown, annotations in GitHub's own lines, and properties for JUnit.

Rule: pure text from records and comparisons. Every word of a configuration, a server or a model is escaped, so that none is ever
markup, a link, a mention or a command. Limits are GitHub's: 1 MiB a summary, and ten annotations of a kind in a step.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from urllib.parse import quote

from pytest_inferbench.errors import RecordError
from pytest_inferbench.objectives.gates import Change, Comparison
from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.records.record import Record
from pytest_inferbench.redaction import redact_text
from pytest_inferbench.reporting.comparison_table import arrow, change_words, outcome_line, sizes
from pytest_inferbench.reporting.figures import NOTHING, count, number, printable
from pytest_inferbench.reporting.terminal import reasons, statistic, tally

SUMMARY_BYTES_MAX = 1024 * 1024
ANNOTATIONS_MAX = 10
_CELL_LENGTH_MAX = 300
_LOOKED_AT_MAX = 2000
# Everything that Markdown, or GitHub's own additions to it, may take for more than text.
_MARKUP = re.compile(r"[\\`*_{}\[\]()#+!|<>~@&$^=:-]")
_MARKS = {Outlook.PASS: "✅", Outlook.FAIL: "❌", Outlook.INCONCLUSIVE: "❔", Outlook.INVALID: "⛔"}
_CHANGE_MARKS = {Change.REGRESSION: "❌", Change.IMPROVEMENT: "✅", Change.NO_CHANGE: "✅", Change.CANNOT_TELL: "❔"}
_LATENCIES = (("TTFT p99", "ttft", "p99"), ("TPOT p50", "tpot", "p50"), ("E2E p99", "e2e", "p99"))
_CUT = "\n\nThe rest did not fit into the summary of a step; it is in the run's results.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """
    Where files of the run lie, as URLs; None: no links.

    ``files`` is the URL under which the run's folder can be read, ``report`` that of its report.
    """

    files: str | None = None
    report: str | None = None


def step_summary(
    records: Sequence[Record],
    comparisons: Sequence[Comparison] = (),
    *,
    baseline: str = "",
    notes: Sequence[str] = (),
    links: Links | None = None,
) -> str:
    """
    A run as Markdown: a table of its cases, one of the comparisons with ``baseline``, and what is to be known of both.

    At most 1 MiB long, cut at the end of a line; the cut is said.
    """
    links = links or Links()
    parts = ["## Inference benchmarks", "", f"{escaped(tally(records))}{_report(links)}", ""]
    if any(record.simulated for record in records):
        parts += ["> **SIMULATED**: figures of simulated cases were not measured on real hardware.", ""]
    parts += _cases(records, links)
    if comparisons or notes:
        parts += _comparisons(comparisons, baseline, notes)
    return _cut("\n".join(parts) + "\n")


def github_annotations(records: Sequence[Record], comparisons: Sequence[Comparison] = ()) -> list[str]:
    """
    GitHub's lines for what is wrong, ``::error file=,line=::``, at the place where the case was written; ten of a kind at most.

    An error: a case that fails or is invalid, a regression that counts. A warning: what is inconclusive, or cannot be told.
    """
    places = {record.case.id: record for record in records}
    errors: list[str] = []
    warnings: list[str] = []
    for record in records:
        outlook = record.verdict.outlook
        if outlook is not Outlook.PASS and not record.imported:
            into = warnings if outlook is Outlook.INCONCLUSIVE else errors
            into.append(
                _annotation(
                    record, f"{record.case.id}: {outlook.value}", text="\n".join(reasons(record)), is_error=into is errors
                )
            )
    for each in comparisons:
        if each.counts or each.change is Change.CANNOT_TELL:
            into = errors if each.counts else warnings
            title = f"{each.case_id}: {each.change.value} of {each.tolerance.name}"
            into.append(_annotation(places.get(each.case_id), title, text=each.reason, is_error=each.counts))
    return [*errors[:ANNOTATIONS_MAX], *warnings[:ANNOTATIONS_MAX]]


def comparison_properties(comparisons: Sequence[Comparison]) -> list[tuple[str, str]]:
    """
    JUnit properties of one case's comparisons: ``compared_tpot_p50`` is ``regression``, ``..._effect`` its size, with interval.

    The effect is new / old, or new - old of a share; what was not compared has no effect.
    """
    found: list[tuple[str, str]] = []
    for each in comparisons:
        name = f"compared_{each.tolerance.name}"
        found.append((name, change_words(each)))
        sized = (("effect", each.effect), ("effect_low", each.low), ("effect_high", each.high))
        found += [(f"{name}_{what}", f"{value:.6g}") for what, value in sized if isfinite(value)]
        found.append((f"{name}_reason", printable(redact_text(each.waived or each.reason))))
    return found


def write_step_summary(path: Path, text: str) -> None:
    """
    Add text to the summary of a step: the file that GitHub names in ``GITHUB_STEP_SUMMARY``.

    Raises:
        RecordError: it could not be written.
    """
    try:
        with path.open("a", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise RecordError(f"the step summary {path} could not be written: {error.strerror or error}") from error


def escaped(text: str) -> str:
    """Words of others as Markdown that shows them as they are: one line, secrets out, and nothing of it is markup."""
    # What is looked through for secrets is longer than what is shown, and not endless.
    shown = printable(redact_text(text[:_LOOKED_AT_MAX]))
    shown = shown if len(shown) <= _CELL_LENGTH_MAX else shown[: _CELL_LENGTH_MAX - 1] + "…"
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", shown)


def _report(links: Links) -> str:
    return f" · [report]({_url(links.report)})" if links.report else ""


def _cases(records: Sequence[Record], links: Links) -> list[str]:
    heads = ["Case", "Verdict", "Requests", *(f"{title} (ms)" for title, _, _ in _LATENCIES), "Output (tok/s)", "Why"]
    lines = [_row(heads), _row(["---"] * 2 + ["---:"] * (len(heads) - 3) + ["---"])]
    return [*lines, *(_row(_case(record, links)) for record in records), ""]


def _case(record: Record, links: Links) -> list[str]:
    summary, outlook = record.summary, record.verdict.outlook
    name = escaped(record.case.id)
    if links.files and record.folder:
        name = f"[{name}]({_url(links.files)}/{quote(record.folder)})"
    requests = f"{count(summary.counts.completed)}/{count(summary.counts.attempted)}" if summary else NOTHING
    output = number(summary.scalars.get("output_throughput")) if summary else NOTHING
    latencies = [number(statistic(record, metric, each)) for _, metric, each in _LATENCIES]
    why = "<br>".join(escaped(each) for each in reasons(record)) if outlook is not Outlook.PASS else ""
    return [name, f"{_MARKS[outlook]} {outlook.value}", requests, *latencies, output, why]


def _comparisons(comparisons: Sequence[Comparison], baseline: str, notes: Sequence[str]) -> list[str]:
    lines = [f"### Compared with {escaped(baseline)}" if baseline else "### Compared", "", escaped(outcome_line(comparisons)), ""]
    if comparisons:
        heads = ["Case", "Figure", "", "Old", "New", "Change", "90&nbsp;% interval", "Why"]
        lines += [_row(heads), _row(["---", "---", "---", "---:", "---:", "---:", "---:", "---"])]
        lines += [_row(_comparison(each)) for each in comparisons] + [""]
    return [*lines, *(f"* {escaped(note)}" for note in notes), ""]


def _comparison(found: Comparison) -> list[str]:
    old, new, size, interval = sizes(found)
    mark = "🔕" if found.waived else _CHANGE_MARKS[found.change]
    told = found.reason if found.counts or found.change is Change.CANNOT_TELL else ""
    why = f"waived: {found.waived}" if found.waived else told
    words = f"{mark} {arrow(found)} {change_words(found)}"
    return [*map(escaped, (found.case_id, found.tolerance.name)), words, old, new, size, interval, escaped(why)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _annotation(record: Record | None, title: str, *, text: str, is_error: bool) -> str:
    origin = record.case.origin if record else None
    place = [f"file={_property(origin.file)}"] if origin else []
    place += [f"line={origin.line}"] if origin and origin.line is not None else []
    fields = ",".join([*place, f"title={_property(title)}"])
    return f"::{'error' if is_error else 'warning'} {fields}::{_data(text)}"


def _data(text: str) -> str:
    """The message of a workflow command; lines stay lines."""
    lines = "\n".join(printable(line) for line in redact_text(text).splitlines())
    return lines.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """A value among a workflow command's properties, where commas and colons end it."""
    return _data(printable(text)).replace(":", "%3A").replace(",", "%2C")


def _url(text: str | None) -> str:
    """A URL that cannot end the link it stands in; one of another scheme than http leads nowhere."""
    url = quote(printable(redact_text(text or "")), safe="/:?&=%#~.+,;@-_")
    return url.rstrip("/") if url.startswith(("https://", "http://")) else "#"


def _cut(text: str) -> str:
    raw = text.encode()
    if len(raw) <= SUMMARY_BYTES_MAX:
        return text
    kept = raw[: SUMMARY_BYTES_MAX - len(_CUT.encode())].decode(errors="ignore")
    return kept[: kept.rfind("\n")] + _CUT

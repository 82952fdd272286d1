"""What changed against a baseline, on top of the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite

from pytest_inferbench.objectives.gates import Change, Comparison
from pytest_inferbench.redaction import redact_text
from pytest_inferbench.reporting.comparison_table import arrow, change_words, outcome_line, sizes
from pytest_inferbench.reporting.figures import printable

_ROWS_MAX = 12
_ORDER = {"regression": 0, "cannot tell": 1, "waived": 2, "improvement": 3, "no change": 4}
_CLASSES = {"regression": "fail", "cannot tell": "inconclusive", "waived": "invalid", "improvement": "pass", "no change": "same"}
_HALF_WIDTH = 70


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """A run held against a baseline: its name, a comparison for each figure of each case, and what to know of it in sentences."""

    baseline: str
    comparisons: tuple[Comparison, ...] = ()
    notes: tuple[str, ...] = ()


def changes_html(changes: Changes | None) -> str:
    """A sentence, the figures that changed most, and the rest folded away; empty where there is no baseline."""
    if changes is None:
        return ""
    ordered = sorted(changes.comparisons, key=_urgency)
    telling = [each for each in ordered if each.change is not Change.NO_CHANGE]
    shown = telling[:_ROWS_MAX]
    rest = [each for each in ordered if each not in shown]
    notes = "".join(f"<li>{_words(note)}</li>" for note in changes.notes)
    parts = [
        f'<section class="ib-part ib-changes ib-edge-{_outlook(changes.comparisons)}">',
        f"<h3>Against the baseline <code>{_words(changes.baseline)}</code></h3>",
        f'<p class="ib-lead">{escape(change_sentence(changes.comparisons))}</p>',
        _table(shown) if shown else "",
        f"<details><summary>{len(rest)} more figure{'' if len(rest) == 1 else 's'}</summary>{_table(rest)}</details>"
        if rest
        else "",
        f'<ul class="ib-note">{notes}</ul>' if notes else "",
        "</section>",
    ]
    return "".join(parts)


def change_sentence(comparisons: Sequence[Comparison]) -> str:
    """Whether anything got worse, and the counts, in plain text."""
    if not comparisons:
        return "No case of this run is in the baseline, so nothing could be compared."
    worse = regressed(comparisons)
    if worse:
        lead = f"{worse} case{'' if worse == 1 else 's'} got worse. "
    elif any(each.change is Change.CANNOT_TELL for each in comparisons):
        lead = "Nothing is known to have got worse, but not everything can be told. "
    else:
        lead = "Nothing got worse. "
    return f"{lead}{outcome_line(comparisons)}."


def regressed(comparisons: Sequence[Comparison]) -> int:
    """How many cases have a regression that nobody waived."""
    return len({each.case_id for each in comparisons if each.counts})


def _outlook(comparisons: Sequence[Comparison]) -> str:
    if any(each.counts for each in comparisons):
        return "fail"
    unsure = not comparisons or any(each.change is Change.CANNOT_TELL for each in comparisons)
    return "inconclusive" if unsure else "pass"


def _urgency(found: Comparison) -> tuple[int, float]:
    size = abs(found.worse) if isfinite(found.worse) else 0.0
    return _ORDER[change_words(found)], -size


def _table(comparisons: Sequence[Comparison]) -> str:
    widest = max((abs(each) for found in comparisons for each in _ends(found)), default=1.0) or 1.0
    heads = ("case", "figure", "was", "is", "change", "90 % interval; the band is what is tolerated", "")
    head = "".join(f'<th scope="col">{each}</th>' for each in heads)
    counts = Counter(each.case_id for each in comparisons)
    rows = "".join(_row(each, widest) for each in comparisons)
    label = f"{len(comparisons)} figures of {len(counts)} cases"
    return (
        f'<div class="ib-scroll"><table class="ib-table ib-wide ib-compared" aria-label="{label}">'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _row(found: Comparison, widest: float) -> str:
    old, new, size, interval = sizes(found)
    words = change_words(found)
    why = found.waived or (found.reason if found.change is Change.CANNOT_TELL else "")
    reason = f'<div class="ib-note">{_words(why)}</div>' if why else ""
    return (
        f'<tr><td><button type="button" class="ib-open" data-id="{_words(found.case_id)}">{_words(found.case_id)}</button>'
        f'{reason}</td><td><code>{escape(found.tolerance.name)}</code></td><td class="ib-figure">{escape(old)}</td>'
        f'<td class="ib-figure">{escape(new)}</td><td class="ib-figure">{arrow(found)} {escape(size)}</td>'
        f'<td><div class="ib-interval-cell">{_drawing(found, widest)}<span class="ib-note">{escape(interval)}</span></div></td>'
        f'<td><span class="ib-pill ib-{_CLASSES[words]}">{escape(words)}</span></td></tr>'
    )


def _ends(found: Comparison) -> tuple[float, ...]:
    return tuple(each for each in (found.worse_low, found.worse_high, found.worse, found.limit) if isfinite(each))


def _drawing(found: Comparison, widest: float) -> str:
    """The worsening and its interval about nothing at all, to the right the worse; the tolerated part is shaded."""
    if not isfinite(found.worse):
        return ""

    def at(value: float) -> float:
        return _HALF_WIDTH + max(-1.0, min(1.0, value / widest)) * (_HALF_WIDTH - 4)

    low, high = (each if isfinite(each) else found.worse for each in (found.worse_low, found.worse_high))
    tolerated = at(found.limit) - at(0) if isfinite(found.limit) else _HALF_WIDTH
    return (
        f'<svg class="ib-interval ib-{_CLASSES[change_words(found)]}" viewBox="0 0 {2 * _HALF_WIDTH} 16" aria-hidden="true">'
        f'<rect class="ib-tolerated" x="{_HALF_WIDTH}" y="1" width="{tolerated:.1f}" height="14"/>'
        f'<path class="ib-zero" d="M{_HALF_WIDTH} 0V16"/><path class="ib-whisker" d="M{at(low):.1f} 8H{at(high):.1f}"/>'
        f'<circle cx="{at(found.worse):.1f}" cy="8" r="3.5"/></svg>'
    )


def _words(text: str) -> str:
    return escape(printable(redact_text(text)))

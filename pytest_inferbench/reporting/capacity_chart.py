"""What a search for the highest load saw: a chart for each objective, and a table of its loads."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from pathlib import Path

from pytest_inferbench.metrics.capacity import SEARCHED
from pytest_inferbench.metrics.registry import METRICS
from pytest_inferbench.objectives.capacity import Capacity, Figure, Look
from pytest_inferbench.objectives.verdict import Objective, Outlook
from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting.chart import FAILURE_COLOUR, PALETTE, Axis, Chart, LimitLine, Series, spans_decades
from pytest_inferbench.reporting.figures import count, number, printable, quantity
from pytest_inferbench.reporting.svg import svg

_NAMES = {Outlook.PASS: "passes", Outlook.FAIL: "fails", Outlook.INCONCLUSIVE: "cannot tell", Outlook.INVALID: "not believed"}
_COLOURS = {
    Outlook.PASS: PALETTE[2],
    Outlook.FAIL: FAILURE_COLOUR,
    Outlook.INCONCLUSIVE: PALETTE[7],
    Outlook.INVALID: PALETTE[3],
}
_SHARES = ("error_rate",)
_STYLE = (
    "text{font:11px sans-serif;fill:#1d232b}.ib-svg-title{font-size:13px;font-weight:bold}.ib-grid{stroke:#dfe3e8;fill:none}"
    ".ib-tick,.ib-label{fill:#5a6573}.ib-limit{fill:#d94a4a}.ib-svg-empty{text-anchor:middle}"
)


def capacity_charts(record: Record) -> tuple[Chart, ...]:
    """For each objective on a latency, its figure at every level that was tried, and what was found between; none without one."""
    found = record.capacity
    if found is None:
        return ()
    objectives = {each.objective.text: each.objective for each in record.verdict.judgements}
    held = dict.fromkeys(figure.objective for look in found.looks for figure in look.figures)
    charts = (_chart(record, found, objectives[text]) for text in held if text in objectives and not _share(objectives[text]))
    return tuple(chart for chart in charts if not chart.empty)


def capacity_svg(chart: Chart) -> str:
    """A chart as a file of its own, which a browser shows without a page around it."""
    drawn = svg(chart).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    head, bracket, rest = drawn.partition(">")
    return f'{head}{bracket}<style>{_STYLE}</style><rect width="100%" height="100%" fill="white"/>{rest}\n'


def write_capacity_svgs(folder: Path, record: Record) -> None:
    """Write ``capacity-1.svg`` and so on into the folder of a case, one for each objective that has a chart."""
    for number_of, chart in enumerate(capacity_charts(record), start=1):
        (folder / f"capacity-{number_of}.svg").write_text(capacity_svg(chart), encoding="utf-8")


def level_table(found: Capacity) -> tuple[tuple[str, ...], ...]:
    """Every load of a search, in order, as cells: level, requests, what it says, each figure with its interval, and why."""
    return tuple(_row(look, SEARCHED[found.metric].unit) for look in found.looks)


def capacity_words(found: Capacity) -> str:
    """``max_rate 12.5 req/s (passes; 13.1 req/s fails), 95 % sure; 9 loads, 4,400 requests of 43,600 for every level``."""
    unit = SEARCHED[found.metric].unit
    fails = f"; {quantity(found.high, unit)} fails" if isfinite(found.high) else ""
    value = f"{quantity(found.value, unit)} (passes{fails})" if isfinite(found.value) else "not found"
    sure = f", {100 * found.confidence:.6g} % sure" if found.confidence and isfinite(found.value) else ""
    grid = f"{count(found.requests_of_grid)} for every level"
    cost = f"{count(len(found.looks))} loads, {count(found.requests_used)} requests of {grid}"
    reason = f"; {printable(found.reason)}" if found.reason else ""
    return f"{found.metric} {value}{sure}; {cost}{reason}"


def _share(objective: Objective) -> bool:
    return objective.metric in _SHARES or objective.metric in SEARCHED


def _chart(record: Record, found: Capacity, objective: Objective) -> Chart:
    points = [(look, figure) for look in found.looks for figure in look.figures if figure.objective == objective.text]
    levels = tuple(look.level for look, _ in points)
    definition = METRICS[objective.metric]
    name = definition.name.upper() + (f" {objective.statistic}" if objective.statistic else "")
    series = (*(_of_outlook(points, outlook) for outlook in Outlook), _intervals(points, found.confidence))
    y = tuple(value for each in series for value in each.y)
    return Chart(
        title=f"{name} by level of load",
        x=Axis(title=SEARCHED[found.metric].name, unit=SEARCHED[found.metric].unit, log=spans_decades(levels, ratio=7)),
        y=Axis(title=name, unit=definition.unit, log=spans_decades(y, ratio=20)),
        series=tuple(each for each in series if each.x),
        limits=tuple(_limits(found, objective)),
        note=capacity_words(found),
        simulated=record.simulated,
    )


def _of_outlook(points: list[tuple[Look, Figure]], outlook: Outlook) -> Series:
    shown = [(look, figure) for look, figure in points if look.outlook is outlook and isfinite(figure.actual)]
    return Series(
        name=_NAMES[outlook],
        x=tuple(look.level for look, _ in shown),
        y=tuple(float(f"{figure.actual:.5g}") for _, figure in shown),
        style="crosses" if outlook is Outlook.FAIL else "points",
        colour=_COLOURS[outlook],
        hover=tuple(f"{count(look.requests)} requests" for look, _ in shown),
    )


def _intervals(points: list[tuple[Look, Figure]], confidence: float) -> Series:
    """The two ends of each interval, as far as they are known."""
    ends = [(look.level, end) for look, figure in points for end in (figure.low, figure.high) if isfinite(end) and end > 0]
    return Series(
        name=f"{100 * confidence:.4g} % interval",
        x=tuple(level for level, _ in ends),
        y=tuple(float(f"{end:.5g}") for _, end in ends),
        style="points",
        colour="#b9c0c8",
    )


def _limits(found: Capacity, objective: Objective) -> Iterator[LimitLine]:
    unit = METRICS[objective.metric].unit
    yield LimitLine(axis="y", value=objective.limit, text=f"{objective.operator} {quantity(objective.limit, unit)}")
    for level, word in ((found.low, "passes"), (found.high, "fails")):
        if isfinite(level):
            yield LimitLine(axis="x", value=level, text=f"{number(level)} {word}")


def _row(look: Look, unit: str) -> tuple[str, ...]:
    figures = "; ".join(_figure(each) for each in look.figures)
    return (quantity(look.level, unit), count(look.requests), _NAMES[look.outlook], figures, printable(look.reason))


def _figure(figure: Figure) -> str:
    between = f" ({number(figure.low)} to {number(figure.high)})" if isfinite(figure.low) else ""
    return f"{printable(figure.objective)}: {number(figure.actual)}{between}"

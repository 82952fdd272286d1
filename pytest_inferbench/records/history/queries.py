"""Runs of the history: which there are, what is in one, and two of them side by side."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from itertools import zip_longest
from typing import Any

import sqlalchemy as sa

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.records.baselines import CONDITIONS as ALIKE
from pytest_inferbench.records.baselines import VERSIONS, Fingerprint, differences
from pytest_inferbench.records.history.filters import NO_RUN, FigureColumn, Filter, finite
from pytest_inferbench.records.history.schema import CONDITIONS, CONDITIONS_NAMES, RESULTS, RUNS, SERIES, figures_table

_LATEST = re.compile(r"latest(?:~(\d{1,6}))?")
_NEAREST = 3
_KNOWN_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """A run, and how its cases ended; ``started_at`` is ISO 8601 in UTC."""

    run_id: str
    started_at: str
    commit: str | None
    branch: str | None
    dirty: bool | None
    host: str | None
    plugin_version: str | None
    command: str | None
    exit_code: int | None
    cases: int
    passed: int
    failed: int
    inconclusive: int
    invalid: int
    simulated: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseLine:
    """A case of a run; ``figures`` has those that were asked for, None where it has none; ``words`` is why it ended so."""

    case: str
    verdict: str
    simulated: bool
    words: str
    figures: Mapping[str, float | None]
    conditions: Fingerprint = field(default_factory=Fingerprint)

    @property
    def doubt(self) -> str:
        """Why its figures are not to be compared; empty where they are."""
        return "invalid" if self.verdict == Outlook.INVALID else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffLine:
    """
    One figure of one case in two runs.

    ``change_percent`` is relative to the old one, None where there is nothing to compare; ``note`` says what to know of it.
    """

    case: str
    figure: str
    unit: str
    old: float | None
    new: float | None
    change_percent: float | None
    old_verdict: str | None
    new_verdict: str | None
    note: str


def run_lines(connection: sa.Connection, filter_: Filter, *, limit: int) -> list[RunLine]:
    """Runs with a result that is meant, newest first; all results of such a run are counted."""
    clauses = filter_.clauses()
    query = sa.select(RUNS).order_by(RUNS.c.started_us.desc(), RUNS.c.id.desc()).limit(limit)
    if clauses:
        query = query.where(RUNS.c.id.in_(sa.select(RESULTS.c.run).where(*clauses)))
    runs = connection.execute(query).mappings().all()
    counts = _counts(connection, [run["id"] for run in runs])
    return [_run_line(run, counts[run["id"]]) for run in runs]


def find_run(connection: sa.Connection, text: str) -> RunLine:
    """
    The run that is meant: its id, the beginning of it, ``latest``, or ``latest~2`` for the one two before.

    Raises:
        ConfigError: there is none, or several begin so; names the nearest.
    """
    found = _LATEST.fullmatch(text)
    query = sa.select(RUNS).order_by(RUNS.c.started_us.desc(), RUNS.c.id.desc())
    if found:
        rows = connection.execute(query.offset(int(found[1] or 0)).limit(1)).mappings().all()
    else:
        exact = query.where(RUNS.c.run_id == text)
        begins = query.where(RUNS.c.run_id.startswith(text, autoescape=True)).limit(_NEAREST + 1)
        rows = connection.execute(exact).mappings().all() or connection.execute(begins).mappings().all()
    if len(rows) != 1 or not text:
        raise _no_such_run(connection, text, [row["run_id"] for row in rows])
    return _run_line(rows[0], _counts(connection, [rows[0]["id"]])[rows[0]["id"]])


def case_lines(connection: sa.Connection, run_id: str, figures: Sequence[FigureColumn], filter_: Filter) -> list[CaseLine]:
    """The cases of a run that are meant, in the order in which they began."""
    table = figures_table([each.column for each in figures])
    tables = RESULTS.join(RUNS, RUNS.c.id == RESULTS.c.run).join(SERIES, SERIES.c.id == RESULTS.c.series)
    tables = tables.join(CONDITIONS, CONDITIONS.c.id == RESULTS.c.conditions)
    tables = tables.outerjoin(table, table.c.result_id == RESULTS.c.id)
    columns = [SERIES.c.case_id, SERIES.c.simulated.label("is_simulated"), RESULTS.c.verdict, RESULTS.c.missed]
    columns += [RESULTS.c.reasons, RESULTS.c.error, *(table.c[each.column] for each in figures)]
    columns += [CONDITIONS.c[name] for name in CONDITIONS_NAMES]
    query = sa.select(*columns).select_from(tables).where(RUNS.c.run_id == run_id, *filter_.clauses())
    found = connection.execute(query.order_by(RESULTS.c.started_us, RESULTS.c.id)).mappings().all()
    return [_case_line(row, figures) for row in found]


def diff(old: Sequence[CaseLine], new: Sequence[CaseLine], figures: Sequence[FigureColumn]) -> list[DiffLine]:
    """Both sides by case, in the order of the new one; cases of one id are paired in the order in which they began."""
    sides: dict[str, tuple[list[CaseLine], list[CaseLine]]] = defaultdict(lambda: ([], []))
    for case in new:
        sides[case.case][1].append(case)
    for case in old:
        sides[case.case][0].append(case)
    return [
        _diff_line(before, after, figure) for pair in sides.values() for before, after in zip_longest(*pair) for figure in figures
    ]


def iso(started_us: int) -> str:
    """Microseconds since the epoch as ISO 8601 in UTC, to the second."""
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=started_us)
    return instant.isoformat(timespec="seconds").replace("+00:00", "Z")


def _counts(connection: sa.Connection, keys: Sequence[int]) -> dict[int, dict[str, int]]:
    simulated = sa.func.sum(sa.case((SERIES.c.simulated, 1), else_=0))
    query = sa.select(RESULTS.c.run, RESULTS.c.verdict, sa.func.count(), simulated).join(SERIES, SERIES.c.id == RESULTS.c.series)
    found: dict[int, dict[str, int]] = {key: defaultdict(int) for key in keys}
    for run, verdict, count, of_them in connection.execute(
        query.where(RESULTS.c.run.in_(keys)).group_by(RESULTS.c.run, RESULTS.c.verdict)
    ):
        found[run][verdict] += count
        found[run]["simulated"] += of_them
    return found


def _run_line(run: Mapping[Any, Any], counts: Mapping[str, int]) -> RunLine:
    verdicts = {each: counts.get(each.value, 0) for each in Outlook}
    return RunLine(
        run_id=run["run_id"],
        started_at=iso(run["started_us"]),
        commit=run["commit_hash"],
        branch=run["branch"],
        dirty=run["dirty"],
        host=run["host"],
        plugin_version=run["plugin_version"],
        command=run["command"],
        exit_code=run["exit_code"],
        cases=sum(verdicts.values()),
        passed=verdicts[Outlook.PASS],
        failed=verdicts[Outlook.FAIL],
        inconclusive=verdicts[Outlook.INCONCLUSIVE],
        invalid=verdicts[Outlook.INVALID],
        simulated=counts.get("simulated", 0),
    )


def _case_line(row: Mapping[Any, Any], figures: Sequence[FigureColumn]) -> CaseLine:
    return CaseLine(
        case=row["case_id"],
        verdict=row["verdict"],
        simulated=row["is_simulated"],
        words="; ".join(text for text in (row["error"], row["missed"], row["reasons"]) if text),
        figures={each.name: row[each.column] for each in figures},
        conditions=Fingerprint(**{name: row[name] for name in CONDITIONS_NAMES}),
    )


def _no_such_run(connection: sa.Connection, text: str, several: Sequence[str]) -> ConfigError:
    if several and text:
        return ConfigError(f"several runs begin with {text!r}: {', '.join(several[:_NEAREST])}; write more of it")
    newest = sa.select(RUNS.c.run_id).order_by(RUNS.c.started_us.desc()).limit(_KNOWN_MAX)
    known = connection.execute(newest).scalars().all()
    if not known:
        return ConfigError(NO_RUN)
    near = get_close_matches(text, known, n=_NEAREST, cutoff=0.6)
    advice = f"did you mean {' or '.join(near)}?" if near else f"the newest is {known[0]}; inferbench history list shows them all"
    return ConfigError(f"there is no run {text!r} in the history; {advice}")


def _diff_line(old: CaseLine | None, new: CaseLine | None, figure: FigureColumn) -> DiffLine:
    sides = [None if side is None else finite(side.figures[figure.name]) for side in (old, new)]
    known = next(each for each in (new, old) if each is not None)
    return DiffLine(
        case=known.case,
        figure=figure.name,
        unit=figure.unit,
        old=sides[0],
        new=sides[1],
        change_percent=_change_percent(old, new, sides),
        old_verdict=old.verdict if old else None,
        new_verdict=new.verdict if new else None,
        note=_note(old, new),
    )


def _change_percent(old: CaseLine | None, new: CaseLine | None, values: Sequence[float | None]) -> float | None:
    before, after = values
    if old is None or new is None or old.doubt or new.doubt or not before or after is None:
        return None
    return (after / before - 1) * 100


def _note(old: CaseLine | None, new: CaseLine | None) -> str:
    if old is None or new is None:
        return "only in the new run" if old is None else "only in the old run"
    doubts = [f"the {side} one is {each.doubt}" for side, each in (("old", old), ("new", new)) if each.doubt]
    unlike = differences(old.conditions, new.conditions, ALIKE)
    parts = [*doubts, *([f"not measured alike: {', '.join(unlike)}"] if unlike else [])]
    return "; ".join([*parts, *differences(old.conditions, new.conditions, VERSIONS)])

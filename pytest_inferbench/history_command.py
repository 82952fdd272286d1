"""``inferbench history``: questions to the database of all runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pytest_inferbench.errors import ConfigError, InferbenchError
from pytest_inferbench.redaction import redact_text

if TYPE_CHECKING:
    from pytest_inferbench.records.history.database import Connection
    from pytest_inferbench.records.history.filters import FigureColumn, Filter

FIGURES = ("output_throughput", "ttft_p99", "tpot_p50")
"""What is shown of each case where nobody says; those that ``inferbench compare`` holds against a baseline."""
_STORE = click.option(
    "--store",
    metavar="URL",
    help="The database, such as postgresql://me@host/db (default: INFERBENCH_STORE, else a file in the user's data folder).",
)
_FILTERS = (
    click.option(
        "--where", metavar="FIELD=VALUE", multiple=True, help="Such as model=llama*, tp=8 or verdict=fail; all must hold."
    ),
    click.option("-k", "words", metavar="WORDS", default="", help="Cases with all of these words in their ids."),
    click.option("--since", metavar="TIME", help="Results since then: 36h, 7d, 2w, or a date such as 2026-11-01 (UTC)."),
    click.option("--branch", metavar="NAME", help="Runs of this branch."),
)
_FORMAT = click.option("--format", "shape", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
_METRICS = click.option(
    "--metric",
    "metrics",
    metavar="NAME",
    multiple=True,
    default=FIGURES,
    show_default=True,
    help="A figure; may be given several times.",
)
_LIMIT = click.option(
    "--limit", metavar="N", type=click.IntRange(min=1), default=20, show_default=True, help="How many lines at most."
)


def _asking(*more: Callable[[Any], Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command's own options, and those that every question has."""

    def with_options(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed((*more, *_FILTERS, _FORMAT, _STORE)):
            command = option(command)
        return command

    return with_options


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def history() -> None:
    """
    Ask the database that every run goes to: what was measured, what has changed, whom to trust.

    A run is named by its id, the beginning of it, latest, or latest~2 for the one two before.
    """


@history.command(name="list")
@_asking(_LIMIT)
def list_runs(limit: int, shape: str, **asked: Any) -> None:
    """Show the runs, newest first."""
    from pytest_inferbench.history_tables import runs_table  # noqa: PLC0415 - keeps --help fast
    from pytest_inferbench.records.history.queries import RunLine, run_lines  # noqa: PLC0415 - as above

    with _question(asked) as (connection, filter_):
        lines = run_lines(connection, filter_, limit=limit)
        _say_why(connection, filter_, lines)
        _answer(lines, RunLine, shape=shape, as_table=lambda: runs_table(lines))


@history.command()
@click.argument("run")
@_asking(_METRICS)
def show(run: str, metrics: tuple[str, ...], shape: str, **asked: Any) -> None:
    """Show one run: what is known of it, and its cases."""
    from pytest_inferbench.history_tables import as_json, plain, run_table  # noqa: PLC0415 - keeps --help fast
    from pytest_inferbench.records.history.queries import CaseLine, case_lines, find_run  # noqa: PLC0415 - as above

    with _question(asked) as (connection, filter_):
        figures = _figures(metrics)
        found = find_run(connection, run)
        cases = case_lines(connection, found.run_id, figures, filter_)
        if shape == "json":
            click.echo(as_json({"run": plain(found), "cases": [plain(case) for case in cases]}))
            return
        _say_why(connection, filter_, cases)
        _answer(cases, CaseLine, shape=shape, as_table=lambda: run_table(found, cases, figures), figures=figures)


@history.command()
@click.argument("old")
@click.argument("new")
@_asking(_METRICS)
def diff(old: str, new: str, metrics: tuple[str, ...], shape: str, **asked: Any) -> None:
    """
    Show two runs side by side, case by case.

    Changes are as they are, by chance or not: inferbench compare says which of them are regressions.
    """
    from pytest_inferbench.history_tables import diff_table  # noqa: PLC0415 - keeps --help fast
    from pytest_inferbench.records.history import queries  # noqa: PLC0415 - as above

    with _question(asked) as (connection, filter_):
        figures = _figures(metrics)
        runs = [queries.find_run(connection, text).run_id for text in (old, new)]
        if runs[0] == runs[1]:
            raise ConfigError(f"{old} and {new} are the same run, {runs[0]}; name two")
        sides = [queries.case_lines(connection, run, figures, filter_) for run in runs]
        lines = queries.diff(sides[0], sides[1], figures)
        _say_why(connection, filter_, lines)
        if shape == "table" and lines:
            click.echo(f"old: {runs[0]}\nnew: {runs[1]}\n")
        _answer(lines, queries.DiffLine, shape=shape, as_table=lambda: diff_table(lines))


@history.command()
@click.argument("metric")
@_asking(
    click.option(
        "--last",
        metavar="N",
        type=click.IntRange(min=1),
        default=30,
        show_default=True,
        help="Results of each case at most, the newest.",
    )
)
def trend(metric: str, last: int, shape: str, **asked: Any) -> None:
    """
    Show METRIC over time, a line a case; for a single one its results, too.

    METRIC is a figure such as ttft_p99 or output_throughput, or a column of results.csv. A change is that of the last result
    against the median of those before. Results that are invalid or broke are left out, and counted.
    """
    from pytest_inferbench.history_tables import trend_table, trends_table  # noqa: PLC0415 - keeps --help fast
    from pytest_inferbench.records.history.trends import Point, trends  # noqa: PLC0415 - as above

    with _question(asked) as (connection, filter_):
        (figure,) = _figures((metric,))
        found = trends(connection, figure, filter_, newest=last)
        points = [point for each in found for point in each.points]
        _say_why(connection, filter_, points)

        def as_table() -> str:
            return trend_table(found[0], figure.name) if len(found) == 1 else trends_table(found, figure.name)

        _answer(points, Point, shape=shape, as_table=as_table)


@history.command()
@click.argument("metric", default="wall_s")
@_asking(
    click.option(
        "--last",
        metavar="N",
        type=click.IntRange(min=1),
        default=10,
        show_default=True,
        help="Results of each case at most, the newest.",
    ),
    _LIMIT,
)
def slowest(metric: str, last: int, limit: int, shape: str, **asked: Any) -> None:
    """
    Show the cases with the worst medians of METRIC, worst first.

    Without METRIC it is wall_s: how long a case takes with everything, its server's start included where it waited for it.
    """
    from pytest_inferbench.history_tables import slowest_table  # noqa: PLC0415 - keeps --help fast
    from pytest_inferbench.records.history import trends  # noqa: PLC0415 - as above

    with _question(asked) as (connection, filter_):
        (figure,) = _figures((metric,))
        lines = trends.slowest(trends.trends(connection, figure, filter_, newest=last), figure, limit=limit)
        _say_why(connection, filter_, lines)
        _answer(lines, trends.SlowLine, shape=shape, as_table=lambda: slowest_table(lines))


@history.command()
@_asking(_LIMIT)
def flakiest(limit: int, shape: str, **asked: Any) -> None:
    """
    Show the cases whose verdicts change most between runs of one commit under the same conditions.

    Changes of files that are in no commit count as one state (commit+).
    """
    from pytest_inferbench.history_tables import flakiest_table  # noqa: PLC0415 - keeps --help fast
    from pytest_inferbench.records.history import trends  # noqa: PLC0415 - as above

    with _question(asked) as (connection, filter_):
        lines = trends.flakiest(connection, filter_, limit=limit)
        if not lines:
            click.echo("no verdict has changed between runs of one commit under the same conditions", err=True)
        _answer(lines, trends.FlakyLine, shape=shape, as_table=lambda: flakiest_table(lines))


@history.command(name="import")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@_STORE
def import_runs(runs: tuple[Path, ...], store: str | None) -> None:
    """Bring runs that are there into the history: their folders, such as reports/runs/*; again changes nothing."""
    from pytest_inferbench.records.baseline_files import run_folder  # noqa: PLC0415 - keeps --help fast
    from pytest_inferbench.records.history.rows import rows_of_run  # noqa: PLC0415 - as above
    from pytest_inferbench.records.history.store import keep  # noqa: PLC0415 - as above

    url = _url(store)
    wrong = 0
    for path in runs:
        try:
            rows = rows_of_run(run_folder(path))
            keep(url, rows)
        except InferbenchError as error:
            wrong += 1
            click.echo(f"not imported: {redact_text(str(error))}", err=True)
        else:
            click.echo(f"{rows.run_id}: {len(rows.results)} {'case' if len(rows.results) == 1 else 'cases'} from {path}")
    if wrong:
        raise click.exceptions.Exit(1)


@history.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@_STORE
def forget(runs: tuple[str, ...], store: str | None) -> None:
    """Take runs out of the history, by their whole ids; their folders stay as they are."""
    from pytest_inferbench.records.history import deliver, queries  # noqa: PLC0415 - keeps --help fast
    from pytest_inferbench.records.history.database import reading  # noqa: PLC0415 - as above

    with _errors():
        url = _url(store)
        # All are looked up before any is gone.
        with reading(url) as connection:
            found = [queries.find_run(connection, text) for text in runs]
        for text, run in zip(runs, found, strict=True):
            if text != run.run_id:
                raise ConfigError(f"{text} is not the whole id of a run; to forget it: inferbench history forget {run.run_id}")
        deliver.forget(url, [run.run_id for run in found])
        for run in found:
            click.echo(f"forgotten: {run.run_id} ({run.cases} cases of {run.started_at})")


@contextmanager
def _question(asked: dict[str, Any]) -> Iterator[tuple[Connection, Filter]]:
    from pytest_inferbench.records.history.database import reading  # noqa: PLC0415 - keeps --help fast
    from pytest_inferbench.records.history.deliver import send_waiting  # noqa: PLC0415 - as above
    from pytest_inferbench.records.history.filters import parse_filter  # noqa: PLC0415 - as above

    with _errors():
        url = _url(asked["store"])
        filter_ = parse_filter(
            asked["where"], words=asked["words"], since=asked["since"], branch=asked["branch"], now=datetime.now(UTC)
        )
        for notice in send_waiting(url):
            click.echo(f"note: {redact_text(notice)}", err=True)
        with reading(url) as connection:
            yield connection, filter_


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except InferbenchError as error:
        raise click.UsageError(redact_text(str(error))) from error


def _url(store: str | None) -> str:
    from pytest_inferbench.records.history.place import store_url  # noqa: PLC0415 - keeps --help fast

    with _errors():
        url = store_url(store)
        if url is None:
            raise ConfigError("the history is switched off (none); say which one with --store URL")
        return url


def _figures(names: Sequence[str]) -> list[FigureColumn]:
    from pytest_inferbench.records.history.filters import figure_column  # noqa: PLC0415 - keeps --help fast

    return [figure_column(name) for name in dict.fromkeys(names)]


def _say_why(connection: Connection, filter_: Filter, lines: Sequence[Any]) -> None:
    from pytest_inferbench.records.history.filters import why_nothing  # noqa: PLC0415 - keeps --help fast

    if not lines:
        click.echo(why_nothing(connection, filter_), err=True)


def _answer(
    lines: Sequence[Any],
    kind: type[Any],
    *,
    shape: str,
    as_table: Callable[[], str],
    figures: Sequence[FigureColumn] = (),
) -> None:
    from pytest_inferbench.history_tables import as_csv, as_json, plain  # noqa: PLC0415 - keeps --help fast

    if shape == "json":
        click.echo(as_json([plain(line) for line in lines]))
    elif shape == "csv":
        click.echo(as_csv(lines, kind, figures=figures))
    elif lines:
        click.echo(as_table())

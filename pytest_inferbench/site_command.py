"""``inferbench site``: the history of results as static pages."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pytest_inferbench.errors import ConfigError, InferbenchError
from pytest_inferbench.redaction import redact_text

if TYPE_CHECKING:
    from pytest_inferbench.reporting.site.build import Built
    from pytest_inferbench.reporting.site.series import History


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--store", metavar="URL", help="The database with the history (default: the one that runs are written to).")
@click.option("-k", "words", metavar="WORDS", default="", help="Cases whose ids have all of these words.")
@click.option("--since", metavar="DATE", default="", help="Runs from this day or time (UTC) on, such as 2026-09-01.")
@click.option("--branch", metavar="NAME", default="", help="Runs of this branch.")
@click.option("--release", metavar="GLOB", default="*", show_default=True, help="Tags of the repository here that are releases.")
@click.option("--commit-url", metavar="URL", default="", help="Where a commit can be looked at; {commit} stands for it.")
@click.option("--title", metavar="TEXT", default="History of results", show_default=True, help="The heading of every page.")
def site(folder: Path, **flags: Any) -> None:
    """
    Write the history of results into DIR, as pages for a browser or any web server.

    There is a trend for each case and figure, with releases and changes of level, and any two runs side by side. DIR is made
    where it is not there; one with files that this command did not write is left as it is.
    """
    from pytest_inferbench.records.history.frames import load_history  # noqa: PLC0415 - keeps --help fast
    from pytest_inferbench.reporting.site.series import history_of  # noqa: PLC0415 - as above
    from pytest_inferbench.reporting.site.write import check_folder  # noqa: PLC0415 - as above

    try:
        since, commit_url = _since(flags["since"]), _commit_url(flags["commit_url"])
        check_folder(folder)
        history = history_of(load_history(flags["store"]), words=flags["words"].split(), since=since, branch=flags["branch"])
        built = _built(folder, history, release=flags["release"], title=flags["title"], commit_url=commit_url)
    except InferbenchError as error:
        raise click.UsageError(redact_text(str(error))) from error
    click.echo(f"{built.index}: {built.series:,} cases in {built.runs:,} runs, {built.changes:,} changes of level")


def _built(folder: Path, history: History, *, release: str, title: str, commit_url: str) -> Built:
    from pytest_inferbench.reporting.site.build import build_site  # noqa: PLC0415 - as above
    from pytest_inferbench.reporting.site.data import Wording  # noqa: PLC0415 - as above
    from pytest_inferbench.reporting.site.releases import releases  # noqa: PLC0415 - as above

    tags = releases(Path(), (run.commit for run in history.runs), release)
    wording = Wording(title=redact_text(title), commit_url=commit_url)
    if not sys.stderr.isatty():
        return build_site(folder, history, releases=tags, wording=wording)
    with click.progressbar(length=len(history.series), label="searching for changes", file=sys.stderr) as bar:
        return build_site(folder, history, releases=tags, wording=wording, progress=lambda _done: bar.update(1))


def _since(text: str) -> str:
    """A day or time as the history's texts: they sort as the times do."""
    if not text:
        return ""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} is no date; write it as 2026-09-01 or 2026-09-01T06:00+02:00", file="--since") from error
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _commit_url(text: str) -> str:
    if text and not (text.startswith(("https://", "http://")) and "{commit}" in text):
        raise ConfigError(
            f"{text!r} leads to no commit; write it as https://example.org/project/commit/{{commit}}", file="--commit-url"
        )
    return text

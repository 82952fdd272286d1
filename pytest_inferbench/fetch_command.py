"""``inferbench fetch``: a run that was uploaded, brought back to go on with, compare or report."""

from __future__ import annotations

from pathlib import Path

import click

from pytest_inferbench.errors import ConfigError, InferbenchError
from pytest_inferbench.redaction import redact_text
from pytest_inferbench.upload_command import shown_progress


@click.command()
@click.argument("url")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--max-gb",
    type=click.FloatRange(min=0, min_open=True),
    default=100,
    show_default=True,
    help="Refuse a run that says it is larger, in GB.",
)
def fetch(url: str, folder: Path | None, *, max_gb: float) -> None:
    """
    Bring the run at URL (or the only one below it) back, by default to reports/runs/RUN_ID.

    Every file is held against the SHA-256 it was uploaded with. What was broken off is gone on with by the same command; nothing
    is overwritten.
    """
    # fsspec, and what it needs for a store, comes with it.
    from pytest_inferbench.records.artifacts import fetch_run  # noqa: PLC0415 - see above

    try:
        done = fetch_run(url, folder, bytes_max=int(max_gb * 1e9), progress=shown_progress("fetched"))
    except ConfigError as error:
        raise click.UsageError(redact_text(str(error))) from error
    except InferbenchError as error:
        raise click.ClickException(redact_text(str(error))) from error
    click.echo(done.words)

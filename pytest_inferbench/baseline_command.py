"""``inferbench baseline``: keep what a run measured, to compare later ones with."""

from __future__ import annotations

from pathlib import Path

import click

from pytest_inferbench.errors import InferbenchError
from pytest_inferbench.redaction import redact_text


@click.group()
def baseline() -> None:
    """Keep what runs measured, to compare later ones with."""


@baseline.command()
@click.argument("name")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
def save(name: str, runs: tuple[Path, ...]) -> None:
    """
    Save RUN, the folder of a run, as the baseline NAME: a small file in reports/baselines, to be committed.

    Several runs are repeats of each other. Five of them let a gate see how runs differ; with one it has to assume that.
    """
    # NumPy and pyarrow come with it, which no other command has a use for.
    from pytest_inferbench.records.baseline_files import save as save_baseline  # noqa: PLC0415 - see above

    try:
        path = save_baseline(name, runs, root=Path())
    except InferbenchError as error:
        raise click.UsageError(redact_text(str(error))) from error
    click.echo(f"{path}\ncompare with: inferbench compare {name} RUN")

"""``inferbench convert``: another system's configuration as a suite file."""

from __future__ import annotations

from pathlib import Path

import click

from pytest_inferbench.cases.formats.convert import converted
from pytest_inferbench.cases.formats.overrides import parse_overrides
from pytest_inferbench.cases.suite import SUFFIXES
from pytest_inferbench.errors import ConfigError


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The suite file to write (default: to the terminal).")
@click.option("--override", "overrides", metavar="KEY=VALUE,...", multiple=True, help="Such as engine=llamacpp,requests=10.")
@click.option("--lenient", is_flag=True, help="Do as the original tool does where it swallows a mistake; else that is an error.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def convert(file: Path, output: Path | None, overrides: tuple[str, ...], *, lenient: bool, force: bool) -> None:
    """
    Write a suite file that makes the same cases as FILE, a configuration of another system.

    BenchFlow, nm-vllm, vLLM CI and others are told by their content; docs/formats.md says what becomes of each of their fields.
    """
    if output is not None and not output.name.endswith(SUFFIXES[:2]):
        raise click.UsageError(f"{output} must end in {SUFFIXES[0]}, so that pytest collects it")
    if output is not None and output.exists() and not force:
        raise click.UsageError(f"{output} is there already; --force writes over it")
    try:
        folder = output.parent if output else None
        text = converted(file, lenient=lenient, overrides=parse_overrides(overrides), folder=folder)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    if output is None:
        click.echo(text, nl=False)
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    click.echo(f"{output}: run it with: pytest {output}")

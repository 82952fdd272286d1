"""``inferbench generate``: a BenchFlow configuration for every point of a grid of parameters."""

from __future__ import annotations

from pathlib import Path

import click

from pytest_inferbench.cases.formats.config_generator import generated
from pytest_inferbench.errors import ConfigError


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--param-grid", type=click.Path(path_type=Path), required=True, help='JSON: {"workflows.service.version": ["v1", "v2"], ...}.'
)
@click.option(
    "--output-file",
    type=click.Path(path_type=Path),
    default=Path("generated_configs") / "combined_config.json",
    show_default=True,
    help="Where the configuration of all variants goes; what is there is written over.",
)
@click.option("--lenient", is_flag=True, help="Write what BenchFlow would where it makes a mistake; else that is an error.")
def generate(config: Path, param_grid: Path, output_file: Path, *, lenient: bool) -> None:
    """
    Write a BenchFlow configuration with a workflow for each combination of the grid.

    CONFIG is the BenchFlow configuration that they vary. Run the result with: pytest FILE.
    """
    try:
        generator, variants = generated(config, param_grid, lenient=lenient)
        generator.save_combined_config(variants, output_file)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.UsageError(f"{output_file} cannot be written: {error.strerror}") from error
    click.echo(f"{output_file}: {len(variants)} variants; run them with: pytest {output_file}")

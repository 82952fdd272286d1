"""``inferbench export``: the results of a run in the formats of other tools, and what the option of the same meaning does."""

from __future__ import annotations

from pathlib import Path

import click

from pytest_inferbench.errors import InferbenchError


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--format", "formats", metavar="NAMES", required=True, help="Such as vllm,genai-bench; all for all of them.")
@click.option("--output", metavar="DIR", type=click.Path(path_type=Path), help="Where to (default: the folder exports in RUN).")
def export(run: Path, formats: str, output: Path | None) -> None:
    """
    Write the results of RUN, the folder of a run, as files of other tools.

    Each figure is the one which that tool would have computed from the same requests. Formats: vllm, genai-bench, guidellm,
    aiperf, inference-perf, lpg, gie, nm-vllm, github-action-benchmark, pytest-benchmark, llm-d, inferx, inference-benchmarker.
    """
    # NumPy and pyarrow come with these, which no other command has a use for.
    from pytest_inferbench.records.export.registry import parse_formats  # noqa: PLC0415 - see above
    from pytest_inferbench.records.export.write import export_run  # noqa: PLC0415 - see above

    try:
        done = export_run(_folder(run), parse_formats(formats), output=output)
    except InferbenchError as error:
        raise click.UsageError(str(error)) from error
    for path in done.files:
        click.echo(str(path))
    for sentence in done.troubles:
        click.echo(f"not written: {sentence}", err=True)
    if done.troubles:
        raise click.exceptions.Exit(1)


def export_finished_run(run_dir: Path, names: str) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """
    Write a finished run in the formats that ``--inferbench-export`` names: the files, and what went wrong, in sentences.

    Never raises for a fault of an export: the run itself is not spoiled by it.
    """
    from pytest_inferbench.records.export.registry import parse_formats  # noqa: PLC0415 - as above
    from pytest_inferbench.records.export.write import export_run  # noqa: PLC0415 - as above

    try:
        done = export_run(run_dir, parse_formats(names))
    except InferbenchError as error:
        return (), (str(error),)
    return done.files, done.troubles


def _folder(run: Path) -> Path:
    """The run's folder; ``reports/latest`` is a text file with a path where there are no links."""
    return run.parent / run.read_text(encoding="utf-8").strip() if run.is_file() else run

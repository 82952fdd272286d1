"""``inferbench import``: results that other tools measured, as a run to compare with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from pytest_inferbench.errors import InferbenchError


@click.command(name="import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", metavar="RUN", type=click.Path(path_type=Path), help="The run's folder (default: in reports/runs)."
)
def import_results(files: tuple[Path, ...], output: Path | None) -> None:
    """
    Read results of other tools and keep them as a run: files, or folders of them.

    Known by what they hold: vllm, genai-bench, guidellm, aiperf, inference-perf, lpg, nm-vllm, llm-d, inferx and gie. A figure
    has a name of this plugin only where it means the same; every record says which tool and file it comes from.
    """
    # NumPy and pyarrow come with these, which no other command has a use for.
    from pytest_inferbench.records.imports.registry import read_results  # noqa: PLC0415 - see above
    from pytest_inferbench.records.imports.store import store  # noqa: PLC0415 - see above
    from pytest_inferbench.records.run_directory import new_run_id, open_run  # noqa: PLC0415 - see above

    try:
        # All is read before anything is written.
        results = [result for file in files for result in read_results(file)]
        stored = store(results, open_run(new_run_id(datetime.now(UTC)), output=output))
    except InferbenchError as error:
        raise click.UsageError(str(error)) from error
    for result, record in zip(results, stored.records, strict=True):
        mark = "simulated, " if result.simulated else ""
        click.echo(f"{record.case.id} ({mark}{result.tool}, {result.counts.attempted} requests) from {result.file}")
    click.echo(str(stored.path))

"""``inferbench upload``: a run, sent to a bucket or a folder; and the same at the end of a session."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pytest_inferbench.errors import ConfigError, InferbenchError
from pytest_inferbench.redaction import redact_text, redact_url

if TYPE_CHECKING:
    from pytest_inferbench.records.artifacts import Progress


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("url")
@click.option("--overwrite", is_flag=True, help="Replace another state of the run that is there.")
def upload(run: Path, url: str, *, overwrite: bool) -> None:
    """
    Send RUN, the folder of a run, to URL: s3://bucket/folder, gs://..., az://..., file:///..., or a folder.

    It lies in URL/RUN_ID then. An upload that broke off is gone on with by the same command. A run that is there is never
    changed unless you say so. Credentials come from the environment, as for the store's own tools.
    """
    # fsspec, and what it needs for a store, comes with these.
    from pytest_inferbench.records.artifacts import upload_run  # noqa: PLC0415 - see above
    from pytest_inferbench.records.baseline_files import run_folder  # noqa: PLC0415 - NumPy comes with it

    try:
        done = upload_run(run_folder(run), url, overwrite=overwrite, progress=shown_progress("sent"))
    except ConfigError as error:
        raise click.UsageError(redact_text(str(error))) from error
    except InferbenchError as error:
        raise click.ClickException(redact_text(str(error))) from error
    click.echo(f"{done.words}\nbring it back with: inferbench fetch {shlex.quote(done.url)}")


def upload_finished_run(run_dir: Path, url: str, *, progress: Progress | None = None) -> tuple[str, str | None]:
    """
    Upload a finished run, as ``--inferbench-upload`` asks for: what was done, in a sentence, and the trouble with it, if any.

    Never raises for a fault of the upload: the run lies in its folder, and the trouble names the command that goes on.
    """
    from pytest_inferbench.records.artifacts import upload_run  # noqa: PLC0415 - as above

    try:
        return upload_run(run_dir, url, progress=progress).words, None
    except InferbenchError as error:
        again = shlex.join(["inferbench", "upload", str(run_dir), redact_url(url)])
        return "", f"the run was not uploaded: {redact_text(str(error))}; nothing is lost, and this goes on with it: {again}"


def shown_progress(verb: str) -> Progress:
    """A line about each file on standard error, in place of the former one; nothing where nobody watches."""
    if not sys.stderr.isatty():
        return lambda _done, _total, _path: None

    def show(done_bytes: int, total_bytes: int, path: str) -> None:
        share = done_bytes / total_bytes if total_bytes else 1.0
        end = "\n" if done_bytes >= total_bytes else ""
        click.echo(f"\r\x1b[K{share:4.0%} {verb}, {path[:60]}{end}", nl=False, err=True)

    return show

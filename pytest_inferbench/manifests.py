"""``inferbench manifests``: the Kubernetes manifests of benchmarks that need a cluster, as files, and nothing applied."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click

from pytest_inferbench.cases.case import Case
from pytest_inferbench.cases.formats.gateway_manifests import manifests, namespace_of, needs
from pytest_inferbench.cases.formats.registry import suites_of
from pytest_inferbench.errors import ConfigError


@click.command("manifests")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--output", metavar="DIR", default="manifests", show_default=True, type=click.Path(path_type=Path), help="Where to."
)
@click.option("--name-regex", metavar="RE", default="", help="Only benchmarks in whose names it is found.")
@click.option("--run-id", metavar="ID", help="Part of every namespace (default: the time), so that runs stand side by side.")
@click.option("--lenient", is_flag=True, help="Read the file as its own tool does, mistakes and all.")
def manifests_command(file: Path, output: Path, name_regex: str, run_id: str | None, lenient: bool) -> None:
    """
    Write what FILE would apply to a Kubernetes cluster: DIR/RUN/NAME-RUN/manifests/*.yaml.

    Files that are there already with another content are left as they are, and are an error.
    """
    run_id = run_id or datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    try:
        for name, case in on_clusters(file, name_regex=name_regex, lenient=lenient):
            folder, sentence = write_manifests(case, output / run_id, run_id=run_id)
            click.echo(f"{name}: {folder}\n  {sentence}")
    except ConfigError as error:
        raise click.ClickException(str(error)) from error


def on_clusters(file: Path, *, name_regex: str, lenient: bool) -> Iterator[tuple[str, Case]]:
    """
    A case of each benchmark in a file that needs a cluster; all cases of one share its manifests.

    Raises:
        ConfigError: the file cannot be read, the pattern is none, or no benchmark is left.
    """
    try:
        pattern = re.compile(name_regex)
    except re.error as exc:
        raise ConfigError(f"is no regular expression: {exc}", file="--name-regex") from exc
    found = [(name, suite.cases()[0]) for name, suite in suites_of(file, lenient=lenient) if pattern.search(name)]
    wanted = [(name, case) for name, case in found if case.cluster is not None]
    if not wanted:
        what = (
            f"{name_regex!r} is found in the name of none of them"
            if name_regex and not found
            else "none of its benchmarks needs one"
        )
        raise ConfigError(f"there is nothing to write for a cluster: {what}", file=str(file))
    yield from wanted


def write_manifests(case: Case, folder: Path, *, run_id: str) -> tuple[Path, str]:
    """
    Write a case's manifests below ``folder``; returns where they lie, and what cluster they need, in a sentence.

    Raises:
        ConfigError: the case needs no cluster, a file has another content already, or cannot be written.
    """
    if case.cluster is None:
        raise ConfigError(f"{case.id} needs no cluster")
    settings = json.loads(case.cluster.settings)
    target = folder / namespace_of(settings, run_id) / "manifests"
    for name, text in manifests(settings, run_id=run_id).items():
        _write(target / name, text)
    return target, needs(settings)


def _write(path: Path, text: str) -> None:
    """A manifest that stands for a run is not changed afterwards."""
    try:
        if path.is_file() and path.read_text(encoding="utf-8") != text:
            raise ConfigError("is there with another content; give another --run-id, or remove it", file=str(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise ConfigError(f"cannot be written: {exc.strerror}", file=str(path)) from exc
